"""The composition root: the one place where adapters are built and joined to the use cases."""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import hmac
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import sqlalchemy as sa
import structlog
from sqlmodel import Session, col, select

from api import flow
from api.auth import ApiKeys
from api.board import Board
from api.bulk.jobs import Jobs
from api.documents import Documents
from api.idempotency import KeptAnswers
from api.identity.attempts import Attempts
from api.identity.codes import Codes, CodeSender, HttpSender, NoSender, SandboxSender
from api.identity.door import Door
from api.identity.factors import Factors
from api.identity.notices import Notices
from api.identity.passkeys import Passkeys
from api.identity.people import People
from api.identity.platform_keys import PlatformKeys
from api.identity.proposals import Proposals
from api.identity.sessions import Sessions
from api.known_trips import list_known
from api.line_offers import LineOffers
from api.loan_list import LoanList
from api.metrics import RequestMetrics, exposition
from api.notes import Notes
from api.planned_routes import PlannedRoutes
from api.ports import Services as ServicesPort
from api.privacy.access import AccessLog
from api.privacy.consents import Consents
from api.privacy.papers import Papers
from api.privacy.persons import Persons
from api.receipts.links import ReceiptLinks
from api.saved_views import SavedViews
from api.settings import Settings
from api.timeline import Timeline
from api.vehicles import Vehicles
from api.webhook_sender import Sender
from api.webhooks.addresses import read_networks
from api.webhooks.deliveries import Deliveries
from api.webhooks.endpoints import Endpoints
from api.webhooks.events import Events
from api.webhooks.secrets import Sealer
from chain.abi import ContractCall, Occurred
from chain.bindings.events import EVENTS
from chain.bindings.versions import VERSIONS
from chain.client import ChainClient
from chain.clock import ChainClock, Clock, SystemClock
from chain.deployments import find_deployment, require_versions
from chain.errors import YundanError
from chain.ids import Hash32
from chain.indexer import CURSOR, Handler, Indexer
from chain.local_node import LocalNode
from chain.outbox import SqlOutbox
from chain.ports import BlockRef, ChainReader, Outbox, Records, Signer
from chain.repository import SqlRecords
from chain.sealing import Keyring
from chain.service import Registry
from chain.signers import LocalSigner
from chain.storage import Storage
from chain.tables import BlockRow, CursorRow, OutgoingTransactionRow
from chain.transactions import TransactionWriter, WriterSettings
from finance.account_book import AccountBook
from finance.bank import HttpBank
from finance.custody import Custody
from finance.day_end import DayEnd
from finance.foreign import ASKING, ForeignFacts, ask_foreign
from finance.iso20022 import BankAccount
from finance.onchain import ContractsOnChain
from finance.payers import PayerBook
from finance.payout_jobs import Custodian
from finance.payout_repository import SqlPayoutDesk
from finance.payout_seal import RecordSeal
from finance.payout_service import PayoutService
from finance.reconciling import Reconciliation
from finance.redirects import Redirects
from finance.repository import SqlBooks
from finance.service import FinanceService
from finance.warning import CreditWatch
from tracking.ingest.arrivals import Answer, Arrival
from tracking.ingest.gateway import Gateway, GatewaySettings
from tracking.past import Past
from tracking.repository import SqlRecords as SqlTracks
from tracking.service import TrackingService
from tracking.watch import Watch

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Services:
    """The use cases over one database transaction."""

    session: Session
    outbox: SqlOutbox
    records: SqlRecords
    registry: Registry
    tracks: SqlTracks
    tracking: TrackingService
    books: SqlBooks
    finance: FinanceService
    day_end: DayEnd
    custody: Custody
    payouts: PayoutService
    accounts: AccountBook
    redirects: Redirects
    reconciliation: Reconciliation
    credit_watch: CreditWatch
    keys: ApiKeys
    people: People
    sessions: Sessions
    door: Door
    proposals: Proposals
    platform_keys: PlatformKeys
    notices: Notices
    factors: Factors
    passkeys: Passkeys
    codes: Codes
    papers: Papers
    access: AccessLog
    consents: Consents
    persons: Persons
    answers: KeptAnswers
    routes: PlannedRoutes
    receipts: ReceiptLinks
    timeline: Timeline
    board: Board
    views: SavedViews
    loans: LoanList
    notes: Notes
    offers: LineOffers
    documents: Documents
    jobs: Jobs
    vehicles: Vehicles
    events: Events
    endpoints: Endpoints
    deliveries: Deliveries


class Container:
    """Everything a process shares: settings, database, chain, clock, signers.

    Args:
        settings: of this process.
        wall: the machine's clock, for leases and records that are not evidence.
    """

    def __init__(self, settings: Settings, *, wall: Clock | None = None) -> None:
        self.settings = settings
        self.wall = wall or SystemClock()
        self.keyring = Keyring(settings.master_keys())
        """Seals and opens personal data; the master key behind it is not in the database."""
        self.storage = Storage(
            settings.storage_url, outlives_power_cuts=not settings.demo, keyring=self.keyring
        )
        self.requests = RequestMetrics()
        self._foreign = ForeignFacts()
        self.wake = threading.Event()
        """Set when a transaction with outgoing calls commits: the writer need not wait for its turn."""

    # -- the chain ----------------------------------------------------------------------------

    @cached_property
    def client(self) -> ChainClient:
        """The node, checked for chain id; with the deployment, where one is recorded."""
        deployment = find_deployment(self.settings.deployments, self.settings.chain_id)
        return ChainClient(
            self.settings.rpc_url,
            chain_id=self.settings.chain_id,
            deployment=deployment,
            proves_headers=self.settings.proves_headers,
        )

    def check_chain(self) -> None:
        """Checks chain id, first block, the code at each address and the contracts' versions.

        Raises:
            WrongChainError: another chain, or other code at an address.
            DeploymentOutdatedError: contracts of another version than this program speaks to.
        """
        deployment = self.client.deployment
        known = {name: told for name, told in VERSIONS.items() if name in deployment.contracts}
        require_versions(deployment, known)
        self.client.check_deployment()

    @property
    def reader(self) -> ChainReader:
        """Asks contracts."""
        return self.client

    @cached_property
    def local(self) -> LocalNode | None:
        """Control of a local node, in demo mode alone."""
        return LocalNode(self.client) if self.settings.demo else None

    @cached_property
    def clock(self) -> ChainClock:
        """Time as the chain has it: what is compared with signed times must not run ahead of it."""
        # a demo's hours pass in seconds, so it looks more often
        every_s = 0.02 if self.settings.demo else 0.2
        return ChainClock(lambda: self.client.fetch_head().at, every_s=every_s)

    @cached_property
    def relayer(self) -> Signer:
        """Pays for gas and has no authority: a key in the environment, in a file, or behind a service."""
        return self.settings.relayer.open()

    @cached_property
    def registrar(self) -> Signer:
        """Countersigns registrations."""
        return self.settings.registrar.open()

    @cached_property
    def attestor(self) -> Signer:
        """Signs this platform's track commitments, or an attestor process's verdicts."""
        return self.settings.attestor.open()

    @cached_property
    def code_sender(self) -> CodeSender:
        """Sends one-time codes to phones; a demo writes them into a file of its run."""
        if self.settings.demo:
            return SandboxSender(self.settings.var / "sandbox-sms.jsonl")
        if self.settings.sms_url:
            token = self.settings.sms_token.get_secret_value()
            return HttpSender(self.settings.sms_url, token)
        return NoSender()

    @cached_property
    def past(self) -> Past:
        """Every drive judged before, to find copies among them."""
        return Past()

    @cached_property
    def watch(self) -> Watch:
        """The live view of every trip under way, of the process that works."""
        return Watch()

    @cached_property
    def hash_key(self) -> bytes:
        """Secret of the keyed hashes of numbers and plates."""
        return bytes.fromhex(self.settings.hash_key.get_secret_value().removeprefix("0x"))

    @cached_property
    def sealer(self) -> Sealer:
        """Seals the signing secrets of webhooks."""
        return Sealer(self.keyring, self.hash_key)

    @cached_property
    def webhooks(self) -> Sender:
        """Sends webhooks."""
        return Sender(self, read_networks(self.settings.webhook_networks))

    def blind(self, text: str) -> str:
        """A keyed hash: equal texts are seen to be equal, and nothing else of them is."""
        return hmac.new(self.hash_key, text.encode(), hashlib.sha256).hexdigest()

    # -- the bank -----------------------------------------------------------------------------

    @cached_property
    def bank(self) -> HttpBank | None:
        """The bank's door; None where no bank is joined."""
        if not self.settings.bank_url:
            return None
        return HttpBank(
            self.settings.bank_url, token=self.settings.bank_token.get_secret_value(), timeout_s=10
        )

    @cached_property
    def house(self) -> BankAccount | None:
        """The custodian's account at the bank."""
        settings = self.settings
        if not settings.house_number:
            return None
        return BankAccount(settings.house_holder, settings.house_number, settings.house_bank)

    @cached_property
    def custodian(self) -> Custodian | None:
        """The custodian's two signers, in the one process that signs for him."""
        first = self.settings.custodian_key.get_secret_value()
        second = self.settings.second_custodian_key.get_secret_value()
        if not first or not second:
            return None
        domain = self.client.domain("SettlementToken")
        return Custodian(LocalSigner(first), LocalSigner(second), domain)

    @cached_property
    def seal(self) -> RecordSeal:
        """Keeps account numbers unreadable at rest."""
        secret = self.settings.seal_key.get_secret_value()
        old = bytes.fromhex(secret.removeprefix("0x")) or self.hash_key
        return RecordSeal(self.keyring, old if len(old) >= 32 else b"")

    # -- use cases ----------------------------------------------------------------------------

    def services(self, session: Session) -> Services:
        """The use cases over a session that somebody else begins and ends."""
        outbox = SqlOutbox(
            session,
            signer=self.relayer.address,
            clock=self.wall,
            wake=self.wake,
            tell=_tell_queued,
        )
        contracts = ContractsOnChain(self.client)
        records, tracks, books = SqlRecords(session), SqlTracks(session), SqlBooks(session)
        people = People(session, self.wall, self.keyring)
        sessions = Sessions(session, self.wall)
        desk = SqlPayoutDesk(session)
        papers = Papers(session, self.wall)
        factors = Factors(session, self.wall)
        access = AccessLog(session, self.wall, self.keyring)
        consents = Consents(session, self.wall)
        payouts = PayoutService(
            desk=desk,
            outbox=outbox,
            seal=self.seal,
            clock=self.clock,
            wall=self.wall,
            house=self.house,
            payers=PayerBook(books=books, parties=records, clock=self.clock, blind=self.blind),
        )
        return Services(
            session=session,
            outbox=outbox,
            records=records,
            registry=self._registry(records, outbox),
            tracks=tracks,
            tracking=TrackingService(
                records=tracks, clock=self.clock, outbox=outbox, past=self.past
            ),
            books=books,
            finance=FinanceService(
                books=books,
                outbox=outbox,
                chain=ContractsOnChain(self.client, key_of=records.find_key),
                clock=self.clock,
                foreign=self._foreign,
            ),
            day_end=DayEnd(books=books, clock=self.clock),
            custody=Custody(outbox=outbox, chain=contracts, reader=self.client),
            payouts=payouts,
            reconciliation=Reconciliation(
                desk=desk, books=books, payouts=payouts, chain=contracts, clock=self.clock
            ),
            credit_watch=CreditWatch(books=books, clock=self.clock),
            redirects=Redirects(desk=desk, outbox=outbox, signatures=contracts, clock=self.clock),
            accounts=AccountBook(
                desk=desk,
                parties=records,
                seal=self.seal,
                signatures=contracts,
                clock=self.clock,
                links=books,
                blind=self.blind,
            ),
            keys=ApiKeys(session, self.wall, self.settings.mode_name),
            people=people,
            sessions=sessions,
            proposals=Proposals(session, self.wall),
            platform_keys=PlatformKeys(session, self.wall),
            notices=Notices(session, self.code_sender),
            factors=factors,
            passkeys=Passkeys(session, self.wall),
            codes=Codes(session, self.wall, self.keyring, self.code_sender),
            papers=papers,
            access=access,
            consents=consents,
            persons=Persons(
                session,
                self.wall,
                self.keyring,
                papers=papers,
                consents=consents,
                access=access,
            ),
            door=Door(
                session,
                people=people,
                sessions=sessions,
                attempts=Attempts(session, self.wall, self.keyring),
                factors=factors,
                keyring=self.keyring,
            ),
            answers=KeptAnswers(session, self.wall),
            routes=PlannedRoutes(session, self.wall),
            receipts=ReceiptLinks(session, self.clock),
            timeline=Timeline(session),
            board=Board(session),
            views=SavedViews(session, self.wall),
            loans=LoanList(session),
            notes=Notes(session, self.wall),
            offers=LineOffers(session, self.clock),
            documents=Documents(session, self.wall),
            jobs=Jobs(session, self.wall),
            vehicles=Vehicles(session, self.wall),
            events=Events(session, self.wall),
            endpoints=Endpoints(session, self.wall, self.sealer),
            deliveries=Deliveries(session, self.wall),
        )

    def _registry(self, records: Records, outbox: Outbox, clock: Clock | None = None) -> Registry:
        return Registry(
            records=records,
            outbox=outbox,
            reader=self.client,
            registrar=self.registrar,
            clock=clock or self.clock,
        )

    def registry_over(self, services: ServicesPort, records: Records, clock: Clock) -> Registry:
        """The use cases of the shared record over other records than the stored ones, at one instant."""
        return self._registry(records, services.outbox, clock)

    @contextlib.contextmanager
    def write(self) -> Iterator[Services]:
        """The use cases in a transaction that commits when the block ends well."""
        with self.storage.write() as session:
            yield self.services(session)

    @contextlib.contextmanager
    def read(self) -> Iterator[Services]:
        """The use cases for looking only."""
        with self.storage.read() as session:
            yield self.services(session)

    # -- what runs by itself ------------------------------------------------------------------

    def writer(self) -> TransactionWriter:
        """The sender of outgoing transactions."""
        return TransactionWriter(
            client=self.client,
            storage=self.storage,
            signer=self.relayer,
            clock=self.wall,
            settings=WriterSettings(
                confirmations=self.settings.finality_depth,
                gas_price=self.settings.gas_price,
                in_flight=self.settings.in_flight,
            ),
            local=self.local,
        )

    def indexer(self) -> Indexer:
        """The reader of the chain, with every handler of the flow."""
        return Indexer(
            client=self.client,
            storage=self.storage,
            handlers={
                event: [self._handler(use_case) for use_case in flow.ON.get(event, ())]
                for event in EVENTS.values()
            },
            ask=self._ask_foreign,
            before=self._before,
            after=self._after,
            confirmations=self.settings.finality_depth,
            is_local=self.local is not None,
            observe=self.clock.observe,
        )

    def gateway(self) -> Gateway:
        """The JT/T 808 door."""
        return Gateway(
            take=self._take_arrivals,
            clock=self.clock,
            settings=GatewaySettings(
                host=self.settings.gateway_host, port=self.settings.gateway_port
            ),
        )

    def find_handled_block(self) -> BlockRef | None:
        """The last block whose events were handled; None before the first."""
        with self.storage.read() as session:
            return self.find_handled_in(session)

    def find_handled_in(self, session: Session) -> BlockRef | None:
        """The same in a transaction at hand: what is compared with books must be of their moment."""
        cursor = session.get(CursorRow, CURSOR)
        block = None if cursor is None else session.get(BlockRow, cursor.block_number)
        if block is None:
            return None
        return BlockRef(block.number, Hash32(block.hash), Hash32(block.parent), block.at)

    def find_last_block(self, before: dt.datetime) -> int | None:
        """The last block before an instant; None until events beyond the instant are handled."""
        handled = self.find_handled_block()
        if handled is None or handled.at < before:
            return None
        with self.storage.read() as session:
            number = session.exec(
                select(sa.func.max(col(BlockRow.number))).where(col(BlockRow.at) < before)
            ).one()
        return -1 if number is None else int(number)

    def problems(self) -> list[str]:
        """Why this system is not ready; empty if it is."""
        found = []
        try:
            with self.storage.read() as session:
                session.exec(sa.text("SELECT 1"))  # type: ignore[call-overload]  # any statement will do
        except sa.exc.SQLAlchemyError:
            found.append("the database does not answer")
        try:
            self.check_chain()
        except YundanError as error:
            found.append(str(error))
        return found

    def metrics(self) -> bytes:
        """Business and this process's requests, as Prometheus takes them."""
        with self.storage.read() as session:
            return exposition(session, self.wall, self.requests)

    def close(self) -> None:
        """Gives connections back."""
        if "webhooks" in self.__dict__:
            self.webhooks.close()
        self.storage.close()
        if "client" in self.__dict__:
            self.client.close()
        if self.__dict__.get("bank") is not None:
            self.__dict__["bank"].close()

    def _log_events(self, session: Session, seen: Sequence[Occurred[Any]]) -> None:
        """One line an event: its transaction, and the calls of ours in it, whose lines name their request."""
        calls: dict[str, list[str]] = {}
        hashes = sorted({one.transaction_hash for one in seen})
        for at in range(0, len(hashes), 500):
            row = OutgoingTransactionRow
            query = select(row.transaction_hash, row.key).where(
                col(row.transaction_hash).in_(hashes[at : at + 500])
            )
            for sent, key in session.exec(query):
                calls.setdefault(sent or "", []).append(key)
        for one in seen:
            _log.info(
                "event",
                event_name=type(one.event).__name__,
                transaction=one.transaction_hash,
                calls=calls.get(one.transaction_hash, [])[:5],
            )

    def _ask_foreign(self, seen: Sequence[Occurred[Any]]) -> None:
        asking = [one for one in seen if isinstance(one.event, ASKING)]
        if not asking:
            self._foreign = ForeignFacts()
            return
        with self.storage.read() as session:
            self._foreign = ask_foreign(
                asking,
                books=SqlBooks(session),
                chain=ContractsOnChain(self.client),
                is_known=SqlRecords(session).has_waybill,
            )

    def _before(self, session: Session, seen: Sequence[Occurred[Any]]) -> None:
        self._log_events(session, seen)
        for use_case in flow.BEFORE:
            use_case(self._services_of(session), seen)

    def _after(self, session: Session, seen: Sequence[Occurred[Any]]) -> None:
        for use_case in flow.AFTER:
            use_case(self._services_of(session), seen)

    def _handler(self, use_case: flow.UseCase) -> Handler:
        return lambda session, seen: use_case(self._services_of(session), seen)

    def _services_of(self, session: Session) -> Services:
        """One set of use cases for all events of a database transaction."""
        services: Services | None = session.info.get(Services)
        if services is None:
            services = session.info[Services] = self.services(session)
        return services

    def _take_arrivals(self, arrivals: Sequence[Arrival]) -> list[Answer]:
        with self.write() as services:
            return services.tracking.take_arrivals(arrivals)


def _tell_queued(key: str, call: ContractCall) -> None:
    """One line a call, under the id of the request that asked for it; the event names the same key."""
    _log.info("call_queued", key=key, contract=call.contract, function=call.function)


def list_trips(settings: Settings) -> list[dict[str, Any]]:
    """Every trip in the database of the settings; asks no chain."""
    storage = Storage(settings.storage_url, keyring=Keyring(settings.master_keys()))
    try:
        with storage.read() as session:
            return list(list_known(SqlRecords(session), SqlTracks(session), SqlBooks(session)))
    finally:
        storage.close()
