"""What the use cases of payouts need; no implementation here."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator

    from chain.abi import Struct
    from chain.ids import Hash32, PartyId
    from chain.party import Party
    from finance.payout_accounts import PayIn, PayoutAccount, Redirect
    from finance.payouts import Answer, Leg, Payout, PayoutState, Question
    from finance.relations import Link


class EntryState(StrEnum):
    """What has become of a booking on our account."""

    PAID = "paid"
    """It paid a leg."""
    DISPUTED = "disputed"
    """It fits no order of ours, or not its amount; a person is asked."""
    REVERSED = "reversed"
    """The bank took it back, or it took another back."""
    SUSPENSE = "suspense"
    """Money came in and nobody knows for what."""
    MATCHED = "matched"
    """Money came in and its token account is known: to be minted."""
    MINTED = "minted"


@dataclass(frozen=True, slots=True)
class HeldEntry:
    """A booking on our account as we keep it; no name and no number of the other side.

    Attributes:
        content: hash of the bank's words, to know a repetition from a changed one.
        about: the leg's sequence it pays, or the payment reference it came under.
        target: token account to mint to.
        mint_reference: the bank's reference as the chain has it, once the target is known.
        mint_attempts: how often minting was sent to the chain; mint_day: Beijing day of the last.
    """

    reference: str
    amount_fen: int
    is_credit: bool
    is_reversal: bool
    value_day: int
    booked_at: dt.datetime
    taken_at: dt.datetime
    end_to_end_id: str
    remittance: str
    content: str
    state: EntryState
    about: str = ""
    target: str = ""
    mint_reference: str = ""
    mint_attempts: int = 0
    mint_day: int = 0


class PayoutDesk(Protocol):
    """Payouts, account book, bank entries and questions, seen from inside one database transaction."""

    # -- payouts

    def add_payout(self, payout: Payout) -> None:
        """A new payout; one that is known changes nothing."""
        ...

    def find_payout(self, payout: Hash32) -> Payout | None:
        """A payout."""
        ...

    def save_payout(self, payout: Payout, *, before: PayoutState) -> None:
        """Writes a payout that was in ``before`` when it was read.

        Raises:
            PayoutStateError: somebody else has moved it meanwhile.
        """
        ...

    def list_payouts(
        self,
        *,
        states: Collection[PayoutState] | None = None,
        party: PartyId | None = None,
        asked_before: dt.datetime | None = None,
        after: Payout | None = None,
        limit: int | None = None,
    ) -> list[Payout]:
        """Payouts that fit every filter, oldest first; with ``asked_before`` the longest unasked first.

        ``after`` and ``limit`` page through them.
        """
        ...

    def find_payouts(self, payouts: Collection[Hash32]) -> dict[Hash32, Payout]:
        """Payouts by id, a few at once."""
        ...

    def add_leg(self, leg: Leg) -> None:
        """A new leg; its (payout, number) and its sequence are unique for ever."""
        ...

    def find_leg(self, end_to_end_id: str) -> Leg | None:
        """The leg that the bank knows by an id."""
        ...

    def list_legs(self, payout: Hash32) -> list[Leg]:
        """The legs of a payout, in order."""
        ...

    def add_answer(self, answer: Answer) -> None:
        """Keeps the bank's answer, unless one of that status is kept already."""
        ...

    def list_answers(self, sequences: Collection[Hash32]) -> list[Answer]:
        """What the bank has answered to these legs, in the order heard."""
        ...

    # -- the account book

    def add_account(self, account: PayoutAccount) -> bool:
        """A new account; False if it is known."""
        ...

    def find_account(self, account: Hash32) -> PayoutAccount | None:
        """An account by its salted hash."""
        ...

    def save_account(self, account: PayoutAccount) -> None:
        """An account as it now is."""
        ...

    def list_accounts(self, party: PartyId) -> list[PayoutAccount]:
        """A party's accounts, oldest first."""
        ...

    # -- the bank's bookings

    def save_redirect(self, redirect: Redirect) -> None:
        """Writes a payee's wish for another account, new or known."""
        ...

    def find_redirect(self, payout: Hash32) -> Redirect | None:
        """The wish for a payout."""
        ...

    def list_redirects(self) -> list[Redirect]:
        """Wishes that nobody has agreed to, oldest first."""
        ...

    def find_cursor(self, account: str) -> int:
        """The last notice taken for an account of ours; 0 before the first."""
        ...

    def save_cursor(self, account: str, cursor: int) -> None:
        """Moves on."""
        ...

    def add_entry(self, entry: HeldEntry) -> None:
        """A new booking."""
        ...

    def find_entry(self, reference: str) -> HeldEntry | None:
        """A booking by the bank's reference."""
        ...

    def find_minted(self, mint_reference: str) -> HeldEntry | None:
        """A booking by its reference on chain."""
        ...

    def save_entry(self, entry: HeldEntry) -> None:
        """A booking as it now is."""
        ...

    def list_entries(
        self,
        *,
        states: Collection[EntryState] | None = None,
        end_to_end_id: str | None = None,
        limit: int | None = None,
    ) -> list[HeldEntry]:
        """Bookings that fit, oldest first."""
        ...

    def pass_entries_since(self, day: int) -> Iterator[HeldEntry]:
        """Bookings since a Beijing day, a batch of them in memory at a time."""
        ...

    def add_pay_in(self, pay_in: PayIn) -> None:
        """A payment reference; known already changes nothing."""
        ...

    def find_pay_in(self, reference: str) -> PayIn | None:
        """Whose a payment reference is."""
        ...

    def add_statement(self, statement: HeldStatement) -> bool:
        """A new statement; False if the account's day is known."""
        ...

    def find_statement(self, account: str, day: int) -> HeldStatement | None:
        """A day's statement."""
        ...

    def find_statement_of(self, message_id: str) -> HeldStatement | None:
        """A statement by the bank's message id."""
        ...

    def last_statement(self, account: str) -> HeldStatement | None:
        """The latest day's statement."""
        ...

    # -- questions

    def raise_question(self, question: Question, *, at: dt.datetime) -> None:
        """Asks a person; asked before changes nothing."""
        ...

    def find_question(self, kind: str, subject: str) -> Question | None:
        """A question, open or closed."""
        ...

    def close_question(self, kind: str, subject: str, *, by: str, at: dt.datetime) -> None:
        """It is settled."""
        ...

    def list_questions(
        self,
        *,
        payouts: Collection[str] | None = None,
        after: Question | None = None,
        limit: int | None = None,
    ) -> list[Question]:
        """Open questions, about some payouts or about anything, oldest first."""
        ...

    def blocked(self, payouts: Collection[Hash32]) -> set[Hash32]:
        """Those of these payouts with an open question that blocks."""
        ...


class Parties(Protocol):
    """Who the payees are."""

    def find_party(self, party: PartyId) -> Party | None:
        """A party by its id."""
        ...


class Payers(Protocol):
    """Who hears by whom freight was paid."""

    def note(self, about: str, name: str, reference: str) -> None:
        """Money came in for a waybill (or ``party:ID``) from somebody of a name, under a bank reference."""
        ...


class Links(Protocol):
    """What hangs together."""

    def add_link(self, link: Link) -> None:
        """Keeps a link; the same again changes nothing."""
        ...


class Signatures(Protocol):
    """Whose key signed what."""

    def is_signed(self, party: PartyId, contract: str, form: Struct, signature: bytes) -> bool:
        """Whether the party's present key signed the form for the contract."""
        ...


class Seal(Protocol):
    """Keeps personal data unreadable at rest, each record under a key of its own."""

    def new_key(self) -> bytes:
        """A fresh record key, wrapped."""
        ...

    def seal(self, key: bytes, plain: bytes, about: str) -> bytes:
        """Seals bytes."""
        ...

    def open(self, key: bytes, sealed: bytes, about: str) -> bytes:
        """Opens them again."""
        ...


@dataclass(frozen=True, slots=True)
class HeldStatement:
    """A statement of the bank as we keep it. Amounts in fen.

    Attributes:
        fault: what of it does not agree with what was told before; "" if it does.
    """

    account: str
    day: int
    message_id: str
    content: str
    opening_fen: int
    closing_fen: int
    entries: int
    taken_at: dt.datetime
    fault: str = ""


@dataclass(frozen=True, slots=True)
class NoticePage:
    """Notices of bookings in the bank's order, each a camt.054 with its place."""

    notices: tuple[tuple[int, bytes], ...]


class Bank(Protocol):
    """The bank's door. Nothing here is called inside a database transaction."""

    def send_order(self, order: bytes) -> bytes:
        """Hands a pain.001 over; gives the pain.002 that answers it.

        Raises:
            BankUnavailableError: no answer: it may or may not have been taken.
            BankRefusedError: the message itself is refused.
        """
        ...

    def fetch_status(self, end_to_end_id: str) -> bytes | None:
        """What the bank says of a payment (pain.002); None if it has never heard of it.

        Raises:
            BankUnavailableError: no answer.
        """
        ...

    def fetch_notices(self, account: str, after: int) -> NoticePage:
        """Notices for an account of ours after a place, oldest first; empty if there are none.

        Raises:
            BankUnavailableError: no answer.
        """
        ...

    def fetch_statement(self, account: str, day: dt.date) -> bytes:
        """The statement (camt.053) of an account of ours on a Beijing day that is over.

        Raises:
            BankUnavailableError: no answer.
            BankRefusedError: it will not say, or the day is not over for it.
        """
        ...
