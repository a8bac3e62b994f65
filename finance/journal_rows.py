"""Rows of the journal: entries posted once, balances at a day and as known at an instant."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlmodel import col, select

from chain.storage import insert_into, write_later
from finance.audit import CUSTODIAN
from finance.errors import DuplicateError
from finance.ledger import Account, Entry, Line
from finance.records import (
    Difference,
)
from finance.tables import (
    DifferenceRow,
    JournalEntryRow,
    JournalLineRow,
)

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Collection, Iterator, Sequence

    from sqlmodel import Session

    from finance.records import Found

from finance.rows import PAGE, SqlRows, batches, table_of

_LINES = sa.insert(table_of(JournalLineRow))


@functools.cache
def _posting(dialect: str) -> Any:
    """The statement that books entries and tells which are new."""
    table = table_of(JournalEntryRow)
    insert = insert_into(dialect, table).on_conflict_do_nothing(index_elements=["id"])
    return insert.returning(table.c.id)


def _post(session: Session, entries: list[Entry]) -> None:
    SqlJournal(session).post(entries)


def _require_same(before: Entry, entry: Entry) -> None:
    if replace(before, known=entry.known) != entry:
        raise DuplicateError(f"entry {entry.id} was booked with another content", entry=entry.id)


class SqlJournal(SqlRows):
    """The journal and the differences found with it."""

    def post(self, entries: Sequence[Entry]) -> int:
        """Books entries; one booked before changes nothing. How many were new."""
        given: dict[str, Entry] = {}
        for entry in entries:
            _require_same(given.setdefault(entry.id, entry), entry)
        if not given:
            return 0
        made = self._session.connection().execute(
            _posting(self._session.get_bind().dialect.name),
            [
                {
                    "id": entry.id,
                    "book": entry.book,
                    "kind": entry.kind,
                    "day": entry.day,
                    "at": entry.at,
                    "known": entry.known,
                    "source": entry.source,
                    "reverses": entry.reverses,
                }
                for entry in given.values()
            ],
        )
        new = set(made.scalars())
        for before in self._find_entries(given.keys() - new).values():
            _require_same(before, given[before.id])
        lines = [
            {
                "entry": entry.id,
                "book": entry.book,
                "account": line.account,
                "amount_fen": line.amount,
                "about": line.about,
            }
            for entry in given.values()
            if entry.id in new
            for line in entry.lines
        ]
        if lines:
            self._session.connection().execute(_LINES, lines)
        return len(new)

    def post_later(self, entries: Sequence[Entry]) -> None:
        """As ``post``, together with what else is booked in this transaction.

        Raises:
            DuplicateError: later, and at the latest with the commit.
        """
        for entry in entries:
            write_later(self._session, _post, entry)

    def balances(
        self,
        *,
        until_day: int | None = None,
        known_by: dt.datetime | None = None,
        book: str | None = None,
    ) -> dict[tuple[str, str], int]:
        """Balances by (book, account), summed by the database."""
        lines, heads = table_of(JournalLineRow), table_of(JournalEntryRow)
        query = sa.select(
            lines.c.book, lines.c.account, sa.func.sum(lines.c.amount_fen).label("total")
        ).group_by(lines.c.book, lines.c.account)
        if book is not None:
            query = query.where(lines.c.book == book)
        if until_day is not None or known_by is not None:
            query = query.join(heads, heads.c.id == lines.c.entry)
            if until_day is not None:
                query = query.where(heads.c.day <= until_day)
            if known_by is not None:
                query = query.where(heads.c.known <= known_by)
        return {
            (row.book, row.account): int(row.total)
            for row in self._session.execute(query.order_by(lines.c.book, lines.c.account))
            if row.total
        }

    def balances_about(self, account: str, *, book: str | None = None) -> dict[str, int]:
        """The balance of an account by what its lines are about; zeros left out."""
        table = table_of(JournalLineRow)
        total = sa.func.sum(table.c.amount_fen)
        query = (
            sa.select(table.c.about, total.label("total"))
            .where(table.c.account == account)
            .group_by(table.c.about)
            .having(total != 0)
        )
        if book is not None:
            query = query.where(table.c.book == book)
        return {row.about: int(row.total) for row in self._session.execute(query)}

    def list_entries(
        self, book: str, *, until_day: int | None = None, about: str | None = None
    ) -> Iterator[Entry]:
        """Entries of a book in order of business day, read in pages."""
        table, lines = table_of(JournalEntryRow), table_of(JournalLineRow)
        last: tuple[int, str] = (-1, "")
        while True:
            query = (
                sa.select(table)
                .where(table.c.book == book)
                .where(sa.tuple_(table.c.day, table.c.id) > last)
                .order_by(table.c.day, table.c.id)
                .limit(PAGE)
            )
            if until_day is not None:
                query = query.where(table.c.day <= until_day)
            if about is not None:
                named = sa.select(lines.c.entry).where(lines.c.about == about)
                query = query.where(table.c.id.in_(named))
            heads = self._session.execute(query).all()
            yield from self._with_lines(heads)
            if len(heads) < PAGE:
                return
            last = (heads[-1].day, heads[-1].id)

    def page_entries(
        self, book: str, *, after: tuple[int, str] = (-1, ""), limit: int
    ) -> list[Entry]:
        """A page of a book's entries by business day and id, after a place; two questions."""
        table = table_of(JournalEntryRow)
        query = (
            sa.select(table)
            .where(table.c.book == book, sa.tuple_(table.c.day, table.c.id) > after)
            .order_by(table.c.day, table.c.id)
            .limit(limit)
        )
        return self._with_lines(self._session.execute(query).all())

    def list_entries_of(self, sources: Collection[str]) -> list[Entry]:
        """Entries that these transactions gave rise to, in all books, in order of id."""
        table = table_of(JournalEntryRow)
        found: list[Entry] = []
        for some in batches(sources):
            query = sa.select(table).where(table.c.source.in_(some))
            found += self._with_lines(self._session.execute(query).all())
        return sorted(found, key=lambda entry: entry.id)

    def _find_entries(self, ids: Collection[str]) -> dict[str, Entry]:
        table = table_of(JournalEntryRow)
        found: dict[str, Entry] = {}
        for some in batches(ids):
            heads = self._session.execute(sa.select(table).where(table.c.id.in_(some))).all()
            found |= {entry.id: entry for entry in self._with_lines(heads)}
        return found

    def _with_lines(self, heads: Sequence[Any]) -> list[Entry]:
        table = table_of(JournalLineRow)
        lines: dict[str, list[Line]] = {head.id: [] for head in heads}
        for some in batches(lines):
            for row in self._session.execute(
                sa.select(table).where(table.c.entry.in_(some)).order_by(table.c.id)
            ):
                lines[row.entry].append(Line(row.account, row.amount_fen, row.about))
        return [
            Entry(
                id=head.id,
                book=head.book,
                kind=head.kind,
                day=head.day,
                at=head.at,
                known=head.known,
                lines=tuple(lines[head.id]),
                source=head.source,
                reverses=head.reverses,
            )
            for head in heads
        ]

    def record_differences(
        self, found: Sequence[Found], *, of: Collection[str], day: int, now: dt.datetime
    ) -> None:
        """Keeps what is new, dates what is still there, closes what is gone of the kinds ``of``."""
        rows = self._session.exec(
            select(DifferenceRow).where(
                col(DifferenceRow.closed_at).is_(None), col(DifferenceRow.kind).in_(sorted(of))
            )
        ).all()
        open_rows = {(row.kind, row.subject): row for row in rows}
        for one in found:
            row = open_rows.pop((one.kind, one.subject), None)
            if row is None:
                row = DifferenceRow(
                    kind=one.kind,
                    subject=one.subject,
                    chain_fen=0,
                    ledger_fen=0,
                    owner=one.owner,
                    first_day=day if one.since_day is None else min(day, one.since_day),
                    last_day=day,
                )
            row.chain_fen, row.ledger_fen, row.last_day = one.chain_fen, one.ledger_fen, day
            row.bank_fen = one.bank_fen
            self._session.add(row)
        for row in open_rows.values():
            row.closed_at = now
            self._session.add(row)
        self._session.flush()

    def list_bank_lines(self, since_day: int) -> Iterator[tuple[str, int, int]]:
        """(transaction, fen, day) of every line on the custodian's bank account since a Beijing day."""
        entry, line = table_of(JournalEntryRow), table_of(JournalLineRow)
        query = (
            sa.select(entry.c.source, line.c.amount_fen, entry.c.day)
            .join(line, line.c.entry == entry.c.id)
            .where(
                entry.c.book == CUSTODIAN,
                entry.c.day >= since_day,
                line.c.account == Account.BANK.value,
            )
        )
        for row in self._session.execute(query.execution_options(yield_per=PAGE)):
            yield row.source, int(row.amount_fen), row.day

    def list_differences(self) -> list[Difference]:
        """Open differences, oldest first."""
        rows = self._session.exec(
            select(DifferenceRow)
            .where(col(DifferenceRow.closed_at).is_(None))
            .order_by(col(DifferenceRow.first_day), col(DifferenceRow.id))
        )
        return [Difference(**row.model_dump(exclude={"id"})) for row in rows]
