"""The indexer against a real node and a real database."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from sqlmodel import col, select

from chain.errors import ChainUnavailableError, DeepReorganisationError, WrongChainError
from chain.headers import UnprovenAnswerError
from chain.indexer import Indexer
from chain.tables import BlockRow, CursorRow, EventLogRow, OwedLogRow
from deploy.node import LocalChain
from tests.integration.chain.till import EVENTS, FIRST_BLOCK, Desk, Paid, pay, total

SEEN = sa.Table(
    "seen_by_test",
    sa.MetaData(),
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("id", sa.String),
    sa.Column("amount", sa.Integer),
)


def note(session, occurred):
    session.execute(SEEN.insert().values(id=occurred.event.id, amount=occurred.event.amount))


def make(desk, **more):
    SEEN.create(desk.storage.engine, checkfirst=True)
    return Indexer(
        client=desk.client,
        storage=desk.storage,
        handlers={Paid: [note]},
        events=EVENTS,
        **more,
    )


def seen(desk):
    with desk.storage.read() as session:
        return session.execute(sa.select(SEEN.c.id, SEEN.c.amount).order_by(SEEN.c.n)).all()


def run(indexer):
    while indexer.index_once().moved:
        pass


def test_events_are_handled_once_and_in_order(desk):
    indexer = make(desk)
    for number in range(1, 21):
        desk.queue(pay(number, number), f"pay:{number}")
    desk.run()
    run(indexer)
    run(indexer)
    assert [amount for _, amount in seen(desk)] == list(range(1, 21))


def test_a_handler_that_fails_takes_its_block_back_with_it(desk):
    failures = ["once"]

    def fragile(session, occurred):
        if occurred.event.amount == 2 and failures:
            failures.pop()
            raise RuntimeError("handler failed")

    indexer = make(desk)
    indexer._handlers = {Paid: [note, fragile]}
    for number in (1, 2, 3):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    with pytest.raises(RuntimeError):
        run(indexer)
    with desk.storage.read() as session:
        cursor = session.get(CursorRow, "projection")
    before = [amount for _, amount in seen(desk)]
    assert before == []
    assert cursor is None
    run(indexer)
    assert [amount for _, amount in seen(desk)] == [1, 2, 3]


def test_a_reorganisation_above_finality_leaves_no_trace(desk):
    indexer = make(desk, confirmations=3)
    for number in range(1, 5):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    run(indexer)
    assert [amount for _, amount in seen(desk)] == [1]
    desk.client.request("anvil_reorg", [3, []])
    indexer.index_once()
    desk.writer.send_once()
    desk.run()
    desk.client.request("anvil_mine", ["0x4"])
    run(indexer)
    assert [amount for _, amount in seen(desk)] == [1, 2, 3, 4]
    with desk.storage.read() as session:
        hashes = {row.number: row.hash for row in session.exec(select(BlockRow))}
        logs = session.exec(select(EventLogRow)).all()
    for number, found in hashes.items():
        assert desk.client.find_block(number).hash == found
    assert all(hashes[row.block_number] == row.block_hash for row in logs)


def test_a_reorganisation_below_finality_stops_with_an_alarm(desk):
    indexer = make(desk, confirmations=1)
    for number in range(1, 6):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    run(indexer)
    before = seen(desk)
    desk.client.request("anvil_reorg", [3, []])
    desk.client.request("anvil_mine", ["0x1"])
    with pytest.raises(DeepReorganisationError) as caught:
        run(indexer)
    assert caught.value.facts["handled"] > caught.value.facts["fork"]
    assert seen(desk) == before


def test_a_local_chain_that_lost_blocks_is_matched_not_handled_twice(desk):
    desk.local = None
    indexer = make(desk, is_local=True)
    for number in range(1, 6):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    run(indexer)
    desk.client.request("anvil_reorg", [3, []])
    indexer.index_once()
    with desk.storage.read() as session:
        assert len(session.exec(select(OwedLogRow)).all()) == 3
    desk.writer.send_once()
    desk.run()
    run(indexer)
    desk.queue(pay(6, 6), "pay:6")
    desk.run()
    run(indexer)
    assert [amount for _, amount in seen(desk)] == [1, 2, 3, 4, 5, 6]
    with desk.storage.read() as session:
        assert session.exec(select(OwedLogRow)).all() == []


def test_a_local_chain_that_comes_back_different_is_an_alarm(desk):
    indexer = make(desk, is_local=True)
    for number in range(1, 4):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    run(indexer)
    desk.client.request("anvil_reorg", [1, []])
    other = Desk(desk.chain, f"sqlite:///{desk.storage.url.database}.other", key=b"\x21" * 32)
    other.client.use(desk.client.deployment)
    other.queue(pay(9, 9), "pay:9")
    other.run()
    with pytest.raises(DeepReorganisationError):
        run(indexer)
    assert [amount for _, amount in seen(desk)] == [1, 2, 3]
    other.storage.close()


def test_the_projection_can_be_dropped_and_comes_out_equal(desk):
    indexer = make(desk)
    for number in range(1, 31):
        desk.queue(pay(number, number), f"pay:{number}")
    desk.run()
    run(indexer)
    before = seen(desk)
    indexer.rebuild(lambda session: session.execute(SEEN.delete()))
    assert [tuple(row) for row in seen(desk)] == [tuple(row) for row in before]


def test_receipts_that_do_not_fit_their_header_are_not_believed(desk, monkeypatch):
    for number in (1, 2):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    stranger = desk.chain.client()  # one that has not seen these receipts before
    stranger.use(desk.client.deployment)
    desk.client = stranger
    indexer = make(desk)
    real = desk.client.request_many
    lie = {}

    def lying(questions):
        answers = real(questions)
        for (method, _), answer in zip(questions, answers, strict=True):
            if method == "eth_getBlockReceipts" and lie:
                lie["tell"](answer)
        return answers

    monkeypatch.setattr(desk.client, "request_many", lying)

    def lose_logs(answer):
        for receipt in answer:
            receipt["logs"].clear()

    def lose_receipts(answer):
        answer.clear()

    def twice(answer):
        for receipt in answer:
            receipt["logs"] += receipt["logs"]

    def other_data(answer):
        for receipt in answer:
            for log in receipt["logs"]:
                log["data"] = log["data"][:-1] + ("0" if log["data"][-1] != "0" else "1")

    def failed(answer):
        for receipt in answer:
            receipt["status"] = "0x0"

    def other_block(answer):
        for receipt in answer:
            receipt["blockHash"] = "0x" + "12" * 32

    for tell in (lose_logs, lose_receipts, twice, other_data, failed, other_block):
        lie["tell"] = tell
        with pytest.raises(ChainUnavailableError):
            run(indexer)
    lie.clear()
    run(indexer)
    assert [amount for _, amount in seen(desk)] == [1, 2]


def test_a_header_that_does_not_hash_to_its_hash_is_not_believed(desk):
    indexer = make(desk)
    desk.queue(pay(1), "pay:1")
    desk.run()
    body = desk.client.request("eth_getBlockByNumber", ["latest", False])
    assert desk.client.believe(body).hash == body["hash"]
    for name in ("timestamp", "number", "receiptsRoot", "parentHash", "hash", "gasUsed"):
        digit = "1" if body[name][-1] != "1" else "2"
        with pytest.raises(UnprovenAnswerError):
            desk.client.believe({**body, name: body[name][:-1] + digit})
    with pytest.raises(UnprovenAnswerError):
        desk.client.believe({k: v for k, v in body.items() if k != "stateRoot"})
    run(indexer)
    assert len(seen(desk)) == 1


def test_a_stale_head_takes_nothing_back(desk, monkeypatch):
    indexer = make(desk)
    for number in (1, 2, 3):
        desk.queue(pay(number, number), f"pay:{number}")
        desk.run()
    run(indexer)
    old = desk.client.find_bodies([1])[1]
    real = desk.client.request_many

    def behind(questions):
        """A node behind a balancer, whose head is block 1."""
        return [
            answer
            if method != "eth_getBlockByNumber"
            else old
            if params[0] == "latest"
            else None
            if int(params[0], 16) > 1
            else answer
            for (method, params), answer in zip(questions, real(questions), strict=True)
        ]

    monkeypatch.setattr(desk.client, "request_many", behind)
    with pytest.raises(ChainUnavailableError):
        indexer.index_once()
    monkeypatch.undo()
    run(indexer)
    assert [amount for _, amount in seen(desk)] == [1, 2, 3]


def test_a_block_out_of_a_cache_is_not_deep_because_the_head_is_far(desk, monkeypatch):
    indexer = make(desk, confirmations=2)
    desk.queue(pay(1, 1), "pay:1")
    desk.run()
    run(indexer)
    desk.queue(pay(2, 2), "pay:2")
    desk.run()
    height = desk.client.fetch_head().number
    questions = [
        ("eth_getBlockByNumber", [hex(height), False]),
        ("eth_getBlockReceipts", [hex(height)]),
    ]
    kept = {repr(one): desk.client.request(*one) for one in questions}
    desk.client.request("anvil_reorg", [1, []])
    desk.client.request("anvil_mine", ["0x8"])
    real = desk.client.request_many

    def remembering(questions):
        """A node whose cache still has the block that was turned away."""
        return [
            kept.get(repr(one), answer)
            for one, answer in zip(questions, real(questions), strict=True)
        ]

    monkeypatch.setattr(desk.client, "request_many", remembering)
    indexer.index_once()
    assert [amount for _, amount in seen(desk)] in ([], [1])
    monkeypatch.undo()
    desk.run()
    desk.client.request("anvil_mine", ["0x8"])
    run(indexer)
    assert [amount for _, amount in seen(desk)] == [1, 2]


def test_another_chain_is_refused(desk, tmp_path):
    indexer = make(desk)
    run(indexer)
    with LocalChain(tmp_path / "other", keep_state=False) as other:
        stranger = other.client()
        stranger.use(desk.client.deployment)
        desk.client = stranger
        with pytest.raises(WrongChainError):
            make(desk).index_once()


def test_backfill_from_an_empty_database_equals_following(chain, desk, tmp_path):
    indexer = make(desk)
    for number in range(1, 60):
        desk.queue(pay(number, number), f"pay:{number}")
        if number % 10 == 0:
            desk.run()
            run(indexer)
    desk.run()
    run(indexer)
    late = Desk(chain, f"sqlite:///{tmp_path}/late.sqlite")
    late.client.use(desk.client.deployment)
    run(make(late, batch=7))
    assert [tuple(r) for r in seen(late)] == [tuple(r) for r in seen(desk)]
    with desk.storage.read() as a, late.storage.read() as b:
        one = [
            (r.block_hash, r.log_index)
            for r in a.exec(select(EventLogRow).order_by(col(EventLogRow.block_number)))
        ]
        two = [
            (r.block_hash, r.log_index)
            for r in b.exec(select(EventLogRow).order_by(col(EventLogRow.block_number)))
        ]
    assert one == two
    late.storage.close()


def test_the_chain_has_what_the_events_say(desk):
    indexer = make(desk)
    for number in range(1, 12):
        desk.queue(pay(number, number * 7), f"pay:{number}")
    desk.run()
    run(indexer)
    assert sum(amount for _, amount in seen(desk)) == desk.client.fetch(total())
    assert desk.client.fetch_head().at >= FIRST_BLOCK
