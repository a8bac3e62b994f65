"""Who asked for personal data: a log whose rows are chained, so that none can be altered or left out.

Each row carries a keyed hash over itself and the row before. The key comes from the master key, so that
even who may write to the database cannot make a chain that holds. Taking the whole log back to an
earlier end can only be seen against an end noted elsewhere: each start and each check tells the end.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass

import sqlalchemy as sa
import structlog
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from api.auth import Caller
from api.privacy.tables import AccessHeadRow, AccessRow
from chain.clock import Clock, rfc3339
from chain.sealing import Keyring

BEFORE_ALL = "0" * 64
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Broken:
    """Where the log does not hold.

    Attributes:
        number: the row at fault; the first that is missing where rows are missing.
        why: in words.
    """

    number: int
    why: str


class AccessLog:
    """The access log in one database session."""

    def __init__(self, session: Session, clock: Clock, keyring: Keyring) -> None:
        self._session = session
        self._clock = clock
        self._keyring = keyring

    def note(self, caller: Caller, action: str, about: str) -> int:
        """Writes that somebody asked for personal data; the row's number."""
        head = self._locked_head()
        bound = structlog.contextvars.get_contextvars()
        row = AccessRow(
            number=head.number + 1,
            at=self._clock.now(),
            caller=caller.name,
            party_id="" if caller.party_id is None else str(caller.party_id),
            action=action,
            about=about[:200],
            request_id=str(bound.get("request_id", "")),
            previous=head.mac,
            mac="",
        )
        row.mac = self._mac(row)
        self._session.add(row)
        head.number, head.mac = row.number, row.mac
        self._session.add(head)
        self._session.flush()
        return row.number

    def head(self) -> tuple[int, str]:
        """Number and hash of the last row; note them elsewhere to see a log that was taken back."""
        row = self._session.get(AccessHeadRow, 1)
        return (row.number, row.mac) if row is not None else (0, BEFORE_ALL)

    def list_about(self, abouts: list[str], *, limit: int = 1000) -> list[AccessRow]:
        """Who asked for the data of some objects, newest first."""
        query = (
            select(AccessRow)
            .where(col(AccessRow.about).in_(abouts))
            .order_by(col(AccessRow.number).desc())
            .limit(limit)
        )
        return list(self._session.exec(query))

    def find_broken(self, noted: tuple[int, str] | None = None) -> Broken | None:
        """The first row at fault; None where the whole log holds.

        Args:
            noted: an end of the log that was noted elsewhere, earlier.
        """
        number, mac = 0, BEFORE_ALL
        for row in self._rows():
            if row.number != number + 1:
                return Broken(number + 1, "the row is missing")
            if row.previous != mac:
                return Broken(row.number, "the row does not follow the one before it")
            if self._mac(row) != row.mac:
                return Broken(row.number, "the row was altered")
            if noted is not None and row.number == noted[0] and row.mac != noted[1]:
                return Broken(row.number, "the row is not the one that was noted")
            number, mac = row.number, row.mac
        head, last = self.head()
        if number != head or mac != last:
            return Broken(number + 1, f"the log ends at row {number} and should end at row {head}")
        if noted is not None and number < noted[0]:
            return Broken(number + 1, f"the log was taken back from row {noted[0]}")
        return None

    def _rows(self) -> Iterator[AccessRow]:
        after = 0
        while True:
            query = (
                select(AccessRow)
                .where(col(AccessRow.number) > after)
                .order_by(col(AccessRow.number))
                .limit(PAGE)
            )
            page = self._session.exec(query).all()
            yield from page
            if len(page) < PAGE:
                return
            after = page[-1].number

    def _locked_head(self) -> AccessHeadRow:
        insert = sqlite.insert if self._dialect == "sqlite" else postgresql.insert
        self._session.execute(
            insert(AccessHeadRow).values(id=1, number=0, mac=BEFORE_ALL).on_conflict_do_nothing()
        )
        query = (
            select(AccessHeadRow)
            .where(col(AccessHeadRow.id) == 1)
            .with_for_update()
            .execution_options(populate_existing=True)
        )
        return self._session.exec(query).one()

    @property
    def _dialect(self) -> str:
        bind = self._session.get_bind()
        assert isinstance(bind, sa.Engine | sa.Connection)
        return bind.dialect.name

    def _mac(self, row: AccessRow) -> str:
        words = [
            row.number, rfc3339(row.at), row.caller, row.party_id, row.action, row.about,
            row.request_id, row.previous,
        ]  # fmt: skip
        return self._keyring.blind("access log", json.dumps(words, separators=(",", ":")))
