"""The books against the chain: every difference has a name, a subject and an amount."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from finance.ledger import Account

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


class DiscrepancyKind(StrEnum):
    """What can differ."""

    SUPPLY = "supply"
    """Tokens in being against the bank money behind them in the custodian's book."""
    TOKEN_BALANCE = "token_balance"  # noqa: S105  no secret
    """One token account on chain against its account in the custodian's book."""
    VAULT_FREE = "vault_free"
    """A lender's free cash on chain against his book."""
    VAULT_RESERVED = "vault_reserved"
    """What approvals lock on chain against his book."""
    PRINCIPAL = "principal"
    """Outstanding principal of one advance on chain against his book."""
    DRAWN = "drawn"
    """What a line says is drawn against the outstanding principal of its advances."""
    UNBALANCED = "unbalanced"
    """A book whose balances do not sum to zero: a row was changed behind the ledger's back."""
    MISSING_IN_LEDGER = "missing_in_ledger"
    """A chain event that nobody booked."""
    MISSING_ON_CHAIN = "missing_on_chain"
    """A booking that names an event which is not on chain."""
    AMOUNT = "amount"
    """An event booked with another amount."""


@dataclass(frozen=True, slots=True)
class Discrepancy:
    """One difference.

    Attributes:
        kind: its named class.
        subject: account, advance, line, book or event it is about.
        chain_fen: what the chain says.
        ledger_fen: what the books say.
    """

    kind: DiscrepancyKind
    subject: str
    chain_fen: int
    ledger_fen: int

    @property
    def difference_fen(self) -> int:
        """Ledger less chain."""
        return self.ledger_fen - self.chain_fen


@dataclass(frozen=True, slots=True)
class ChainFacts:
    """What the chain says at one block. Amounts in fen.

    Attributes:
        block: the block's number; every figure is of it.
        supply: settlement tokens in being.
        balances: by token account address.
        vault_free: by lender (party id as text), cash not reserved.
        vault_reserved: by lender, locked by approvals.
        outstanding: by advance id, principal still in the lender's books.
        drawn: by line id; ``line_of`` says which advances are its.
        events: money events by event id with their amount, where events are compared.
    """

    block: int
    supply: int
    balances: Mapping[str, int]
    vault_free: Mapping[str, int] = field(default_factory=dict)
    vault_reserved: Mapping[str, int] = field(default_factory=dict)
    outstanding: Mapping[str, int] = field(default_factory=dict)
    drawn: Mapping[str, int] = field(default_factory=dict)
    line_of: Mapping[str, str] = field(default_factory=dict)
    events: Mapping[str, int] | None = None


@dataclass(frozen=True, slots=True)
class LedgerFacts:
    """What the books say up to the same block. Debit positive, in fen.

    Attributes:
        balances: by (book, account).
        principal: loan principal by advance id.
        events: booked amount by event id, where events are compared.
    """

    balances: Mapping[tuple[str, str], int]
    principal: Mapping[str, int] = field(default_factory=dict)
    events: Mapping[str, int] | None = None


CUSTODIAN = "custodian"
"""The book that mirrors the token."""


def book_of(lender: int | str) -> str:
    """The name of a lender's book."""
    return f"lender:{lender}"


def token_account(address: str) -> str:
    """The name of a token account in the custodian's book."""
    return f"{Account.TOKEN}:{address.lower()}"


def audit(chain: ChainFacts, ledger: LedgerFacts) -> list[Discrepancy]:
    """Every difference between chain and books, in a fixed order; none means that they agree."""
    found: list[Discrepancy] = []

    def compare(kind: DiscrepancyKind, subject: str, on_chain: int, in_books: int) -> None:
        if on_chain != in_books:
            found.append(Discrepancy(kind, subject, on_chain, in_books))

    for book in sorted({book for book, _ in ledger.balances}):
        total = sum(fen for (name, _), fen in ledger.balances.items() if name == book)
        compare(DiscrepancyKind.UNBALANCED, book, 0, total)
    bank = ledger.balances.get((CUSTODIAN, Account.BANK.value), 0)
    compare(DiscrepancyKind.SUPPLY, CUSTODIAN, chain.supply, bank)
    on_chain = {token_account(address): fen for address, fen in chain.balances.items()}
    booked = {
        account: -fen
        for (book, account), fen in ledger.balances.items()
        if book == CUSTODIAN and account != Account.BANK
    }
    for account in sorted(on_chain.keys() | booked.keys()):
        compare(
            DiscrepancyKind.TOKEN_BALANCE,
            account.split(":", 1)[-1],
            on_chain.get(account, 0),
            booked.get(account, 0),
        )
    for kind, account, facts in (
        (DiscrepancyKind.VAULT_FREE, Account.VAULT_FREE, chain.vault_free),
        (DiscrepancyKind.VAULT_RESERVED, Account.VAULT_RESERVED, chain.vault_reserved),
    ):
        for lender in sorted(facts):
            in_books = ledger.balances.get((book_of(lender), account.value), 0)
            compare(kind, lender, facts[lender], in_books)
    for advance in sorted(chain.outstanding.keys() | ledger.principal.keys()):
        compare(
            DiscrepancyKind.PRINCIPAL,
            advance,
            chain.outstanding.get(advance, 0),
            ledger.principal.get(advance, 0),
        )
    for line in sorted(chain.drawn):
        owed = sum(
            fen for advance, fen in chain.outstanding.items() if chain.line_of.get(advance) == line
        )
        compare(DiscrepancyKind.DRAWN, line, chain.drawn[line], owed)
    found.extend(_compare_events(chain.events, ledger.events))
    return found


def _compare_events(
    on_chain: Mapping[str, int] | None, booked: Mapping[str, int] | None
) -> Iterable[Discrepancy]:
    if on_chain is None or booked is None:
        return
    for event in sorted(on_chain.keys() | booked.keys()):
        if event not in booked:
            yield Discrepancy(DiscrepancyKind.MISSING_IN_LEDGER, event, on_chain[event], 0)
        elif event not in on_chain:
            yield Discrepancy(DiscrepancyKind.MISSING_ON_CHAIN, event, 0, booked[event])
        elif on_chain[event] != booked[event]:
            yield Discrepancy(DiscrepancyKind.AMOUNT, event, on_chain[event], booked[event])
