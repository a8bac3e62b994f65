"""The books and their agreement with the chain, each lender for himself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from fastapi import APIRouter, Query

from api.dependencies import Reader, TheContainer
from api.schemas.money import AuditShown, BalanceShown, DifferenceShown, TrialBalance
from api.schemas.records import EntryLine, EntryPage, EntryShown
from chain.errors import NotFoundError
from finance.accrual import date_of
from finance.audit import book_of

router = APIRouter(tags=["ledger and audit"])


def trial_balance(balances: Mapping[tuple[str, str], int], books: set[str] | None) -> TrialBalance:
    """The trial balance of some books (all if None)."""
    rows = [
        BalanceShown(
            book=book,
            account=account,
            debit_fen=max(amount, 0),
            credit_fen=max(-amount, 0),
        )
        for (book, account), amount in sorted(balances.items())
        if amount and (books is None or book in books)
    ]
    debit, credit = sum(row.debit_fen for row in rows), sum(row.credit_fen for row in rows)
    return TrialBalance(data=rows, debit_fen=debit, credit_fen=credit, balanced=debit == credit)


@router.get("/ledger/trial-balance")
def get_trial_balance(caller: Reader, container: TheContainer) -> TrialBalance:
    """Every account of the caller's own book."""
    own = book_of(caller.require_self())
    with container.read() as services:
        balances = services.books.balances()
    return trial_balance(balances, {own})


@router.get("/audit")
def get_audit(caller: Reader, container: TheContainer) -> AuditShown:
    """For a lender: up to which block we have read the chain, and where his books differ from it."""
    own = caller.require_self()
    with container.read() as services:
        lines = services.books.list_lines(lender=own)
        if not lines:
            raise NotFoundError("only lenders have books here")
        advances = services.books.list_advances(lender=own)
        mine = {str(own), book_of(own), *(line.line for line in lines)}
        mine |= {advance.advance for advance in advances}
        differences = [one for one in services.books.list_differences() if one.subject in mine]
        balance = trial_balance(services.books.balances(), {book_of(own)})
    handled = container.find_handled_block()
    return AuditShown(
        handled_block=handled.number if handled else None,
        handled_block_hash=handled.hash if handled else "",
        balanced=balance.balanced,
        differences=[
            DifferenceShown(
                kind=one.kind,
                subject=one.subject,
                chain_fen=one.chain_fen,
                ledger_fen=one.ledger_fen,
                first_day=date_of(one.first_day),
                last_day=date_of(one.last_day),
            )
            for one in differences
        ],
    )


@router.get("/ledger/entries")
def list_entries(
    *,
    caller: Reader,
    container: TheContainer,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    starting_after: Annotated[
        str | None,
        Query(
            max_length=140,
            pattern=r"^[0-9]{1,6}~[\x21-\x7e]{1,120}$",
            description="`next_cursor` of the page before",
            examples=["20479~released:0x5c:3"],
        ),
    ] = None,
) -> EntryPage:
    """The entries of the caller's own book, by business day; nothing in it is ever changed."""
    book = book_of(caller.require_self())
    day, _, name = (starting_after or "").partition("~")
    after = (int(day), name) if starting_after else (-1, "")
    with container.read() as services:
        rows = services.books.page_entries(book, after=after, limit=limit + 1)
    page, more = rows[:limit], len(rows) > limit
    return EntryPage(
        data=[
            EntryShown(
                id=one.id,
                kind=one.kind,
                day=date_of(one.day),
                at=one.at,
                source=one.source,
                reverses=one.reverses,
                lines=[
                    EntryLine(
                        account=line.account,
                        debit_fen=max(line.amount, 0),
                        credit_fen=max(-line.amount, 0),
                        about=line.about,
                    )
                    for line in one.lines
                ],
            )
            for one in page
        ],
        has_more=more,
        next_cursor=f"{page[-1].day}~{page[-1].id}" if more else None,
    )
