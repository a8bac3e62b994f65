"""Speed of the chain's door: whole trips to FINAL, against web3's defaults call by call; latency; backfill.

Each function yields lines of ``yundan bench``. Run singly: ``python -m tests.benchmarks.bench_chain``, and
``--seconds 300`` for what is sustained. Trips go through the use cases behind the API
(``tests/benchmarks/firms.py``) in one process; another sends and indexes, as ``yundan worker`` does; the
node is a local anvil on the same machine, and the database is on disk.
"""

from __future__ import annotations

import argparse
import itertools
import json
import logging
import multiprocessing
import os
import resource
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sqlalchemy as sa
import structlog
from eth_account import Account
from sqlmodel import col, func, select
from web3 import Web3
from web3.middleware import SignAndSendRawMiddlewareBuilder

from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.events import EVENTS
from chain.bindings.freight_advance import FreightAdvance
from chain.bindings.structs import (
    Acknowledgement,
    AdvanceRequest,
    Approval,
    Attestation,
    Confirmation,
    Loading,
    Payee,
    PayeeConsent,
    TrackBatch,
    Waybill,
)
from chain.bindings.waybill_registry import WaybillRegistry
from chain.ids import AdvanceId, TripId, WaybillId
from chain.indexer import Indexer
from chain.jobs import ChainLoop, index_once
from chain.storage import Storage
from chain.tables import OutgoingTransactionRow
from chain.typed_data import struct_hash
from deploy.node import LocalChain
from tests.benchmarks.firms import Desk, Firms, Pace, open_container, run_trips
from tests.integration.finance.town import FAR, FIRST_BLOCK, ZERO, Town, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chain.abi import ContractCall

CONTEXT = multiprocessing.get_context("forkserver")
TOGETHER = 32
"""Trips under way at once."""

OLD_STATES = 64
"""Blocks whose states the node keeps: beyond 500 anvil writes one whole state to disk for every new block."""

PRINCIPAL = 500_000
SEEN = sa.Table(
    "seen_by_bench",
    sa.MetaData(),
    sa.Column("n", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(60)),
    sa.Column("transaction_hash", sa.String(66)),
)


@dataclass(frozen=True)
class Script:
    """Everything one trip sends, signed beforehand, in order; the last call completes the delivery."""

    advance: AdvanceId
    calls: tuple[ContractCall, ...]


def line(bench, value, unit, *, baseline=None, name="", target=None, least=True):
    return {
        "bench": bench,
        "value": round(value, 2),
        "unit": unit,
        "baseline": None if baseline is None else round(baseline, 2),
        "baseline_name": name,
        "ratio": None if not baseline else round(value / baseline, 2),
        "target": target,
        "holds": None if target is None else (value >= target if least else value <= target),
    }


class Stage:
    """A town with an open line, and trips written and signed for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.node = LocalChain(folder / "node", first_block_at=FIRST_BLOCK, keep_state=False)
        self.node.start()
        self.town = Town(self.node, f"sqlite:///{folder}/town.sqlite", folder / "deployments")
        self.town.enrol()
        self.town.fund(10_000_000_000)
        self.line = self.town.open_line(limit=10_000_000_000)
        self._numbers = itertools.count(10**9)

    def number(self):
        return word(next(self._numbers))

    def close(self) -> None:
        self.town.writer.close()
        self.town.storage.close()
        self.node.stop()

    def script(self) -> Script:
        """Three tiers in one batch call, an advance on the second, the drive, the receipt."""
        town, sign, party = self.town, self.town.sign, self.town.parties
        start = town.now()
        note, trip, vehicle = self.number(), TripId(self.number()), self.number()
        plan, root, findings = self.number(), self.number(), self.number()
        ids: list[WaybillId] = []
        forms, issuers, performers = [], [], []
        for tier, (issuer, performer) in enumerate(
            [("consignor", "carrier"), ("carrier", "firm"), ("firm", "driver")]
        ):
            leaf = tier == 2
            form = Waybill(
                parent=ids[-1] if ids else WaybillId(ZERO),
                issuer=party[issuer],
                performer=party[performer],
                consignee=party["consignee"],
                shipping_note=note,
                trip=trip if leaf else TripId(ZERO),
                vehicle=vehicle if leaf else ZERO,
                freight=1_000_000 * (10 - tier) // 10,
                quantity=30_000,
                load_from=start - 86_400,
                deliver_by=start + 10 * 86_400,
                term_days=45,
                plan=plan if leaf else ZERO,
                policy=word(7) if leaf else ZERO,
                document=self.number(),
                expires=FAR,
                salt=self.number(),
            )
            ids.append(WaybillId(struct_hash(form)))
            forms.append(form)
            issuers.append(sign(issuer, form, "WaybillRegistry"))
            performers.append(sign(performer, form, "WaybillRegistry"))
        account = self.number()
        request = AdvanceRequest(
            line=self.line,
            waybill=ids[1],
            trip=trip,
            principal=PRINCIPAL,
            payees=(Payee(party["driver"], ids[2], account, PRINCIPAL),),
            fingerprint=self.number(),
            decision=self.number(),
            expires=FAR,
            salt=self.number(),
        )
        advance = AdvanceId(struct_hash(request))
        known = Acknowledgement(
            advance=advance,
            debtor=party["carrier"],
            waybill=ids[1],
            trip=trip,
            lender=party["lender"],
            notice=self.number(),
            expires=FAR,
            salt=self.number(),
        )
        agreed = PayeeConsent(advance, party["driver"], account, FAR, self.number())
        approval = Approval(
            advance, party["firm"], PRINCIPAL, start + 10 * 86_400, FAR, self.number()
        )
        loading = Loading(
            trip, 1, vehicle, 30_000, start - 7_200, self.number(), FAR, self.number()
        )
        batches = [
            TrackBatch(trip, party["judge_one"], n, self.number(), 100, start - 7_000 + 2_000 * n, start - 5_001 + 2_000 * n)
            for n in range(3)
        ]  # fmt: skip
        verdicts = [
            (
                judge,
                Attestation(
                    trip=trip,
                    attestor=party[judge],
                    version=1,
                    vehicle=vehicle,
                    plan=plan,
                    policy=word(7),
                    root=root,
                    verdict=1,
                    findings=findings,
                    departed_at=start - 7_100,
                    arrived_at=start - 900,
                    distance_m=10_000,
                    fixes=300,
                    late_bps=0,
                    expires=FAR,
                    salt=self.number(),
                ),
            )
            for judge in ("judge_one", "judge_two")
        ]
        receipt = Confirmation(
            trip=trip,
            by=party["consignee"],
            version=1,
            vehicle=vehicle,
            accepted=30_000,
            condition=0,
            document=self.number(),
            at=start - 60,
            expires=FAR,
            salt=self.number(),
        )
        delivery = "DeliveryRegistry"
        return Script(
            advance,
            (
                WaybillRegistry.issue_batch(forms, issuers, performers, True),  # noqa: FBT003  the signature is not ours to change
                FreightAdvance.request(request, sign("firm", request, "FreightAdvance")),
                FreightAdvance.acknowledge(known, sign("carrier", known, "FreightAdvance")),
                FreightAdvance.consent(agreed, sign("driver", agreed, "FreightAdvance")),
                FreightAdvance.approve(approval, sign("lender", approval, "FreightAdvance")),
                DeliveryRegistry.load(loading, sign("driver", loading, delivery)),
                *(
                    DeliveryRegistry.commit_track(batch, sign("judge_one", batch, delivery))
                    for batch in batches
                ),
                *(
                    DeliveryRegistry.attest(form, sign(judge, form, delivery))
                    for judge, form in verdicts
                ),
                DeliveryRegistry.confirm(receipt, sign("consignee", receipt, delivery)),
            ),
        )


def note_event(session, occurred) -> None:
    session.execute(
        SEEN.insert().values(
            name=type(occurred.event).__name__, transaction_hash=occurred.transaction_hash
        )
    )


def send_naively(stage: Stage, scripts: list[Script]) -> float:
    """Trips a second with web3's own defaults: each call alone, its receipt awaited."""
    account = Account.create()
    stage.town.client.request("anvil_setBalance", [account.address, hex(10**24)])
    w3 = Web3(Web3.HTTPProvider(stage.node.url))
    w3.middleware_onion.inject(SignAndSendRawMiddlewareBuilder.build(account), layer=0)
    began = time.perf_counter()
    for script in scripts:
        for call in script.calls:
            sent = w3.eth.send_transaction(
                {
                    "from": account.address,
                    "to": stage.town.client.address_of(call.contract),
                    "data": call.data,
                }
            )
            receipt = w3.eth.wait_for_transaction_receipt(sent)
            assert receipt["status"] == 1, call.function
    spent = time.perf_counter() - began
    stage.town.client.request("anvil_setBalance", [account.address, "0x0"])
    return len(scripts) / spent


def work(place: tuple[Path, str, int, str], ready, ends, told) -> None:
    """The worker, in a process of its own: sends and indexes with every handler of the product."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    container = open_container(*place)
    loop = ChainLoop(writers=[container.writer()], indexer=container.indexer(), every_s=0.02)
    loop.start()
    begun = _used_s()
    ready.set()
    memory = [_resident()]
    while not ends.wait(30) and loop.is_running():
        memory.append(_resident())
    memory.append(_resident())
    used_s = _used_s() - begun
    loop.stop()
    failure = None if loop.failure is None else str(loop.failure)
    told.put((failure, memory, used_s))
    container.close()


def _used_s() -> float:
    """Processor time this process has used, in seconds."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


@dataclass(frozen=True)
class Run:
    """What a run has shown; processor time is in milliseconds a trip."""

    pace: Pace
    memory_mib: list[float]
    worker_ms: float
    desk_ms: float
    node_ms: float
    calls: int

    @property
    def rate(self) -> float:
        return self.pace.done / self.pace.seconds


def run_firms(
    folder: Path, *, together: int, until, trips: int, storage_url: str = "", latency: int = 0
) -> tuple[Run, Pace]:
    """Trips through the use cases; a second, calm run of single trips for latencies."""
    node = LocalChain(
        folder / "node", first_block_at=FIRST_BLOCK, keep_state=False, old_states=OLD_STATES
    )
    node.start()
    firms = Firms(folder, node, storage_url)
    acts = [firms.act() for _ in range(trips + latency)]
    ready, ends, told = CONTEXT.Event(), CONTEXT.Event(), CONTEXT.Queue()
    worker = CONTEXT.Process(
        target=work,
        args=((folder, node.url, node.chain_id, firms.url), ready, ends, told),
        daemon=True,
    )
    worker.start()
    try:
        ready.wait()
        desk = Desk(firms.container, firms)
        before = _used_s(), _processor_s(node.process_id)
        pace = run_trips(
            desk,
            iter(acts[latency:]),
            together=together,
            until=lambda done, spent: not worker.is_alive() or until(done, spent),
        )
        _await_final(firms)
        after = _used_s(), _processor_s(node.process_id)
        calm = run_trips(desk, iter(acts[:latency]), together=1, until=lambda *_: False)
        ends.set()
        failure, memory, worker_s = told.get(timeout=60)
        assert failure is None, failure
        calls = _await_final(firms)
    finally:
        ends.set()
        worker.join(20)
        worker.kill()
        firms.close()
        node.stop()
    each = 1000 / max(pace.done, 1)
    run = Run(
        pace=pace,
        memory_mib=memory,
        worker_ms=worker_s * 1000 / max(pace.done + calm.done, 1),
        desk_ms=(after[0] - before[0]) * each,
        node_ms=(after[1] - before[1]) * each,
        calls=calls,
    )
    return run, calm


def _await_final(firms: Firms) -> int:
    """Waits until every call is FINAL; how many there are."""
    deadline = time.monotonic() + 120
    while True:
        with firms.container.storage.read() as session:
            query = select(col(OutgoingTransactionRow.state), func.count())
            states = dict(session.exec(query.group_by(col(OutgoingTransactionRow.state))).all())
        if set(states) == {"final"}:
            return states["final"]
        assert time.monotonic() < deadline, states
        time.sleep(0.01)


def _processor_s(process: int | None) -> float:
    """Processor time a process has used, in seconds."""
    fields = Path(f"/proc/{process}/stat").read_text("utf-8").rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def backfill(stage: Stage) -> float:
    """Events a second into an empty database."""
    storage = Storage(f"sqlite:///{stage.folder}/fresh-{time.monotonic_ns()}.sqlite")
    storage.create_all()
    SEEN.create(storage.engine)
    indexer = Indexer(
        client=stage.town.client,
        storage=storage,
        handlers={event: [note_event] for event in EVENTS.values()},
    )
    began = time.perf_counter()
    index_once(indexer)
    spent = time.perf_counter() - began
    with storage.read() as session:
        events = session.execute(sa.select(sa.func.count()).select_from(SEEN)).scalar_one()
    storage.close()
    return events / spent


def bench_chain(trips: int = 120, naive: int = 6, samples: int = 30) -> Iterator[dict]:
    """Lines ``chain.*``; about two minutes."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        stage = Stage(folder / "naive")
        try:
            baseline = send_naively(stage, [stage.script() for _ in range(naive)])
            for script in (stage.script() for _ in range(60)):
                stage.town.send(*script.calls)
            events = backfill(stage)
        finally:
            stage.close()
        run, calm = run_firms(
            folder / "firms",
            together=TOGETHER,
            until=lambda *_: False,
            trips=trips,
            latency=samples,
        )
    took = sorted(calm.visible)
    yield line(
        "chain.trips_per_second",
        run.rate,
        "trips/s",
        baseline=baseline,
        name="web3 defaults, one call after the other",
        target=6,
    )
    yield line("chain.trips_against_naive", run.rate / baseline, "times", target=5)
    yield line("chain.release_visible_p50", statistics.median(took) * 1000, "ms")
    yield line("chain.release_visible_p99", took[int(len(took) * 0.99)] * 1000, "ms")
    yield line("chain.backfill", events, "events/s", target=3000)
    yield from _costs(run)


def sustained(seconds: float, storage_url: str = "") -> Iterator[dict]:
    """As many trips as it bears for so many seconds; memory every half minute."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as name:
        run, _ = run_firms(
            Path(name) / "firms",
            together=TOGETHER,
            until=lambda _, spent: spent >= seconds,
            trips=int(seconds * 10),
            storage_url=storage_url,
        )
    yield line("chain.sustained_trips_per_second", run.rate, "trips/s", target=6)
    yield {"bench": "chain.resident_mib", "value": run.memory_mib, "unit": "MiB every 30 s"}
    yield from _costs(run)


def _costs(run: Run) -> Iterator[dict]:
    """Where a trip's processor time goes, and the worker's memory."""
    yield line("chain.worker_per_trip", run.worker_ms, "ms of processor")
    yield line("chain.desk_per_trip", run.desk_ms, "ms of processor")
    yield line("chain.node_per_trip", run.node_ms, "ms of processor")
    grown = run.memory_mib[-1] - run.memory_mib[min(1, len(run.memory_mib) - 1)]
    yield line("chain.memory_grown", grown, "MiB")


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trips", type=int, default=120)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument(
        "--storage-url", default="", help="PostgreSQL, say; SQLite on disk if empty"
    )
    given = parser.parse_args()
    lines = (
        sustained(given.seconds, given.storage_url)
        if given.seconds
        else bench_chain(trips=given.trips)
    )
    for one in lines:
        sys.stdout.write(json.dumps(one) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
