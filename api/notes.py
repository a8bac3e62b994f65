"""What people of an organisation write about a loan or a trip for each other; nobody else reads it."""

from __future__ import annotations

import datetime as dt
import secrets
from dataclasses import dataclass

import sqlmodel
from sqlmodel import Session, col

from api.tables import NoteRow
from chain.clock import Clock
from chain.errors import InvalidValueError
from chain.ids import PartyId

MOST = 2_000


@dataclass(frozen=True, slots=True)
class Note:
    """One note."""

    author: str
    text: str
    at: dt.datetime


class Notes:
    """The notes in one database session."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def list_about(self, party: PartyId, about: str) -> list[Note]:
        """A party's notes about an object, newest first."""
        query = (
            sqlmodel.select(NoteRow)
            .where(col(NoteRow.party) == str(party), col(NoteRow.about) == about)
            .order_by(col(NoteRow.written_at).desc(), col(NoteRow.note_id))
            .limit(200)
        )
        return [Note(row.author, row.text, row.written_at) for row in self._session.exec(query)]

    def write(self, party: PartyId, about: str, author: str, text: str) -> None:
        """Keeps a note.

        Raises:
            InvalidValueError: it is empty or too long.
        """
        if not text.strip() or len(text) > MOST:
            raise InvalidValueError(f"a note has 1 to {MOST} characters", field="text")
        self._session.add(
            NoteRow(
                note_id=secrets.token_hex(12),
                party=str(party),
                about=about,
                author=author,
                text=text.strip(),
                written_at=self._clock.now(),
            )
        )
        self._session.flush()
