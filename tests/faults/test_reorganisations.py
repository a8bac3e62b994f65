"""Reorganisations of every depth: up to finality they leave no trace, deeper ones stop the service."""

from __future__ import annotations

import time

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from chain.errors import DeepReorganisationError
from chain.jobs import ChainLoop
from chain.storage import Storage
from chain.tables import BlockRow, EventLogRow
from deploy.node import LocalChain
from tests.integration.chain.test_indexer import SEEN, make, run
from tests.integration.chain.till import FIRST_BLOCK, Desk, pay, times


@pytest.fixture
def chain(tmp_path):
    with LocalChain(tmp_path / "node", first_block_at=FIRST_BLOCK, keep_state=False) as running:
        yield running


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request, tmp_path):
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/yundan.sqlite"
    return request.getfixturevalue("postgres_url")


def open_desk(chain, url, finality):
    desk = Desk(chain, url)
    desk.deploy()
    desk.writer.close()
    desk.settings = type(desk.settings)(confirmations=finality, resend_s=0.0)
    desk.writer = desk.make_writer()
    return desk, make(desk, confirmations=finality)


def mine(desk, blocks):
    desk.client.request("anvil_mine", [hex(blocks)])


def pay_some(desk, indexer, numbers):
    """Payments in blocks of their own, read but too young to be handled."""
    for number in numbers:
        desk.queue(pay(number, number), f"pay:{number}")
        desk.writer.send_once()
        run(indexer)


def kept(storage):
    """Everything the indexer has written, in the order of the chain."""
    with storage.read() as session:
        logs = session.exec(
            select(EventLogRow).order_by(col(EventLogRow.block_number), col(EventLogRow.log_index))
        )
        blocks = session.exec(select(BlockRow).order_by(col(BlockRow.number)))
        handled = session.execute(sa.select(SEEN.c.id, SEEN.c.amount).order_by(SEEN.c.n))
        return (
            [tuple(row) for row in handled],
            [(row.block_hash, row.log_index, row.topics, row.data) for row in logs],
            [(row.number, row.hash, row.parent, row.is_handled) for row in blocks],
        )


def sweep(chain, url, tmp_path, finality):
    desk, indexer = open_desk(chain, url, finality)
    paid = 0
    for depth in range(1, finality + 1):
        pay_some(desk, indexer, range(paid + 1, paid + 4))
        paid += 3
        mine(desk, max(depth - 3, 0))
        run(indexer)
        desk.client.request("anvil_reorg", [depth, []])
        for _ in range(4):
            desk.writer.send_once()
            run(indexer)
        mine(desk, finality)
        for _ in range(3):
            desk.writer.send_once()
            run(indexer)
        fresh = Storage(f"sqlite:///{tmp_path}/fresh-{depth}.sqlite")
        fresh.create_all()
        SEEN.create(fresh.engine)
        rebuilt = Desk(chain, str(fresh.url))
        rebuilt.client.use(desk.client.deployment)
        run(make(rebuilt, confirmations=finality))
        assert kept(desk.storage) == kept(fresh), f"depth {depth}"
        assert [desk.find(f"pay:{n}").state.value for n in range(1, paid + 1)] == ["final"] * paid
        assert [desk.client.fetch(times(n)) for n in range(1, paid + 1)] == [1] * paid
        rebuilt.storage.close()
        fresh.close()
    desk.storage.close()


def stop_at(chain, url, finality, depth):
    """A deeper one than finality: the loop stops with the alarm and nothing handled is touched."""
    desk, indexer = open_desk(chain, url, finality)
    pay_some(
        desk, indexer, range(1, depth + 4)
    )  # a block each: empty ones would come back the same
    before = kept(desk.storage)[0]
    assert len(before) >= depth + 3 - finality
    desk.client.request("anvil_reorg", [depth, []])
    loop = ChainLoop(indexer=indexer, every_s=0.02)
    loop.start()
    deadline = time.monotonic() + 20
    while loop.is_running() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert isinstance(loop.failure, DeepReorganisationError), f"depth {depth}"
    assert loop.failure.facts["handled"] > loop.failure.facts["fork"]
    assert kept(desk.storage)[0] == before
    loop.stop()
    desk.storage.close()


def test_every_depth_up_to_finality_leaves_the_rows_of_a_rebuild(chain, tmp_path):
    sweep(chain, f"sqlite:///{tmp_path}/yundan.sqlite", tmp_path, finality=3)


def test_one_block_deeper_than_finality_stops_with_an_alarm(chain, tmp_path):
    stop_at(chain, f"sqlite:///{tmp_path}/yundan.sqlite", finality=3, depth=4)


@pytest.mark.deep
def test_every_depth_up_to_twelve_leaves_the_rows_of_a_rebuild(chain, url, tmp_path):
    sweep(chain, url, tmp_path, finality=12)


@pytest.mark.deep
@pytest.mark.parametrize("depth", [13, 14, 17, 24])
def test_deeper_than_twelve_stops_with_an_alarm(chain, url, depth):
    stop_at(chain, url, finality=12, depth=depth)
