"""Whole trips through the use cases behind the API, as firms' own programs would drive them.

One process offers (``yundan api``): waybills drafted and signed, the advance decided, requested, agreed
and approved, the truck loaded, its positions kept and committed, two verdicts, the receipt; each request
is a database transaction of its own. Another sends and indexes (``yundan worker``) with every handler of
``api/flow.py``. What can be signed beforehand is; the advance's forms exist only after the decision.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import itertools
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sqlmodel import col, select

from api.bootstrap import Container, Services
from api.settings import Settings
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.enums import TripState
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import (
    Attestation,
    Confirmation,
    CreditLine,
    Loading,
    MintReceipt,
    PartyRegistration,
    Payee,
    VaultMove,
    Waybill,
)
from chain.clock import ChainClock
from chain.ids import AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
from chain.jobs import index_once, send_once
from chain.signers import LocalSigner
from chain.storage import Storage
from chain.tables import TripRow, WaybillRow
from chain.typed_data import struct_hash
from chain.waybill import Stage
from deploy.contracts import ContractSettings, deploy_contracts
from finance.advance import AdvanceState
from finance.tables import AdvanceRow
from tests.integration.api.system import plan
from tests.integration.finance.town import FAR, NAMES, ZERO, word
from tracking import evidence as ground
from tracking.fix import Fix
from tracking.plan import Plan
from tracking.policy import default_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from deploy.node import LocalChain

PRINCIPAL = 500_000
LIMIT = 1_000_000_000_000
FIXES = 12
KINDS = dict(zip(NAMES, NAMES, strict=True)) | {
    "carrier": "contract carrier",
    "firm": "subcontractor",
}
SECRET = hashlib.sha256(b"bench relayer").hexdigest()


def open_container(
    folder: Path, url: str, chain_id: int, storage_url: str, *, finality_depth: int = 0
) -> Container:
    """A process's container on a database that outlives power cuts, as in production."""
    container = Container(
        Settings(
            demo=True,  # for keys made on the spot; everything measured is as in production
            var=folder,
            database_url=storage_url,
            rpc_url=url,
            chain_id=chain_id,
            finality_depth=finality_depth,
            relayer_key=SECRET,
            registrar_key=SECRET,
            hash_key=hashlib.sha256(b"bench hashes").hexdigest(),
            master_key=hashlib.sha256(b"bench master").hexdigest(),
            poll_seconds=0.05,
        )
    )
    container.storage.close()
    container.storage = Storage(storage_url, keyring=container.keyring)
    container.__dict__["local"] = None
    head = container.client.fetch_head
    container.__dict__["clock"] = ChainClock(lambda: head().at, every_s=0.2)
    return container


@dataclass(frozen=True)
class Act:
    """One trip's forms, signed beforehand."""

    trip: TripId
    waybills: tuple[tuple[Waybill, tuple[tuple[PartyId, bytes], ...]], ...]
    plan: dict[str, Any]
    loading: tuple[Loading, bytes]
    verdicts: tuple[tuple[Attestation, bytes], ...]
    receipt: tuple[Confirmation, bytes]
    fixes: tuple[Fix, ...]
    account: Hash32
    fingerprint: Hash32
    notice: Hash32

    @property
    def ids(self) -> list[WaybillId]:
        return [WaybillId(struct_hash(form)) for form, _ in self.waybills]


class Firms:
    """Parties with an open line, and the trips they make.

    Args:
        folder: of the run.
        node: the chain, running.
    """

    def __init__(self, folder: Path, node: LocalChain, storage_url: str = "") -> None:
        self.folder = folder
        self.url = storage_url or f"sqlite:///{folder}/firms.sqlite"
        self.container = open_container(folder, node.url, node.chain_id, self.url)
        self.container.storage.create_all()
        self.keys = {name: LocalSigner(bytes([i + 1]) * 32) for i, name in enumerate(NAMES)}
        self.parties = {name: PartyId(2**63 + i + 1) for i, name in enumerate(NAMES)}
        self._numbers = itertools.count(10**6)
        self._writer = self.container.writer()
        self._indexer = self.container.indexer()
        deploy_contracts(
            client=self.container.client,
            storage=self.container.storage,
            writer=self._writer,
            deployer=self.container.relayer.address,
            clock=self.container.wall,
            settings=ContractSettings(
                admin=self.container.relayer.address, registrar=self.container.relayer.address
            ),
            folder=self.container.settings.deployments,
        )
        self._enrol()
        self.line = self._open_line()
        self._writer.close()

    def close(self) -> None:
        self.container.close()

    def number(self) -> Hash32:
        return word(next(self._numbers))

    def now(self) -> int:
        return int(self.container.client.fetch_head().at.timestamp())

    def sign(self, name: str, form: Any, contract: str) -> bytes:
        return self.keys[name].sign_typed_data(form, self.container.client.domain(contract))

    def _do(self, use_case: Callable[[Services], Any]) -> Any:
        with self.container.write() as services:
            result = use_case(services)
        for _ in range(10):
            sent = send_once(self._writer)
            index_once(self._indexer)
            if sent is not None and not sent.waiting:
                break
        return result

    def _enrol(self) -> None:
        calls = []
        for name in NAMES:
            form = PartyRegistration(
                self.parties[name], self.keys[name].address, self.number(), FAR, self.number()
            )
            signature = self.sign(name, form, "PartyRegistry")
            self._do(
                lambda to, form=form, signature=signature, name=name: to.registry.register_party(
                    form, signature, name_zh=name, name_en=name, kind=KINDS[name]
                )
            )
        calls = [
            *(
                DeliveryRegistry.add_attestor(self.parties[one])
                for one in ("judge_one", "judge_two")
            ),
            SettlementToken.set_custodian(self.parties["bank_one"], self.parties["bank_two"]),
        ]
        account = self.container.client.fetch(PartyRegistry.account_of(self.parties["lender"]))
        mint = MintReceipt(self.number(), account, 10_000_000_000, 20_000)
        calls.append(
            SettlementToken.mint(
                mint,
                self.sign("bank_one", mint, "SettlementToken"),
                self.sign("bank_two", mint, "SettlementToken"),
            )
        )
        for at, call in enumerate(calls):
            self._do(lambda to, call=call, at=at: to.outbox.queue(call, key=f"admin:{at}"))

    def _open_line(self) -> LineId:
        move = VaultMove(self.parties["lender"], True, 10_000_000_000, FAR, self.number())  # noqa: FBT003  the form's own order
        signed = self.sign("lender", move, "CreditFacility")
        self._do(lambda to: to.finance.move_vault(move, signed))
        form = CreditLine(
            lender=self.parties["lender"],
            borrower=self.parties["firm"],
            limit=LIMIT,
            rate_ppm=109_500,
            penalty_ppm=164_250,
            ceiling_ppm=240_000,
            fee_bps=10,
            advance_bps=9_000,
            tolerance_bps=100,
            tenor_days=60,
            grace_days=3,
            attestor=self.parties["judge_one"],
            gated=False,
            valid_until=FAR,
            terms=self.number(),
            expires=FAR,
            salt=self.number(),
        )
        both = [self.sign(name, form, "CreditFacility") for name in ("lender", "firm")]
        made: LineId = self._do(lambda to: to.finance.open_line(form, *both)).line
        return made

    def act(self) -> Act:
        """One trip, everything signed that can be."""
        start, party = self.now(), self.parties
        number = next(self._numbers)
        trip, vehicle, note = TripId(self.number()), self.number(), self.number()
        road = plan() | {"terminal": f"139{number:08d}"}
        plan_hash = ground.plan_hash(Plan.from_json(road).to_json())
        policy = default_policy().policy_hash
        waybills: list[tuple[Waybill, tuple[tuple[PartyId, bytes], ...]]] = []
        sides = (("consignor", "carrier"), ("carrier", "firm"), ("firm", "driver"))
        for tier, (issuer, performer) in enumerate(sides):
            leaf = tier == 2
            form = Waybill(
                parent=WaybillId(struct_hash(waybills[-1][0])) if waybills else WaybillId(ZERO),
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
                plan=plan_hash if leaf else ZERO,
                policy=policy if leaf else ZERO,
                document=self.number(),
                expires=FAR,
                salt=self.number(),
            )
            signed = [
                (party[name], self.sign(name, form, "WaybillRegistry"))
                for name in (issuer, performer)
            ]
            waybills.append((form, tuple(signed)))
        loading = Loading(
            trip, 1, vehicle, 30_000, start - 7_200, self.number(), FAR, self.number()
        )
        root, findings = self.number(), self.number()
        verdicts = []
        for judge in ("judge_one", "judge_two"):
            said = Attestation(
                trip=trip,
                attestor=party[judge],
                version=1,
                vehicle=vehicle,
                plan=plan_hash,
                policy=policy,
                root=root,
                verdict=1,
                findings=findings,
                departed_at=start - 7_100,
                arrived_at=start - 900,
                distance_m=10_000,
                fixes=FIXES,
                late_bps=0,
                expires=FAR,
                salt=self.number(),
            )
            verdicts.append((said, self.sign(judge, said, "DeliveryRegistry")))
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
        return Act(
            trip=trip,
            waybills=tuple(waybills),
            plan=road,
            loading=(loading, self.sign("driver", loading, "DeliveryRegistry")),
            verdicts=tuple(verdicts),
            receipt=(receipt, self.sign("consignee", receipt, "DeliveryRegistry")),
            fixes=tuple(
                Fix(
                    time=start - 7_000 + 40 * at, lat_e6=32_000_000, lon_e6=120_000_000 + 6_000 * at
                )
                for at in range(FIXES)
            ),
            account=self.number(),
            fingerprint=self.number(),
            notice=self.number(),
        )


class Desk:
    """The offering side: takes a trip's steps as they become possible.

    Args:
        firms: whose keys sign what exists only after a decision.
    """

    def __init__(self, container: Container, firms: Firms) -> None:
        self._container = container
        self._keys, self._parties, self._line = firms.keys, firms.parties, firms.line
        self._domain = container.client.domain

    def sign(self, name: str, form: Any, contract: str) -> bytes:
        return self._keys[name].sign_typed_data(form, self._domain(contract))

    def submit(self, act: Act) -> None:
        """Three tiers in one request, signed by both sides of each."""
        with self._container.write() as to:
            for form, signatures in act.waybills:
                leaf = form.trip != ZERO
                to.registry.draft_waybill(form, {}, plan=act.plan if leaf else None)
                for party, signature in signatures:
                    to.registry.sign_waybill(WaybillId(struct_hash(form)), party, signature)

    def ask(self, act: Act) -> AdvanceId:
        """The decision, and the signed request."""
        waybills = act.ids
        with self._container.write() as to:
            prepared = to.finance.prepare_advance(
                line=self._line,
                waybill=waybills[1],
                trip=act.trip,
                principal=PRINCIPAL,
                payees=[Payee(self._parties["driver"], waybills[2], act.account, PRINCIPAL)],
                fingerprint=act.fingerprint,
            )
        signature = self.sign("firm", prepared.form, "FreightAdvance")
        with self._container.write() as to:
            return to.finance.request_advance(prepared.form, signature).advance

    def agree(self, act: Act, advance: AdvanceId) -> None:
        """Debtor, driver and lender agree, and the truck is loaded: four requests."""
        with self._container.read() as to:
            until = self._container.clock.now() + dt.timedelta(days=10)
            known = to.finance.prepare_acknowledgement(advance, notice=act.notice)
            agreed = to.finance.prepare_consent(advance, self._parties["driver"])
            approval = to.finance.prepare_approval(advance, approved_until=until)
        with self._container.write() as to:
            to.finance.acknowledge_debt(known, self.sign("carrier", known, "FreightAdvance"))
        with self._container.write() as to:
            to.finance.consent_payee(agreed, self.sign("driver", agreed, "FreightAdvance"))
        with self._container.write() as to:
            to.finance.approve_advance(approval, self.sign("lender", approval, "FreightAdvance"))
        with self._container.write() as to:
            to.registry.load(*act.loading)

    def drive(self, act: Act) -> None:
        """The positions, their commitment and two verdicts: three requests."""
        with self._container.write() as to:
            to.tracking.take_fixes(act.plan["terminal"], act.fixes)
            for batch in to.tracking.close_batches(act.trip, finish=True):
                to.tracking.commit_batch(
                    batch,
                    attestor=self._parties["judge_one"],
                    signer=self._keys["judge_one"],
                    domain=self._domain("DeliveryRegistry"),
                )
        for said in act.verdicts:
            with self._container.write() as to:
                to.tracking.take_attestation(*said)

    def receive(self, act: Act) -> None:
        """The consignee's receipt: it completes the delivery and releases the money."""
        with self._container.write() as to:
            to.registry.confirm_delivery(*act.receipt)

    # --- what is ready for its next step ---

    def issued(self, acts: list[Act]) -> set[TripId]:
        leaves = {act.ids[2]: act.trip for act in acts}
        with self._container.storage.read() as session:
            query = select(WaybillRow.waybill_id).where(
                col(WaybillRow.waybill_id).in_(leaves), WaybillRow.stage == Stage.ISSUED.value
            )
            return {leaves[WaybillId(one)] for one in session.exec(query)}

    def loaded(self, acts: list[Act]) -> set[TripId]:
        with self._container.storage.read() as session:
            query = select(TripRow.trip_id).where(
                col(TripRow.trip_id).in_([act.trip for act in acts]),
                TripRow.state == TripState.LOADED.value,
            )
            return {TripId(one) for one in session.exec(query)}

    def in_state(self, advances: list[AdvanceId], state: AdvanceState) -> set[AdvanceId]:
        with self._container.storage.read() as session:
            query = select(AdvanceRow.advance).where(
                col(AdvanceRow.advance).in_(advances), AdvanceRow.state == state.value
            )
            return {AdvanceId(one) for one in session.exec(query)}


@dataclass
class Pace:
    """What a run of the offering side saw: when trips began and were seen released."""

    done: int = 0
    seconds: float = 0.0
    visible: tuple[float, ...] = ()


def run_trips(
    desk: Desk, acts: Iterator[Act], *, together: int, until: Callable[[int, float], bool]
) -> Pace:
    """Keeps so many trips under way until ``until(done, seconds)``; then lets those under way end.

    Returns:
        Trips whose release was seen in the rows, the seconds to the last of them, and for each the
        seconds from the commit of its receipt to that sight.
    """
    submitted: dict[TripId, Act] = {}
    asked: dict[AdvanceId, Act] = {}
    agreed: dict[TripId, tuple[Act, AdvanceId]] = {}
    received: dict[AdvanceId, float] = {}
    visible: list[float] = []
    began = time.perf_counter()
    ended = False
    while True:
        busy = False
        spent = time.perf_counter() - began
        ended = ended or until(len(visible), spent)
        under_way = len(submitted) + len(asked) + len(agreed) + len(received)
        if ended and not under_way:
            break
        if not ended and under_way < together:
            act = next(acts, None)
            ended = act is None
            if act is not None:
                desk.submit(act)
                submitted[act.trip] = act
                busy = True
        for trip in desk.issued(list(submitted.values())) if submitted else ():
            act = submitted.pop(trip)
            asked[desk.ask(act)] = act
            busy = True
        for advance in desk.in_state(list(asked), AdvanceState.REQUESTED) if asked else ():
            act = asked.pop(advance)
            desk.agree(act, advance)
            agreed[act.trip] = (act, advance)
            busy = True
        for trip in desk.loaded([act for act, _ in agreed.values()]) if agreed else ():
            act, advance = agreed.pop(trip)
            desk.drive(act)
            desk.receive(act)
            received[advance] = time.perf_counter()
            busy = True
        seen = desk.in_state(list(received), AdvanceState.RELEASED) if received else ()
        visible.extend(time.perf_counter() - received.pop(advance) for advance in seen)
        if not busy:
            time.sleep(0.005)
    return Pace(len(visible), time.perf_counter() - began, tuple(visible))
