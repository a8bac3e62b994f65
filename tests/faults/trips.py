"""Whole trips under fault: ``python -m tests.faults.trips --trips 40 --kills 60 --reorgs 6``.

Firms take trips from the first signature to the release through the use cases behind the API, while the
worker (writer, indexer and every handler of the product) is killed with SIGKILL, blocks are reorganised
and the proxy before its node lies. Then everything runs in peace, and the books, the chain, a fresh
rebuild and every trip are compared.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import sys
import tempfile
import threading
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import Session, col, select

from api.tables import MomentRow
from chain.bindings.events import AdvanceReleased
from chain.errors import ChainError
from chain.jobs import ChainLoop, index_once
from chain.storage import Storage
from chain.tables import BlockRow, EventLogRow, OutgoingTransactionRow
from deploy.node import LocalChain
from finance.advance import AdvanceState
from finance.tables import AdvanceRow, JournalLineRow
from tests.benchmarks.firms import Desk, Firms, Pace, open_container, run_trips
from tests.faults.proxy import QUIET, Chaos, ChaosProxy
from tests.integration.finance.town import FIRST_BLOCK

if TYPE_CHECKING:
    from api.bootstrap import Container

CONTEXT = multiprocessing.get_context("forkserver")
DEPTH = 3
"""Finality of these runs: reorganisations go down to it."""


@dataclass
class Verdict:
    """What was found; ``holds`` says whether every promise held."""

    trips: int
    kills: int
    reorgs: int
    faults: dict
    released: int = 0
    released_twice: int = 0
    unreleased_without_reason: int = 0
    differences_of_books: int = 0
    rebuild_differs: int = 0
    stuck: int = 0
    alarms: int = 0
    seconds: float = 0.0

    @property
    def holds(self) -> bool:
        return self.released > 0 and not (
            self.released_twice
            or self.unreleased_without_reason
            or self.differences_of_books
            or self.rebuild_differs
            or self.stuck
            or self.alarms
        )


def work(folder: Path, url: str, chain_id: int, storage_url: str) -> None:
    """The worker; a node that is away at the start is waited for. It runs until it is killed."""
    while True:
        container = open_container(folder, url, chain_id, storage_url, finality_depth=DEPTH)
        try:
            loop = ChainLoop(
                writers=[container.writer()],
                indexer=container.indexer(),
                every_s=0.03,
                patience=200,
            )
            break
        except ChainError:
            container.close()
            time.sleep(0.05)
    loop.start()
    while loop.is_running():
        time.sleep(0.05)
    sys.exit(3)


def run(*, trips: int, kills: int, reorgs: int, seed: int, folder: Path, quiet_s: float) -> Verdict:
    """One run in a folder of its own."""
    CONTEXT.set_forkserver_preload(["api.bootstrap", "tests.benchmarks.firms"])
    rng = random.Random(seed)
    node = LocalChain(folder / "node", first_block_at=FIRST_BLOCK, keep_state=False)
    node.start()
    firms = Firms(folder, node)
    acts = [firms.act() for _ in range(trips)]
    proxy = ChaosProxy(node.url, Chaos(), seed)
    verdict = Verdict(trips, kills, reorgs, proxy.done)
    place = (folder, proxy.url, node.chain_id, firms.url)
    paces: list[Pace] = []
    ends = threading.Event()
    desk = Desk(firms.container, firms)

    def offer() -> None:
        paces.append(run_trips(desk, iter(acts), together=12, until=lambda *_: ends.is_set()))

    offering = threading.Thread(target=offer, daemon=True)
    began = time.monotonic()
    worker = _start(place)
    offering.start()
    turns = set(rng.sample(range(kills), min(reorgs, kills)))
    try:
        for life in range(kills):
            until = time.monotonic() + rng.uniform(0.3, 2.5)
            while time.monotonic() < until:
                time.sleep(0.1)
                _control(node, "anvil_mine", ["0x1"])
            if life in turns:
                _control(node, "anvil_reorg", [rng.randint(1, DEPTH), []])
            verdict.alarms += worker.exitcode == 3
            worker.kill()
            worker.join()
            worker = _start(place)
        proxy.chaos = QUIET
        deadline = time.monotonic() + quiet_s
        while offering.is_alive() and time.monotonic() < deadline:
            _control(node, "anvil_mine", ["0x1"])
            offering.join(0.3)
        ends.set()
        while _waiting(firms) and time.monotonic() < deadline:
            _control(node, "anvil_mine", ["0x1"])
            time.sleep(0.3)
        verdict.alarms += worker.exitcode == 3
        worker.kill()
        worker.join()
        verdict.seconds = round(time.monotonic() - began, 1)
        _judge(firms, node, folder, verdict)
    finally:
        worker.kill()
        proxy.close()
        firms.close()
        node.stop()
    return verdict


def _start(place: tuple[Path, str, int, str]):
    process = CONTEXT.Process(target=work, args=place, daemon=True)
    process.start()
    return process


def _control(node: LocalChain, method: str, params: list) -> None:
    try:
        node.client().request(method, params)
    except ChainError as error:
        sys.stderr.write(f"{method}: {error}\n")


def _waiting(firms: Firms) -> int:
    with firms.container.storage.read() as session:
        query = select(sa.func.count()).select_from(OutgoingTransactionRow)
        state = col(OutgoingTransactionRow.state)
        return session.exec(query.where(state.in_(["queued", "sent", "mined"]))).one()


def _judge(firms: Firms, node: LocalChain, folder: Path, verdict: Verdict) -> None:
    container = firms.container
    container.settings.__dict__["finality_depth"] = 0
    index_once(container.indexer())  # what was too young to be handled
    verdict.stuck = _waiting(firms)
    with container.storage.read() as session:
        advances = session.exec(select(AdvanceRow.advance, AdvanceRow.state, AdvanceRow.trip)).all()
        refused = set(
            session.exec(
                select(OutgoingTransactionRow.about).where(
                    col(OutgoingTransactionRow.state).in_(["reverted", "dropped"])
                )
            )
        )
    for advance, state, trip in advances:
        times = len(container.client.fetch_events(AdvanceReleased, about=advance))
        verdict.released += times == 1 and state == AdvanceState.RELEASED.value
        verdict.released_twice += times > 1
        if times == 0 or state != AdvanceState.RELEASED.value:
            verdict.unreleased_without_reason += trip not in refused
    verdict.unreleased_without_reason += max(0, verdict.trips - len(advances))
    with container.write() as to:
        block = container.find_handled_in(to.session)
        assert block is not None
        verdict.differences_of_books = len(to.finance.reconcile(block))
    fresh = Storage(f"sqlite:///{folder}/rebuilt.sqlite")
    fresh.create_all()
    again = open_container(folder, node.url, node.chain_id, str(fresh.url))
    index_once(again.indexer())
    one, two = _projection(container), _projection(again)
    verdict.rebuild_differs = sum(a != b for a, b in zip(one, two, strict=True))
    again.close()
    fresh.close()


def _projection(container: Container) -> list[list[tuple]]:
    """What comes from the chain alone: blocks, logs, the timeline, every line of the ledger."""

    def rows(session: Session, *columns) -> list[tuple]:
        return sorted(tuple(row) for row in session.execute(sa.select(*columns)))

    with container.storage.read() as session:
        return [
            rows(session, col(BlockRow.number), col(BlockRow.hash)),
            rows(session, col(EventLogRow.block_hash), col(EventLogRow.log_index)),
            rows(
                session,
                col(MomentRow.about),
                col(MomentRow.transaction_hash),
                col(MomentRow.log_index),
            ),
            rows(
                session,
                col(JournalLineRow.entry),
                col(JournalLineRow.book),
                col(JournalLineRow.account),
                col(JournalLineRow.amount_fen),
                col(JournalLineRow.about),
            ),
        ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in {"trips": 40, "kills": 60, "reorgs": 6, "seed": 1}.items():
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--quiet-s", type=float, default=600.0)
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder:
        verdict = run(**given, folder=Path(folder))
    print(json.dumps({**asdict(verdict), "holds": verdict.holds}))
    return 0 if verdict.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
