"""Double-entry books: an entry that does not balance cannot exist, and what is written stays.

A book belongs to one lender, or to the custodian, whose book mirrors the settlement token account by
account. Debits are positive, credits negative, in fen. Corrections are reversals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final

from chain.clock import require_utc
from finance.accrual import date_of
from finance.errors import InvalidAmountError, InvalidDateError, UnbalancedEntryError

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Mapping


class AccountKind(StrEnum):
    """On which side an account may stand."""

    ASSET = "asset"
    LIABILITY = "liability"
    EQUITY = "equity"
    INCOME = "income"
    EXPENSE = "expense"
    CONTRA_INCOME = "contra_income"


class Account(StrEnum):
    """The chart of accounts, the same in every book."""

    # the custodian's book: one account a token account, named token:<address>
    BANK = "bank"
    TOKEN = "token"  # noqa: S105  a settlement token, no secret
    # a lender's book
    VAULT_FREE = "vault_free"
    VAULT_RESERVED = "vault_reserved"
    LOAN_PRINCIPAL = "loan_principal"
    INTEREST_RECEIVABLE = "interest_receivable"
    FEE_RECEIVABLE = "fee_receivable"
    PENALTY_RECEIVABLE = "penalty_receivable"
    LENDER_FUNDS = "lender_funds"
    OVERPAYMENT_LIABILITY = "overpayment_liability"
    SUSPENSE = "suspense"
    ALLOWANCE = "allowance"
    INTEREST_INCOME = "interest_income"
    FEE_INCOME = "fee_income"
    PENALTY_INCOME = "penalty_income"
    RECOVERIES_INCOME = "recoveries_income"
    INTEREST_CHARGED_OFF = "interest_charged_off"
    FEE_CHARGED_OFF = "fee_charged_off"
    IMPAIRMENT_LOSS = "impairment_loss"
    CREDIT_LOSS = "credit_loss"
    CREDIT_LOSS_FRAUD = "credit_loss_fraud"


KINDS: Final[Mapping[Account, AccountKind]] = {
    Account.BANK: AccountKind.ASSET,
    Account.TOKEN: AccountKind.LIABILITY,
    Account.VAULT_FREE: AccountKind.ASSET,
    Account.VAULT_RESERVED: AccountKind.ASSET,
    Account.LOAN_PRINCIPAL: AccountKind.ASSET,
    Account.INTEREST_RECEIVABLE: AccountKind.ASSET,
    Account.FEE_RECEIVABLE: AccountKind.ASSET,
    Account.PENALTY_RECEIVABLE: AccountKind.ASSET,
    Account.LENDER_FUNDS: AccountKind.EQUITY,
    Account.OVERPAYMENT_LIABILITY: AccountKind.LIABILITY,
    Account.SUSPENSE: AccountKind.LIABILITY,
    Account.ALLOWANCE: AccountKind.LIABILITY,
    Account.INTEREST_INCOME: AccountKind.INCOME,
    Account.FEE_INCOME: AccountKind.INCOME,
    Account.PENALTY_INCOME: AccountKind.INCOME,
    Account.RECOVERIES_INCOME: AccountKind.INCOME,
    Account.INTEREST_CHARGED_OFF: AccountKind.CONTRA_INCOME,
    Account.FEE_CHARGED_OFF: AccountKind.CONTRA_INCOME,
    Account.IMPAIRMENT_LOSS: AccountKind.EXPENSE,
    Account.CREDIT_LOSS: AccountKind.EXPENSE,
    Account.CREDIT_LOSS_FRAUD: AccountKind.EXPENSE,
}

_DEBIT_SIDE: Final = frozenset({AccountKind.ASSET, AccountKind.EXPENSE, AccountKind.CONTRA_INCOME})


@dataclass(frozen=True, slots=True)
class Line:
    """One side of an entry.

    Attributes:
        account: an ``Account``, or ``token:<address>`` in the custodian's book.
        amount: fen; a debit is positive, a credit negative, never 0.
        about: what it concerns, e.g. an advance id.
    """

    account: str
    amount: int
    about: str = ""

    def __post_init__(self) -> None:
        if isinstance(self.amount, bool) or not isinstance(self.amount, int) or not self.amount:
            raise InvalidAmountError(
                "a line has a whole amount other than 0", field="amount", given=str(self.amount)
            )
        kind_of(self.account)


@dataclass(frozen=True, slots=True)
class Entry:
    """A balanced journal entry; an unbalanced one cannot be made.

    Attributes:
        id: the business key, unique for ever, e.g. ``repaid:<block hash>:<log index>``.
        book: whose book, e.g. ``lender:7`` or ``custodian``.
        kind: why it was written, a ``Booking`` or another stable word.
        day: business date as a Beijing day number.
        at: when the thing happened.
        known: when it was booked; append-only, so a trial balance of the past can be had.
        lines: at least two, summing to 0.
        source: evidence, e.g. transaction hash.
        reverses: id of the entry that this one takes back.
    """

    id: str
    book: str
    kind: str
    day: int
    at: dt.datetime
    known: dt.datetime
    lines: tuple[Line, ...]
    source: str = ""
    reverses: str = ""

    def __post_init__(self) -> None:
        require_utc(self.at)
        require_utc(self.known)
        if not self.id or not self.book:
            raise InvalidDateError("an entry needs an id and a book", field="id")
        total = sum(line.amount for line in self.lines)
        if total != 0 or len(self.lines) < 2:
            raise UnbalancedEntryError(
                f"the entry {self.id} does not balance: debits less credits are {total} fen",
                entry=self.id,
                difference_fen=total,
            )

    def reversal(self, entry_id: str, *, day: int, at: dt.datetime, known: dt.datetime) -> Entry:
        """The entry that takes this one back; the only way to correct."""
        return Entry(
            id=entry_id,
            book=self.book,
            kind="reversal",
            day=day,
            at=at,
            known=known,
            lines=tuple(Line(line.account, -line.amount, line.about) for line in self.lines),
            source=self.source,
            reverses=self.id,
        )


def kind_of(account: str) -> AccountKind:
    """The kind of an account by name.

    Raises:
        InvalidAmountError: the chart has no such account.
    """
    head = account.split(":", 1)[0]
    try:
        return KINDS[Account(head)]
    except ValueError:
        raise InvalidAmountError(
            f"the chart has no account {account}", field="account", given=account
        ) from None


# -- posting rules, as data -----------------------------------------------------------------------


class Booking(StrEnum):
    """What can be booked in a lender's book."""

    VAULT_DEPOSIT = "VAULT_DEPOSIT"
    VAULT_WITHDRAWAL = "VAULT_WITHDRAWAL"
    RESERVE = "RESERVE"
    RESERVE_VOID = "RESERVE_VOID"
    DISBURSEMENT = "DISBURSEMENT"
    ACCRUAL = "ACCRUAL"
    REPAYMENT = "REPAYMENT"
    REFUND_OF_OVERPAYMENT = "REFUND_OF_OVERPAYMENT"
    CHARGEBACK = "CHARGEBACK"
    WAIVER = "WAIVER"
    CHARGE_OFF = "CHARGE_OFF"
    RECOVERY_AFTER_CHARGE_OFF = "RECOVERY_AFTER_CHARGE_OFF"
    IMPAIRMENT = "IMPAIRMENT"
    IMPAIRMENT_RELEASE = "IMPAIRMENT_RELEASE"
    RECEIPT_UNMATCHED = "RECEIPT_UNMATCHED"
    RECEIPT_MATCHED = "RECEIPT_MATCHED"


_A = Account
_RECEIVABLES: Final = {
    "interest": _A.INTEREST_RECEIVABLE,
    "fee": _A.FEE_RECEIVABLE,
    "penalty": _A.PENALTY_RECEIVABLE,
}
_INCOME: Final = {
    "interest": _A.INTEREST_INCOME,
    "fee": _A.FEE_INCOME,
    "penalty": _A.PENALTY_INCOME,
}
_CHARGED_OFF: Final = {
    "interest": _A.INTEREST_CHARGED_OFF,
    "fee": _A.FEE_CHARGED_OFF,
    "penalty": _A.FEE_CHARGED_OFF,
}
_OWED: Final = _RECEIVABLES | {
    "principal": _A.LOAN_PRINCIPAL,
    "overpaid": _A.OVERPAYMENT_LIABILITY,
}

RULES: Final[Mapping[Booking, Mapping[str, tuple[Account, Account]]]] = {
    Booking.VAULT_DEPOSIT: {"cash": (_A.VAULT_FREE, _A.LENDER_FUNDS)},
    Booking.VAULT_WITHDRAWAL: {"cash": (_A.LENDER_FUNDS, _A.VAULT_FREE)},
    Booking.RESERVE: {"principal": (_A.VAULT_RESERVED, _A.VAULT_FREE)},
    Booking.RESERVE_VOID: {"principal": (_A.VAULT_FREE, _A.VAULT_RESERVED)},
    Booking.DISBURSEMENT: {"principal": (_A.LOAN_PRINCIPAL, _A.VAULT_RESERVED)},
    Booking.ACCRUAL: {name: (_RECEIVABLES[name], _INCOME[name]) for name in _RECEIVABLES},
    Booking.REPAYMENT: {name: (_A.VAULT_FREE, account) for name, account in _OWED.items()},
    Booking.CHARGEBACK: {name: (account, _A.VAULT_FREE) for name, account in _OWED.items()},
    Booking.REFUND_OF_OVERPAYMENT: {"overpaid": (_A.OVERPAYMENT_LIABILITY, _A.VAULT_FREE)},
    Booking.WAIVER: {name: (_INCOME[name], _RECEIVABLES[name]) for name in _RECEIVABLES},
    Booking.CHARGE_OFF: {
        "principal": (_A.CREDIT_LOSS, _A.LOAN_PRINCIPAL),
        **{name: (_CHARGED_OFF[name], _RECEIVABLES[name]) for name in _RECEIVABLES},
    },
    Booking.RECOVERY_AFTER_CHARGE_OFF: {
        **dict.fromkeys(
            ("principal", "interest", "fee", "penalty"), (_A.VAULT_FREE, _A.RECOVERIES_INCOME)
        ),
        "overpaid": (_A.VAULT_FREE, _A.OVERPAYMENT_LIABILITY),
    },
    Booking.IMPAIRMENT: {"allowance": (_A.IMPAIRMENT_LOSS, _A.ALLOWANCE)},
    Booking.IMPAIRMENT_RELEASE: {"allowance": (_A.ALLOWANCE, _A.IMPAIRMENT_LOSS)},
    Booking.RECEIPT_UNMATCHED: {"cash": (_A.VAULT_FREE, _A.SUSPENSE)},
    Booking.RECEIPT_MATCHED: {"cash": (_A.SUSPENSE, _A.VAULT_FREE)},
}


def lines_of(
    booking: Booking,
    components: Mapping[str, int],
    *,
    about: str = "",
    fraud: bool = False,
    chart: Mapping[Account, str] | None = None,
) -> tuple[Line, ...]:
    """The balanced lines of a booking: one a side and account, zero components left out.

    Args:
        booking: what is booked.
        components: fen by component name, e.g. ``{"principal": 100000, "interest": 51}``.
        about: what the lines concern.
        fraud: a charge-off for fraud goes to its own loss account.
        chart: other names for accounts; accounts that share a name are added.

    Raises:
        InvalidAmountError: a negative amount, a component that the booking does not know, or nothing.
    """
    sums: dict[str, int] = {}
    rules = RULES[booking]
    for name, amount in components.items():
        if name not in rules:
            raise InvalidAmountError(
                f"{booking.value} has no component {name}", field=name, booking=booking.value
            )
        if amount < 0:
            raise InvalidAmountError("an amount is not negative", field=name, given=amount)
        if not amount:
            continue
        debit, credit = rules[name]
        if fraud and debit is Account.CREDIT_LOSS:
            debit = Account.CREDIT_LOSS_FRAUD
        for account, signed in ((debit, amount), (credit, -amount)):
            label = chart.get(account, account.value) if chart else account.value
            sums[label] = sums.get(label, 0) + signed
    if chart:
        return tuple(_ForeignLine(label, total, about) for label, total in sums.items() if total)
    lines = tuple(Line(label, total, about) for label, total in sums.items() if total)
    if not lines:
        raise InvalidAmountError("there is nothing to book", booking=booking.value)
    return lines


@dataclass(frozen=True, slots=True)
class _ForeignLine(Line):
    """A line under another chart's names, for books that are not ours."""

    def __post_init__(self) -> None:
        """Any name is good."""


# -- balances -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class TrialBalance:
    """Balances of one book, debit positive.

    Attributes:
        balances: fen by account, accounts at 0 left out, sorted by name.
    """

    book: str
    balances: Mapping[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """The sum of all balances; 0 in every book that holds only entries."""
        return sum(self.balances.values())

    def of(self, account: str) -> int:
        """The balance of an account, debit positive."""
        return self.balances.get(account, 0)

    def wrong_signs(self) -> list[str]:
        """Accounts that stand on a side that their kind does not allow."""
        return [
            account
            for account, balance in self.balances.items()
            if (balance > 0) is not (kind_of(account) in _DEBIT_SIDE)
            and kind_of(account) is not AccountKind.EQUITY
        ]


def trial_balance(
    entries: Iterable[Entry],
    book: str,
    *,
    until_day: int | None = None,
    known_by: dt.datetime | None = None,
) -> TrialBalance:
    """Balances of a book at a business date, as known at an instant."""
    sums: dict[str, int] = {}
    for entry in entries:
        if entry.book != book or (until_day is not None and entry.day > until_day):
            continue
        if known_by is not None and entry.known > known_by:
            continue
        for line in entry.lines:
            sums[line.account] = sums.get(line.account, 0) + line.amount
    return TrialBalance(book, {name: sums[name] for name in sorted(sums) if sums[name]})


def to_beancount(entries: Iterable[Entry]) -> str:
    """The entries as a Beancount file (currency CNY, yuan with 2 decimals) that bean-check accepts."""
    accounts: dict[str, dt.date] = {}
    blocks: list[str] = []
    for entry in sorted(entries, key=lambda e: (e.day, e.at, e.id)):
        date = date_of(entry.day)
        lines = []
        for line in entry.lines:
            name = _beancount_name(entry.book, line.account)
            accounts[name] = min(date, accounts.get(name, date))
            lines.append(f"  {name}  {_yuan(line.amount)} CNY")
        head = f'{date.isoformat()} * "{entry.kind}" "{_quoted(entry.id)}"'
        meta = [f'  reverses: "{_quoted(entry.reverses)}"'] if entry.reverses else []
        blocks.append("\n".join([head, *meta, *lines]))
    opens = [f"{date.isoformat()} open {name} CNY" for name, date in sorted(accounts.items())]
    head = 'option "title" "Yundan"\noption "operating_currency" "CNY"'
    return "\n\n".join([head, "\n".join(opens), *blocks]) + "\n"


_BEANCOUNT_ROOTS: Final = {
    AccountKind.ASSET: "Assets",
    AccountKind.LIABILITY: "Liabilities",
    AccountKind.EQUITY: "Equity",
    AccountKind.INCOME: "Income",
    AccountKind.CONTRA_INCOME: "Income",
    AccountKind.EXPENSE: "Expenses",
}


def _beancount_name(book: str, account: str) -> str:
    parts = [part for text in (book, account) for part in text.replace("_", "-").split(":")]
    tail = ":".join(part[:1].upper() + part[1:] for part in parts)
    return f"{_BEANCOUNT_ROOTS[kind_of(account)]}:{tail}"


def _yuan(fen: int) -> str:
    sign, digits = ("-" if fen < 0 else ""), abs(fen)
    return f"{sign}{digits // 100}.{digits % 100:02d}"


def _quoted(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
