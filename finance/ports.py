"""What the use cases of the money need; no implementation here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from chain.abi import Struct
    from chain.bindings.structs import AdvanceRequest, CreditLine, Payee
    from chain.ids import Address, AdvanceId, Hash32, LineId, PartyId, TripId, WaybillId
    from chain.ports import BlockRef
    from finance.accrual import Charges
    from finance.advance import AdvanceEvent, AdvanceState
    from finance.approval_rule import LineRule
    from finance.audit import ChainFacts
    from finance.fund_flows import FundFlow
    from finance.ledger import Entry
    from finance.records import (
        AdvanceRecord,
        BorrowerFacts,
        ChainMoney,
        ContactRecord,
        DayEndRecord,
        DecisionRecord,
        Difference,
        Found,
        LenderPolicy,
        LineApplication,
        LineRecord,
        LoanDay,
        NoticeRecord,
        PayeeRecord,
        ReceivableRecord,
        RequestFacts,
        SettlementRecord,
        WarningRecord,
    )
    from finance.relations import Carriage, Link, LinkKind


class Books(Protocol):
    """Everything finance keeps, seen from inside one database transaction."""

    # -- lenders and lines

    def save_policy(self, policy: LenderPolicy, at: dt.datetime) -> None:
        """Keeps what a lender decides from a day on; the same day replaces."""
        ...

    def find_policy(self, lender: PartyId, day: int) -> LenderPolicy | None:
        """What is in force on a day."""
        ...

    def save_line(self, line: LineRecord) -> None:
        """Writes a line, new or known. ``held_fen`` of a known line is left alone (see ``hold``)."""
        ...

    def find_line(self, line: LineId) -> LineRecord | None:
        """A line."""
        ...

    def list_lines(
        self, *, lender: PartyId | None = None, borrower: PartyId | None = None
    ) -> list[LineRecord]:
        """Lines of a lender, of a borrower, or all, newest first."""
        ...

    def page_lines(
        self, party: PartyId, *, after: LineRecord | None = None, limit: int
    ) -> list[LineRecord]:
        """A page of a party's lines, as lender and as borrower, newest first."""
        ...

    def hold(self, line: LineId, amount: int) -> bool:
        """Claims headroom in one conditional statement; False if there is less. No race overdraws."""
        ...

    def unhold(self, line: LineId, amount: int) -> None:
        """Gives a claim back."""
        ...

    # -- lenders' rules

    def save_rule(self, rule: LineRule) -> None:
        """Writes the rule of a line in place of the one before."""
        ...

    def list_rules(self, lines: Collection[LineId]) -> dict[LineId, LineRule]:
        """The rules of some lines; a line that never had one is left out."""
        ...

    def list_ruled(self, now: dt.datetime, *, limit: int) -> list[AdvanceRecord]:
        """Advances agreed to by all and covered by their line's rule, whose turn it is; oldest first."""
        ...

    def count_rule_tries(self, advance: AdvanceId) -> int:
        """How often an approval by rule was sent for an advance."""
        ...

    def save_rule_try(self, advance: AdvanceId, *, tries: int, next_at: dt.datetime) -> None:
        """Keeps how often an approval by rule was sent, and when the advance is looked at again."""
        ...

    # -- decisions

    def add_decision(self, decision: DecisionRecord) -> None:
        """Keeps a decision; the same bytes again change nothing."""
        ...

    def find_decision(self, decision: str) -> DecisionRecord | None:
        """A decision by its hash."""
        ...

    def list_decisions(
        self, since: dt.datetime | None = None, *, lender: PartyId | None = None
    ) -> Iterator[DecisionRecord]:
        """Decisions since an instant, oldest first."""
        ...

    def borrower_facts(
        self, borrower: PartyId, lender: PartyId, debtor: PartyId, now: dt.datetime
    ) -> BorrowerFacts:
        """What the books know of a borrower with a lender."""
        ...

    def is_account_shared(self, accounts: Mapping[str, PartyId]) -> bool:
        """Whether one of these payout accounts (hash to party) was used for another party before."""
        ...

    def count_similar(self, fingerprint: str, trip: TripId, advance: AdvanceId | None) -> int:
        """Other live advances on the same receivable or trip."""
        ...

    # -- advances

    def save_advance(self, advance: AdvanceRecord) -> None:
        """Writes an advance, new or known."""
        ...

    def find_advance(self, advance: AdvanceId) -> AdvanceRecord | None:
        """An advance."""
        ...

    def find_advance_of_trip(self, trip: TripId) -> AdvanceRecord | None:
        """The latest advance on a trip."""
        ...

    def list_advances(
        self,
        *,
        lender: PartyId | None = None,
        borrower: PartyId | None = None,
        debtor: PartyId | None = None,
        trips: Collection[TripId] | None = None,
        states: Collection[AdvanceState] | None = None,
        after: str = "",
        limit: int | None = None,
    ) -> list[AdvanceRecord]:
        """Advances that fit every filter, by id; ``after`` and ``limit`` page through them."""
        ...

    def add_event(self, advance: AdvanceId, event: AdvanceEvent) -> None:
        """Keeps an event; one that is known already changes nothing."""
        ...

    def list_events(self, advances: Collection[AdvanceId]) -> dict[AdvanceId, list[AdvanceEvent]]:
        """The events of many advances in one question."""
        ...

    def save_payees(self, payees: Iterable[PayeeRecord]) -> None:
        """Writes payees, new or known."""
        ...

    def list_payees(self, advances: Collection[AdvanceId]) -> dict[AdvanceId, list[PayeeRecord]]:
        """The payees of many advances, each in order of payment, in one question."""
        ...

    def find_payee_of_payout(self, payout: str) -> PayeeRecord | None:
        """Who is paid by a payout."""
        ...

    def list_payees_of_payouts(self, payouts: Collection[Hash32]) -> dict[Hash32, PayeeRecord]:
        """Who is paid by each of some payouts; one that a party took out itself is left out."""
        ...

    def list_advances_by_id(
        self, advances: Collection[AdvanceId]
    ) -> dict[AdvanceId, AdvanceRecord]:
        """Advances by id."""
        ...

    def list_fund_flows(
        self, lender: PartyId, since: dt.datetime, until: dt.datetime, limit: int
    ) -> list[FundFlow]:
        """What was paid of a lender's advances from an instant to before another, oldest first."""
        ...

    def save_receivable(self, receivable: ReceivableRecord) -> None:
        """Writes a receivable, new or known."""
        ...

    def find_receivable(self, waybill: WaybillId) -> ReceivableRecord | None:
        """What is owed on a waybill."""
        ...

    def list_receivables(
        self, *, lender: PartyId | None = None, owner: PartyId | None = None
    ) -> list[ReceivableRecord]:
        """Receivables pledged to a lender, of an owner, or all."""
        ...

    def find_notice(self, advance: AdvanceId) -> NoticeRecord | None:
        """The notice of assignment of an advance."""
        ...

    def save_notice(self, notice: NoticeRecord) -> None:
        """Writes a notice, new or known."""
        ...

    # -- who hangs together

    def add_link(self, link: Link) -> None:
        """Keeps a link; the same again changes nothing."""
        ...

    def list_links_around(self, names: Collection[str]) -> list[Link]:
        """Every identity link within reach of some names."""
        ...

    def list_links_from(self, name: str, kind: LinkKind, since_day: int) -> list[Link]:
        """What has hung on a thing in one way since a Beijing day, oldest first."""
        ...

    def list_freight_around(self, name: str, since_day: int) -> list[Link]:
        """Who owes whom freight within reach of a party, one sum a pair."""
        ...

    def save_carriage(self, carriage: Carriage) -> None:
        """Keeps what a trip carries."""
        ...

    def list_financed_like(self, one: Carriage) -> list[Carriage]:
        """Other trips with a live advance, by the same vehicle or of the same shipment, whose windows overlap."""
        ...

    def list_shipment_prices(self, one: Carriage, debtor: PartyId) -> list[tuple[int, int]]:
        """(freight in fen, quantity) of earlier financed trips of the same shipment for the same debtor, latest first."""
        ...

    def list_use_of_line(self, line: LineId, since_day: int) -> list[tuple[int, int]]:
        """Principal outstanding on a line at the end of each sealed day: (Beijing day, fen), oldest first."""
        ...

    # -- applications for a line

    def save_application(self, application: LineApplication) -> None:
        """Writes an application, new or known."""
        ...

    def find_application(self, application: str) -> LineApplication | None:
        """An application by its id."""
        ...

    def list_applications(
        self, *, lender: PartyId | None = None, borrower: PartyId | None = None
    ) -> list[LineApplication]:
        """Applications to a lender or of a borrower, newest first."""
        ...

    def page_applications(
        self, party: PartyId, *, after: LineApplication | None = None, limit: int
    ) -> list[LineApplication]:
        """A page of a party's applications, as lender and as borrower, newest first."""
        ...

    # -- warnings, collections

    def list_warnings(
        self, *, lender: PartyId | None = None, borrower: PartyId | None = None
    ) -> list[WarningRecord]:
        """Open warnings, oldest first."""
        ...

    def save_warning(self, warning: WarningRecord) -> None:
        """Writes a warning, new or known."""
        ...

    def list_contacts(self, advance: AdvanceId) -> list[ContactRecord]:
        """Contacts planned and made for a loan, oldest first."""
        ...

    def save_contact(self, contact: ContactRecord) -> None:
        """Writes a contact, new or known."""
        ...

    def page_receivables(
        self, party: PartyId, side: str, *, after: str = "", limit: int
    ) -> list[ReceivableRecord]:
        """A page by waybill of what a party is owed (owner), owes (debtor) or holds in pledge (lender)."""
        ...

    def add_settlement(self, settlement: SettlementRecord) -> bool:
        """Keeps a settlement; False if it is known already."""
        ...

    def find_settlement(self, settlement: str) -> SettlementRecord | None:
        """A settlement by its id."""
        ...

    def list_settlements(
        self,
        waybill: WaybillId,
        *,
        after: SettlementRecord | None = None,
        limit: int | None = None,
    ) -> list[SettlementRecord]:
        """Settlements of a waybill, oldest first; ``after`` and ``limit`` page through them."""
        ...

    # -- the journal

    def post_later(self, entries: Sequence[Entry]) -> None:
        """As ``post``, together with what else is booked in this transaction.

        Raises:
            DuplicateError: later, and at the latest with the commit.
        """
        ...

    def post(self, entries: Sequence[Entry]) -> int:
        """Books entries; one booked before changes nothing. How many were new.

        Raises:
            DuplicateError: an id was used for another content.
        """
        ...

    def balances(
        self,
        *,
        until_day: int | None = None,
        known_by: dt.datetime | None = None,
        book: str | None = None,
    ) -> dict[tuple[str, str], int]:
        """Balances by (book, account), debit positive, at a business date as known at an instant."""
        ...

    def balances_about(self, account: str, *, book: str | None = None) -> dict[str, int]:
        """The balance of an account by what its lines are about; zeros left out."""
        ...

    def list_entries(
        self, book: str, *, until_day: int | None = None, about: str | None = None
    ) -> Iterator[Entry]:
        """Entries of a book in order of business day."""
        ...

    def page_entries(
        self, book: str, *, after: tuple[int, str] = (-1, ""), limit: int
    ) -> list[Entry]:
        """A page of a book's entries by business day and id, after a place."""
        ...

    # -- the day's end

    def list_lenders(self) -> list[PartyId]:
        """Every lender with a line."""
        ...

    def first_day(self, lender: PartyId) -> int | None:
        """The business day of a lender's first entry."""
        ...

    def list_loans_on(
        self, lender: PartyId, before: dt.datetime, *, after: str, limit: int
    ) -> list[AdvanceRecord]:
        """Loans released before an instant and not closed before it, by id; pages of ``limit``."""
        ...

    def save_accrued(self, accrued: Sequence[tuple[AdvanceId, int, Charges]]) -> None:
        """Writes (advance, last day booked, cumulative charges booked) of many advances at once."""
        ...

    def find_loan_days(
        self, lender: PartyId, day: int, advances: Collection[AdvanceId]
    ) -> dict[AdvanceId, LoanDay]:
        """How these loans stood at the end of a day."""
        ...

    def add_loan_days(self, rows: Sequence[LoanDay]) -> None:
        """Keeps how loans stood; a row kept before stays."""
        ...

    def list_loan_days(self, lender: PartyId, day: int) -> Iterator[LoanDay]:
        """Every loan of a lender at the end of a day, by id."""
        ...

    def find_day_end(self, lender: PartyId, day: int) -> DayEndRecord | None:
        """How far a day has been closed."""
        ...

    def last_sealed(self, lender: PartyId) -> DayEndRecord | None:
        """The latest day that is sealed."""
        ...

    def save_day_end(self, record: DayEndRecord) -> None:
        """Writes how far a day has been closed."""
        ...

    # -- differences

    def record_differences(
        self, found: Sequence[Found], *, of: Collection[str], day: int, now: dt.datetime
    ) -> None:
        """Keeps what is new, dates what is still there, closes what is gone of the kinds ``of``."""
        ...

    def list_bank_lines(self, since_day: int) -> Iterator[tuple[str, int, int]]:
        """(transaction, fen, day) of every line on the custodian's bank account since a Beijing day."""
        ...

    def list_differences(self) -> list[Difference]:
        """Open differences, oldest first."""
        ...


class OnChain(Protocol):
    """What the use cases ask of the contracts; every answer is of one block."""

    def fetch_request_facts(
        self, line: LineId, form: AdvanceRequest, fingerprint: str
    ) -> RequestFacts:
        """Everything the rules want to know when an advance is asked for."""
        ...

    def fetch_line(self, line: LineId) -> CreditLine:
        """The terms of a line that was opened elsewhere."""
        ...

    def fetch_payees(self, advance: AdvanceId) -> tuple[Payee, ...]:
        """The payees of an advance that was requested elsewhere."""
        ...

    def fetch_receivable(self, waybill: WaybillId, *, block: Hash32) -> ReceivableRecord:
        """What a waybill makes its issuer owe its performer, at a block."""
        ...

    def is_signed(self, party: PartyId, contract: str, form: Struct, signature: bytes) -> bool:
        """Whether the party's present key signed the form for the contract."""
        ...

    def fetch_facts(
        self,
        at: BlockRef,
        *,
        accounts: Iterable[Address],
        lenders: Iterable[PartyId],
        lines: Mapping[LineId, PartyId],
        advances: Mapping[AdvanceId, LineId],
    ) -> ChainFacts:
        """What the chain says of all these at a block."""
        ...


class MoneyOnChain(Protocol):
    """What came in and went out by the chain itself, not by our rows."""

    def fetch_money(self, at: BlockRef, *, since_day: int) -> list[ChainMoney]:
        """Mints and burns from a Beijing day up to a block."""
        ...
