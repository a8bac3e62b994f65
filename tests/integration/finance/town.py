"""A town: a real node with the real contracts, parties with keys, waybills, trips, and the books of finance."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING

import sqlalchemy as sa
from sqlmodel import select

from chain.bindings import events
from chain.bindings.delivery_registry import DeliveryRegistry
from chain.bindings.party_registry import PartyRegistry
from chain.bindings.settlement_token import SettlementToken
from chain.bindings.structs import (
    AdvanceRequest,
    Attestation,
    Confirmation,
    CreditLine,
    LenderAct,
    Loading,
    MintReceipt,
    PartyRegistration,
    Payee,
    PayoutReceipt,
    Repayment,
    VaultMove,
    Waybill,
)
from chain.bindings.waybill_registry import WaybillRegistry
from chain.clock import ChainClock, SystemClock
from chain.ids import Hash32, PartyId, TripId, WaybillId
from chain.indexer import Indexer
from chain.local_node import LocalNode
from chain.outbox import SqlOutbox
from chain.ports import BlockRef
from chain.signers import LocalSigner
from chain.storage import Storage
from chain.tables import BlockRow, CursorRow, OutgoingTransactionRow
from chain.transactions import TransactionWriter, WriterSettings
from chain.typed_data import struct_hash
from deploy.contracts import ContractSettings, deploy_contracts
from finance.day_end import DayEnd
from finance.foreign import ForeignFacts, ask_foreign
from finance.jobs import close_days
from finance.onchain import ContractsOnChain
from finance.repository import SqlBooks
from finance.service import FinanceService

if TYPE_CHECKING:
    from sqlmodel import Session

FIRST_BLOCK = dt.datetime(2026, 1, 26, 15, 50, tzinfo=dt.UTC)
FAR = 2_000_000_000
ZERO = Hash32("0x" + "00" * 32)
NAMES = (
    "lender", "bank_one", "bank_two", "consignor", "carrier", "firm", "driver", "consignee",
    "judge_one", "judge_two", "judge_three",
)  # fmt: skip
HANDLERS = {
    events.LineOpened: "on_line_opened",
    events.LineChanged: "on_line_changed",
    events.LineRuleSet: "on_line_rule_set",
    events.VaultMoved: "on_vault_moved",
    events.LineReserved: "on_line_reserved",
    events.LineReserveVoided: "on_line_reserve_voided",
    events.LineDrawn: "on_line_drawn",
    events.LineRepaid: "on_line_repaid",
    events.LineWrittenOff: "on_line_written_off",
    events.AdvanceRequested: "on_advance_requested",
    events.DebtAcknowledged: "on_debt_acknowledged",
    events.PayeeConsented: "on_payee_consented",
    events.AdvanceApproved: "on_advance_approved",
    events.AdvanceDeclined: "on_advance_declined",
    events.AdvanceReleasable: "on_advance_releasable",
    events.AdvanceReleased: "on_advance_released",
    events.PayeePaid: "on_payee_paid",
    events.PayeeFailed: "on_payee_failed",
    events.AdvanceVoided: "on_advance_voided",
    events.InterestDeferred: "on_interest_deferred",
    events.AdvanceExtended: "on_advance_extended",
    events.AdvanceRepaid: "on_advance_repaid",
    events.AdvanceClosed: "on_advance_closed",
    events.AdvanceDefaulted: "on_advance_defaulted",
    events.AdvanceWrittenOff: "on_advance_written_off",
    events.DeliveryCompleted: "on_delivery_completed",
    events.FreightSettled: "on_freight_settled",
    events.PayoutPaid: "on_payout_paid",
    events.Transfer: "on_token_moved",
}


def word(number: int) -> Hash32:
    return Hash32("0x" + number.to_bytes(32, "big").hex())


@dataclass(frozen=True)
class Trip:
    """The three waybills of one trip: consignor, carrier, firm, driver."""

    trip: TripId
    waybills: tuple[WaybillId, WaybillId, WaybillId]
    freight: int
    quantity: int
    vehicle: Hash32
    account: Hash32


class Town:
    def __init__(self, chain, url: str, folder) -> None:
        self.client = chain.client()
        self.storage = Storage(url)
        self.storage.create_all()
        self.relayer = LocalSigner(b"\x17" * 32)
        self.wall = SystemClock()
        self.writer = TransactionWriter(
            client=self.client,
            storage=self.storage,
            signer=self.relayer,
            clock=self.wall,
            settings=WriterSettings(),
        )
        self.node = LocalNode(self.client)
        deploy_contracts(
            client=self.client,
            storage=self.storage,
            writer=self.writer,
            deployer=self.relayer.address,
            clock=self.wall,
            settings=ContractSettings(admin=self.relayer.address, registrar=self.relayer.address),
            folder=folder,
        )
        self.clock = ChainClock(lambda: self.client.fetch_head().at, every_s=0)
        self.keys = {name: LocalSigner(bytes([i + 1]) * 32) for i, name in enumerate(NAMES)}
        self.parties = {name: PartyId(2**63 + i + 1) for i, name in enumerate(NAMES)}
        self._numbers = itertools.count(1_000)
        self._keys_used = itertools.count()
        self.indexer = Indexer(
            client=self.client,
            storage=self.storage,
            handlers={event: [self._handler(name)] for event, name in HANDLERS.items()},
            observe=self.clock.observe,
            ask=self._ask_foreign,
        )
        self.foreign = ForeignFacts()

    # -- plumbing

    def _ask_foreign(self, seen) -> None:
        with self.storage.read() as session:
            self.foreign = ask_foreign(
                seen, books=SqlBooks(session), chain=ContractsOnChain(self.client)
            )

    def service(self, session: Session) -> FinanceService:
        return FinanceService(
            books=SqlBooks(session),
            outbox=self.outbox(session),
            chain=ContractsOnChain(self.client),
            clock=self.clock,
            foreign=self.foreign,
        )

    def outbox(self, session: Session) -> SqlOutbox:
        return SqlOutbox(session, signer=self.relayer.address, clock=self.wall)

    def _handler(self, name: str):
        return lambda session, seen: getattr(self.service(session), name)(seen)

    def do(self, use_case):
        """A use case in its own transaction, then everything that follows from it on chain."""
        with self.storage.write() as session:
            result = use_case(self.service(session))
        self.settle_down()
        return result

    def look(self, use_case):
        with self.storage.read() as session:
            return use_case(self.service(session))

    def books(self, ask):
        with self.storage.read() as session:
            return ask(SqlBooks(session))

    def send(self, *calls) -> None:
        with self.storage.write() as session:
            for call in calls:
                self.outbox(session).queue(call, key=f"town:{next(self._keys_used)}")
        self.settle_down()

    def settle_down(self) -> None:
        for _ in range(30):
            done = self.writer.send_once()
            if not done.moved and not done.waiting:
                break
        while self.indexer.index_once().moved:
            pass
        with self.storage.read() as session:
            bad = [
                (row.function, row.error, row.error_facts)
                for row in session.exec(select(OutgoingTransactionRow))
                if row.state not in ("final", "mined")
            ]
        self.refused = bad

    def sign(self, name: str, form, contract: str) -> bytes:
        return self.keys[name].sign_typed_data(form, self.client.domain(contract))

    def handled(self) -> BlockRef:
        with self.storage.read() as session:
            cursor = session.get(CursorRow, "projection")
            block = session.get(BlockRow, cursor.block_number)
            return BlockRef(block.number, Hash32(block.hash), Hash32(block.parent), block.at)

    def now(self) -> int:
        return int(self.client.fetch_head().at.timestamp())

    def later(self, **span) -> None:
        self.node.advance_to(self.client.fetch_head().at + dt.timedelta(**span))
        self.settle_down()

    def number(self) -> Hash32:
        return word(next(self._numbers))

    def reconcile(self):
        with self.storage.write() as session:
            return self.service(session).reconcile(self.handled())

    def close_days(self, until_day: int):
        """Closes the lender's business dates as the job does."""

        @contextlib.contextmanager
        def begin():
            with self.storage.write() as session:
                yield DayEnd(books=SqlBooks(session), clock=self.clock)

        def last_block(before):
            if self.handled().at < before:
                return None
            with self.storage.read() as session:
                query = select(sa.func.max(BlockRow.number)).where(BlockRow.at < before)
                return session.exec(query).one()

        return close_days(begin, last_block, lender=self.parties["lender"], until_day=until_day)

    # -- the cast

    def enrol(self) -> None:
        calls = []
        for name in NAMES:
            form = PartyRegistration(
                self.parties[name], self.keys[name].address, self.number(), FAR, self.number()
            )
            calls.append(
                PartyRegistry.register(
                    form,
                    self.sign(name, form, "PartyRegistry"),
                    self.relayer.sign_typed_data(form, self.client.domain("PartyRegistry")),
                )
            )
        self.send(*calls)
        self.send(
            *(
                DeliveryRegistry.add_attestor(self.parties[f"judge_{n}"])
                for n in ("one", "two", "three")
            ),
            SettlementToken.set_custodian(self.parties["bank_one"], self.parties["bank_two"]),
        )
        assert not self.refused, self.refused

    def mint(self, account, amount: int) -> None:
        form = MintReceipt(self.number(), account, amount, 20_000)
        self.send(
            SettlementToken.mint(
                form,
                self.sign("bank_one", form, "SettlementToken"),
                self.sign("bank_two", form, "SettlementToken"),
            )
        )

    def account(self, name: str):
        return self.client.fetch(PartyRegistry.account_of(self.parties[name]))

    def fund(self, amount: int) -> None:
        """Bank money into the lender's vault."""
        self.mint(self.account("lender"), amount)
        form = VaultMove(
            lender=self.parties["lender"],
            deposit=True,
            amount=amount,
            expires=FAR,
            salt=self.number(),
        )
        self.do(lambda s: s.move_vault(form, self.sign("lender", form, "CreditFacility")))

    def line_form(self, **change) -> CreditLine:
        values = {
            "lender": self.parties["lender"],
            "borrower": self.parties["firm"],
            "limit": 5_000_000,
            "rate_ppm": 109_500,
            "penalty_ppm": 164_250,
            "ceiling_ppm": 240_000,
            "fee_bps": 10,
            "advance_bps": 9_000,
            "tolerance_bps": 100,
            "tenor_days": 60,
            "grace_days": 3,
            "attestor": self.parties["judge_one"],
            "gated": False,
            "valid_until": FAR,
            "terms": self.number(),
            "expires": FAR,
            "salt": self.number(),
        }
        return CreditLine(**values | change)

    def open_line(self, **change):
        form = self.line_form(**change)
        record = self.do(
            lambda s: s.open_line(
                form,
                self.sign("lender", form, "CreditFacility"),
                self.sign("firm", form, "CreditFacility"),
            )
        )
        assert not self.refused, self.refused
        return record.line

    # -- one trip

    def issue_trip(self, freight: int = 1_000_000, quantity: int = 30_000) -> Trip:
        start = self.now()
        note, trip, vehicle = self.number(), TripId(self.number()), self.number()
        chain = [("consignor", "carrier"), ("carrier", "firm"), ("firm", "driver")]
        ids: list[WaybillId] = []
        calls = []
        for tier, (issuer, performer) in enumerate(chain):
            leaf = tier == 2
            form = Waybill(
                parent=ids[-1] if ids else WaybillId(ZERO),
                issuer=self.parties[issuer],
                performer=self.parties[performer],
                consignee=self.parties["consignee"],
                shipping_note=note,
                trip=trip if leaf else TripId(ZERO),
                vehicle=vehicle if leaf else ZERO,
                freight=freight * (10 - tier) // 10,
                quantity=quantity,
                load_from=start - 60,
                deliver_by=start + 10 * 86_400,
                term_days=45,
                plan=self.number() if leaf else ZERO,
                policy=word(7) if leaf else ZERO,
                document=self.number(),
                expires=FAR,
                salt=self.number(),
            )
            ids.append(WaybillId(struct_hash(form)))
            self.plan = form.plan
            calls.append(
                WaybillRegistry.issue(
                    form,
                    self.sign(issuer, form, "WaybillRegistry"),
                    self.sign(performer, form, "WaybillRegistry"),
                )
            )
        self.send(*calls)
        assert not self.refused, self.refused
        self.plans = getattr(self, "plans", {}) | {trip: self.plan}
        return Trip(trip, tuple(ids), freight, quantity, vehicle, word(77))

    def payees(self, trip: Trip, amount: int) -> list[Payee]:
        return [Payee(self.parties["driver"], trip.waybills[2], trip.account, amount)]

    def ask(self, line, trip: Trip, amount: int, **more):
        """The decision and the request, signed by the firm; the advance."""
        prepared = self.prepare(line, trip, amount, **more)
        return self.request(prepared.form)

    def prepare(self, line, trip: Trip, amount: int, **more):
        with self.storage.write() as session:
            return self.service(session).prepare_advance(
                line=line,
                waybill=trip.waybills[1],
                trip=trip.trip,
                principal=amount,
                payees=more.pop("payees", None) or self.payees(trip, amount),
                fingerprint=more.pop("fingerprint", None) or self.number(),
                **more,
            )

    def request(self, form: AdvanceRequest):
        return self.do(
            lambda s: s.request_advance(form, self.sign("firm", form, "FreightAdvance"))
        ).advance

    def agree(self, advance) -> None:
        """Debtor and driver agree."""
        ack = self.look(lambda s: s.prepare_acknowledgement(advance, notice=self.number()))
        self.do(lambda s: s.acknowledge_debt(ack, self.sign("carrier", ack, "FreightAdvance")))
        yes = self.look(lambda s: s.prepare_consent(advance, self.parties["driver"]))
        self.do(lambda s: s.consent_payee(yes, self.sign("driver", yes, "FreightAdvance")))

    def approve(self, advance, days: int = 10) -> None:
        until = self.client.fetch_head().at + dt.timedelta(days=days)
        form = self.look(lambda s: s.prepare_approval(advance, approved_until=until))
        self.do(lambda s: s.approve_advance(form, self.sign("lender", form, "FreightAdvance")))

    def drive(self, trip: Trip, accepted: int | None = None) -> None:
        """Loads, attests twice, and has the consignee confirm: the delivery completes."""
        self.later(minutes=5)
        at = self.now() - 10
        form = Loading(
            trip.trip, 1, trip.vehicle, trip.quantity, at, self.number(), FAR, self.number()
        )
        self.send(DeliveryRegistry.load(form, self.sign("driver", form, "DeliveryRegistry")))
        self.later(hours=3)
        root, arrived = self.number(), self.now() - 60
        calls = []
        findings = self.number()
        for judge in ("judge_one", "judge_two"):
            verdict = Attestation(
                trip=trip.trip,
                attestor=self.parties[judge],
                version=1,
                vehicle=trip.vehicle,
                plan=self.plans[trip.trip],
                policy=word(7),
                root=root,
                verdict=1,
                findings=findings,
                departed_at=at + 60,
                arrived_at=arrived,
                distance_m=10_000,
                fixes=500,
                late_bps=0,
                expires=FAR,
                salt=self.number(),
            )
            calls.append(
                DeliveryRegistry.attest(verdict, self.sign(judge, verdict, "DeliveryRegistry"))
            )
        self.send(*calls)
        receipt = Confirmation(
            trip=trip.trip,
            by=self.parties["consignee"],
            version=1,
            vehicle=trip.vehicle,
            accepted=trip.quantity if accepted is None else accepted,
            condition=0,
            document=self.number(),
            at=self.now() - 1,
            expires=FAR,
            salt=self.number(),
        )
        self.send(
            DeliveryRegistry.confirm(receipt, self.sign("consignee", receipt, "DeliveryRegistry"))
        )

    def released(self, line, amount: int = 500_000) -> tuple[Trip, str]:
        """A trip whose advance was released."""
        trip = self.issue_trip()
        advance = self.ask(line, trip, amount)
        self.agree(advance)
        self.approve(advance)
        self.drive(trip)
        assert not self.refused, self.refused
        return trip, advance

    def pay_debtor(self, trip: Trip, amount: int, reference: str = "r1") -> None:
        """The debtor's bank money arrives on the collection account and is settled."""
        from chain.bindings.freight_settlement import FreightSettlement

        account = self.client.fetch(FreightSettlement.collection_account(trip.waybills[1]))
        self.mint(account, amount)
        self.do(lambda s: s.settle_waybill(trip.waybills[1], reference=reference))

    def repay(self, advance, amount: int) -> None:
        self.mint(self.account("firm"), amount)
        form = Repayment(advance, amount, FAR, self.number())
        self.do(lambda s: s.repay_advance(form, self.sign("firm", form, "FreightAdvance")))

    def act(self, advance, act: int, value: int = 0) -> None:
        form = LenderAct(advance, act, value, self.number(), FAR, self.number())
        self.do(lambda s: s.act_on_advance(form, self.sign("lender", form, "FreightAdvance")))

    def bank_pays(self, payout) -> None:
        form = PayoutReceipt(payout, self.number(), 20_000)
        self.send(
            SettlementToken.confirm_payout(
                form,
                self.sign("bank_one", form, "SettlementToken"),
                self.sign("bank_two", form, "SettlementToken"),
            )
        )
