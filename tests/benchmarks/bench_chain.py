"""Speed of the chain's door: whole trips to FINAL, against web3's defaults call by call; latency; backfill.

Each function yields lines of ``yundan bench``. Run singly:
``python -m tests.benchmarks.bench_chain [--trips 60] [--seconds 0]``. Inputs are signed beforehand; the
node is a local anvil on the same machine, so both variants share the processor with it. Calls are
offered by one process and sent and indexed by another, as ``yundan api`` and ``yundan worker`` are.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import logging
import multiprocessing
import resource
import statistics
import sys
import tempfile
import threading
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
from chain.bindings.events import EVENTS, AdvanceReleased
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
from chain.clock import SystemClock
from chain.ids import AdvanceId, TripId, WaybillId
from chain.indexer import Indexer
from chain.jobs import ChainLoop, index_once
from chain.outbox import SqlOutbox
from chain.storage import Storage
from chain.tables import OutgoingTransactionRow
from chain.transactions import TransactionWriter
from chain.typed_data import struct_hash
from deploy.node import LocalChain
from tests.integration.finance.town import FAR, FIRST_BLOCK, ZERO, Town, word

if TYPE_CHECKING:
    from collections.abc import Iterator

    from chain.abi import ContractCall
    from chain.ids import Address

CONTEXT = multiprocessing.get_context("forkserver")
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
                WaybillRegistry.issue_batch(forms, issuers, performers, True),  # noqa: FBT003
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


def offer(url: str, signer: Address, trips: list, ready, go) -> None:
    """The API's part, in a process of its own: each call in its own database transaction."""
    storage = Storage(url)
    clock = SystemClock()
    ready.set()
    go.wait()
    for trip, calls in enumerate(trips):
        for at, call in enumerate(calls):
            with storage.write() as session:
                outbox = SqlOutbox(session, signer=signer, clock=clock)
                outbox.queue(call, key=f"bench:offered:{trip}:{at}")
    storage.close()


class Bench:
    """The product's own door: outbox, writer and indexer as a worker process runs them."""

    def __init__(self, stage: Stage) -> None:
        self.stage = stage
        town = stage.town
        town.writer.close()
        self.storage = town.storage
        with contextlib.suppress(sa.exc.OperationalError):
            SEEN.create(self.storage.engine, checkfirst=True)
        self.writer = TransactionWriter(
            client=town.client, storage=self.storage, signer=town.relayer, clock=town.wall
        )
        self.released: dict[str, threading.Event] = {}
        self.indexer = Indexer(
            client=town.client,
            storage=self.storage,
            handlers={event: [note_event] for event in EVENTS.values()}
            | {AdvanceReleased: [note_event, self._tell]},
        )
        self.loop = ChainLoop(writers=[self.writer], indexer=self.indexer, every_s=0.05)
        self._keys = itertools.count()

    def _tell(self, _session, occurred) -> None:
        waiting = self.released.get(occurred.event.advance)
        if waiting is not None:
            waiting.set()

    def queue(self, calls) -> None:
        """Each call in a database transaction of its own, as requests come."""
        town = self.stage.town
        for call in calls:
            with self.storage.write() as session:
                outbox = SqlOutbox(
                    session, signer=town.relayer.address, clock=town.wall, wake=self.loop.wake
                )
                outbox.queue(call, key=f"bench:{next(self._keys)}")

    def states(self) -> dict[str, int]:
        with self.storage.read() as session:
            return dict(
                session.exec(
                    select(col(OutgoingTransactionRow.state), func.count())
                    .where(col(OutgoingTransactionRow.key).like("bench:%"))
                    .group_by(col(OutgoingTransactionRow.state))
                ).all()
            )

    def trips_a_second(self, scripts: list[Script]) -> float:
        """Trips a second from the first call queued to the last release handled and FINAL."""
        for script in scripts:
            self.released[script.advance] = threading.Event()
        town = self.stage.town
        ready, go = CONTEXT.Event(), CONTEXT.Event()
        offering = CONTEXT.Process(
            target=offer,
            args=(
                self.storage.url.render_as_string(hide_password=False),
                town.relayer.address,
                [script.calls for script in scripts],
                ready,
                go,
            ),
            daemon=True,
        )
        offering.start()
        ready.wait()
        began = time.perf_counter()
        go.set()
        for script in scripts:
            while not self.released[script.advance].wait(1):
                assert self.loop.is_running(), self.loop.failure
                refused = self.states().get("reverted")
                assert not refused, f"{refused} calls were refused"
        while set(self.states()) != {"final"}:
            time.sleep(0.01)
        spent = time.perf_counter() - began
        offering.join()
        return len(scripts) / spent

    def latencies(self, scripts: list[Script]) -> list[float]:
        """Seconds from the commit that queues the completing call to the handled release."""
        found = []
        for script in scripts:
            self.released[script.advance] = threading.Event()
            self.queue(script.calls[:-1])
            while set(self.states()) != {"final"}:
                time.sleep(0.005)
            time.sleep(0.05)
            began = time.perf_counter()
            self.queue(script.calls[-1:])
            assert self.released[script.advance].wait(20)
            found.append(time.perf_counter() - began)
        return found


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


def bench_chain(trips: int = 60, naive: int = 4, samples: int = 20) -> Iterator[dict]:
    """Lines ``chain.*``; about a minute."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        try:
            baseline = send_naively(stage, [stage.script() for _ in range(naive)])
            scripts = [stage.script() for _ in range(trips)]
            late = [stage.script() for _ in range(samples)]
            bench = Bench(stage)
            bench.loop.start()
            before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            ours = bench.trips_a_second(scripts)
            after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            took = sorted(bench.latencies(late))
            bench.loop.stop()
            yield line(
                "chain.trips_per_second",
                ours,
                "trips/s",
                baseline=baseline,
                name="web3 defaults, one call after the other",
                target=6,
            )
            yield line("chain.trips_against_naive", ours / baseline, "times", target=5)
            yield line("chain.release_visible_p50", statistics.median(took) * 1000, "ms")
            yield line("chain.release_visible_p99", took[int(len(took) * 0.99)] * 1000, "ms")
            yield line("chain.backfill", backfill(stage), "events/s", target=3000)
            yield line("chain.memory_grown", (after - before) / 1024, "MiB")
        finally:
            stage.close()


def sustained(seconds: float, rate: float) -> Iterator[dict]:
    """Trips offered at a steady rate for so many seconds; memory by the minute."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR))
    with tempfile.TemporaryDirectory() as folder:
        stage = Stage(Path(folder))
        scripts = [stage.script() for _ in range(int(seconds * rate))]
        bench = Bench(stage)
        bench.loop.start()
        memory = [_resident()]
        began = time.perf_counter()
        for at, script in enumerate(scripts):
            time.sleep(max(0.0, began + at / rate - time.perf_counter()))
            self_paced = script.calls
            bench.released[script.advance] = threading.Event()
            bench.queue(self_paced)
            if at % max(int(rate * 30), 1) == 0:
                memory.append(_resident())
        for script in scripts:
            assert bench.released[script.advance].wait(120), bench.loop.failure
        spent = time.perf_counter() - began
        memory.append(_resident())
        bench.loop.stop()
        stage.close()
        yield line("chain.sustained_trips_per_second", len(scripts) / spent, "trips/s", target=6)
        yield {"bench": "chain.resident_mib", "value": memory, "unit": "MiB every 30 s"}


def _resident() -> float:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return round(pages * resource.getpagesize() / 2**20, 1)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trips", type=int, default=60)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--rate", type=float, default=12.0)
    given = parser.parse_args()
    lines = (
        sustained(given.seconds, given.rate) if given.seconds else bench_chain(trips=given.trips)
    )
    for one in lines:
        sys.stdout.write(json.dumps(one) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
