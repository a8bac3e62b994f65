"""What the doors need of the composition root; ``api.bootstrap`` keeps it, routes and pages use it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from api.auth import ApiKeys
from api.board import Board
from api.bulk.jobs import Jobs
from api.documents import Documents
from api.idempotency import KeptAnswers
from api.identity.codes import Codes
from api.identity.door import Door
from api.identity.factors import Factors
from api.identity.notices import Notices
from api.identity.passkeys import Passkeys
from api.identity.people import People
from api.identity.platform_keys import PlatformKeys
from api.identity.proposals import Proposals
from api.identity.sessions import Sessions
from api.line_offers import LineOffers
from api.loan_list import LoanList
from api.metrics import RequestMetrics
from api.notes import Notes
from api.planned_routes import PlannedRoutes
from api.privacy.access import AccessLog
from api.privacy.consents import Consents
from api.privacy.papers import Papers
from api.privacy.persons import Persons
from api.receipts.links import ReceiptLinks
from api.saved_views import SavedViews
from api.settings import Settings
from api.timeline import Timeline
from api.vehicles import Vehicles
from api.webhooks.deliveries import Deliveries
from api.webhooks.endpoints import Endpoints
from api.webhooks.events import Events
from chain.clock import Clock
from chain.delivery import HeldTrip
from chain.ids import PartyId, TripId, WaybillId
from chain.party import Party
from chain.ports import BlockRef, ChainReader, Outbox, Records
from chain.service import Registry
from chain.waybill import HeldWaybill, Stage
from finance.account_book import AccountBook
from finance.custody import Custody
from finance.payout_service import PayoutService
from finance.ports import Books
from finance.reconciling import Reconciliation
from finance.redirects import Redirects
from finance.service import FinanceService
from finance.warning import CreditWatch
from tracking.ports import Records as Tracks
from tracking.service import TrackingService


class Shelf(Records, Protocol):
    """The records of the chain package, and the lists that only a door asks for."""

    def list_leaves(self, trips: Sequence[TripId]) -> dict[TripId, HeldWaybill]:
        """The latest waybill that names each of some trips."""
        ...

    def list_parties_called(self, names: Sequence[str]) -> dict[str, list[Party]]:
        """Registered parties by the name that people call them, in either language."""
        ...

    def list_parties_of_kind(self, kind: str, *, limit: int) -> list[Party]:
        """Registered parties of a kind, the first registered first."""
        ...

    def add_waybills(self, waybills: Sequence[HeldWaybill]) -> None:
        """New waybills, many at once, in their order."""
        ...

    def list_waybills(
        self,
        *,
        party: PartyId | None,
        stage: Stage | None,
        before: int | None = None,
        after: int | None = None,
        side: str = "",
        parent: WaybillId | None = None,
        limit: int,
    ) -> list[tuple[int, HeldWaybill]]:
        """A page of waybills, newest first, each with the number that the next page begins before."""
        ...

    def find_number(self, waybill: WaybillId, party: PartyId) -> int | None:
        """The number of a waybill in lists; None if there is none in which the party stands."""
        ...

    def list_trips_of(
        self, party: PartyId | None, *, also: Collection[TripId] = (), after: str = "", limit: int
    ) -> list[tuple[HeldTrip, list[HeldWaybill]]]:
        """A page of trips by id, each with its waybills from the leaf up; all trips if no party."""
        ...

    def list_trips_by_id(
        self, trips: Collection[TripId]
    ) -> dict[TripId, tuple[HeldTrip, list[HeldWaybill]]]:
        """Trips by id, each with its waybills from the leaf up."""
        ...


class Services(Protocol):
    """Every use case in one database transaction; what is written commits with it."""

    @property
    def registry(self) -> Registry:
        """Parties, waybills, deliveries."""
        ...

    @property
    def records(self) -> Shelf:
        """The rows behind it."""
        ...

    @property
    def outbox(self) -> Outbox:
        """What was sent to the chain and what became of it."""
        ...

    @property
    def tracking(self) -> TrackingService:
        """Terminals, positions, batches, verdicts, attestations."""
        ...

    @property
    def tracks(self) -> Tracks:
        """The rows behind it."""
        ...

    @property
    def finance(self) -> FinanceService:
        """Lines, advances, repayments, reconciliation."""
        ...

    @property
    def custody(self) -> Custody:
        """Bank money received, payouts carried out."""
        ...

    @property
    def payouts(self) -> PayoutService:
        """What the chain queued for the bank, and what the bank says of it."""
        ...

    @property
    def reconciliation(self) -> Reconciliation:
        """The bank's statements; chain, ledger and bank against one another."""
        ...

    @property
    def credit_watch(self) -> CreditWatch:
        """Early warnings, what they lower, contacts of the dunning plan."""
        ...

    @property
    def redirects(self) -> Redirects:
        """Other accounts for payouts that the bank sent back."""
        ...

    @property
    def accounts(self) -> AccountBook:
        """Where payees want their money."""
        ...

    @property
    def books(self) -> Books:
        """The rows of the money."""
        ...

    @property
    def keys(self) -> ApiKeys:
        """API keys."""
        ...

    @property
    def people(self) -> People:
        """Organisations, members, invitations."""
        ...

    @property
    def sessions(self) -> Sessions:
        """Browser sessions."""
        ...

    @property
    def proposals(self) -> Proposals:
        """What waits for a second person."""
        ...

    @property
    def platform_keys(self) -> PlatformKeys:
        """Keys that the platform holds for parties, by their choice."""
        ...

    @property
    def notices(self) -> Notices:
        """Short notices to the people of a party."""
        ...

    @property
    def factors(self) -> Factors:
        """Second factors."""
        ...

    @property
    def passkeys(self) -> Passkeys:
        """Passkeys."""
        ...

    @property
    def codes(self) -> Codes:
        """One-time codes to phones."""
        ...

    @property
    def papers(self) -> Papers:
        """What was worded for signing, with the salts that open its hashes."""
        ...

    @property
    def access(self) -> AccessLog:
        """Who asked for personal data."""
        ...

    @property
    def consents(self) -> Consents:
        """Who agreed to what."""
        ...

    @property
    def persons(self) -> Persons:
        """Export and erasure."""
        ...

    @property
    def door(self) -> Door:
        """Signing in."""
        ...

    @property
    def answers(self) -> KeptAnswers:
        """Answers kept for repeated requests."""
        ...

    @property
    def routes(self) -> PlannedRoutes:
        """Planned routes by name."""
        ...

    @property
    def receipts(self) -> ReceiptLinks:
        """Receipt links, signed receipts, and what drivers say on their way."""
        ...

    @property
    def board(self) -> Board:
        """Every party's trips at a glance."""
        ...

    @property
    def loans(self) -> LoanList:
        """Loans as lists and sums."""
        ...

    @property
    def notes(self) -> Notes:
        """What people write for each other."""
        ...

    @property
    def offers(self) -> LineOffers:
        """Terms of lines that wait for both signatures."""
        ...

    @property
    def views(self) -> SavedViews:
        """Filters of lists kept by name."""
        ...

    @property
    def timeline(self) -> Timeline:
        """What the chain has said, by what it is about."""
        ...

    @property
    def documents(self) -> Documents:
        """Photos and papers."""
        ...

    @property
    def jobs(self) -> Jobs:
        """Imports and exports."""
        ...

    @property
    def vehicles(self) -> Vehicles:
        """The vehicles that parties use."""
        ...

    @property
    def events(self) -> Events:
        """What happened, as parties are told it."""
        ...

    @property
    def endpoints(self) -> Endpoints:
        """Receivers of webhooks."""
        ...

    @property
    def deliveries(self) -> Deliveries:
        """Webhooks on their way, and their log."""
        ...


class Container(Protocol):
    """A whole system, wired."""

    @property
    def settings(self) -> Settings:
        """The settings it was wired from."""
        ...

    @property
    def clock(self) -> Clock:
        """The time of the business (in a demo it follows the chain)."""
        ...

    @property
    def wall(self) -> Clock:
        """The machine's clock, for sessions and other things that are no evidence."""
        ...

    @property
    def reader(self) -> ChainReader:
        """Asks contracts."""
        ...

    def registry_over(self, services: Services, records: Records, clock: Clock) -> Registry:
        """The use cases of the shared record over other records than the stored ones, at one instant."""
        ...

    @property
    def hash_key(self) -> bytes:
        """Secret of the keyed hashes of numbers and plates."""
        ...

    def write(self) -> AbstractContextManager[Services]:
        """Services in one transaction that commits when the block ends well."""
        ...

    def read(self) -> AbstractContextManager[Services]:
        """Services that only read."""
        ...

    def find_handled_block(self) -> BlockRef | None:
        """The last block whose events were handled; None before the first."""
        ...

    def problems(self) -> Sequence[str]:
        """Why this system is not ready; empty if it is."""
        ...

    @property
    def requests(self) -> RequestMetrics:
        """Counts of this process's requests."""
        ...

    def metrics(self) -> bytes:
        """Business and this process's requests, as Prometheus takes them."""
        ...

    def close(self) -> None:
        """Gives everything back."""
        ...
