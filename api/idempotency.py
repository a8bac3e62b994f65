"""Answers kept for repeated requests.

The answer is stored in the transaction of the write it belongs to: after a crash there are both or
neither. Two identical requests at once take turns (SQLite by its write lock, PostgreSQL by the unique
key), and the second is given the first one's answer. Kept for ever: money has no 24-hour memory.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import re
from collections.abc import Sequence
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlmodel import Session, col, select

from api.errors import IdempotencyKeyMissingError, IdempotencyKeyReusedError, SecretGoneError
from api.tables import KeptAnswerRow
from chain.clock import Clock

KEY = re.compile(r"[\x21-\x7e]{1,255}")

SECRETS_KEPT = dt.timedelta(hours=24)
"""How long an answer that shows a secret can be had again; the key stays taken, the secret is gone."""


@dataclass(frozen=True, slots=True)
class KeptAnswer:
    """What was answered the first time."""

    status: int
    body: str


def require_key(given: str | None) -> str:
    """The Idempotency-Key of a write.

    Raises:
        IdempotencyKeyMissingError: absent, too long, or with characters that cannot be seen.
    """
    if given is None or not KEY.fullmatch(given):
        raise IdempotencyKeyMissingError(field="Idempotency-Key")
    return given


def request_hash(method: str, path: str, content_type: str, body: bytes, *, key: bytes) -> str:
    """What makes two requests the same: method, path with query, content type, and body to the byte.

    Keyed, since a body may hold a password or a code that its bare hash would let somebody guess.
    """
    total = hmac.new(key, b"yundan request", hashlib.sha256)
    for part in (method.encode(), path.encode(), content_type.encode(), body):
        total.update(len(part).to_bytes(8, "big") + part)
    return total.hexdigest()


@dataclass(frozen=True, slots=True)
class Written:
    """One write, as the log of the developer page shows it."""

    caller: str
    key: str
    status: int
    at: dt.datetime


class KeptAnswers:
    """The kept answers in one database session that writes."""

    def __init__(self, session: Session, clock: Clock) -> None:
        self._session = session
        self._clock = clock

    def begin(self, caller: str, key: str, request: str) -> KeptAnswer | None:
        """Claims a key for this transaction, or gives what was answered under it.

        Raises:
            IdempotencyKeyReusedError: the key was used for another request.
        """
        dialect = self._session.get_bind().dialect.name
        insert = sqlite.insert if dialect == "sqlite" else postgresql.insert
        claim = (
            insert(KeptAnswerRow)
            .values(
                caller=caller,
                idempotency_key=key,
                request_hash=request,
                status=0,
                body="",
                created_at=self._clock.now(),
            )
            .on_conflict_do_nothing()
            .returning(sa.literal(1))
        )
        if self._session.execute(claim).first() is not None:
            return None
        row = self._session.get_one(KeptAnswerRow, (caller, key), populate_existing=True)
        if row.request_hash != request:
            raise IdempotencyKeyReusedError(
                "this Idempotency-Key was used for another request; take a new one",
                field="Idempotency-Key",
            )
        if not row.body:
            raise SecretGoneError(field="Idempotency-Key")
        return KeptAnswer(row.status, row.body)

    def keep(self, caller: str, key: str, status: int, body: str, *, secret: bool = False) -> None:
        """Stores the answer under a key claimed in this transaction.

        Args:
            caller: as it was claimed.
            key: as it was claimed.
            status: HTTP status of the answer.
            body: the answer.
            secret: whether it shows a secret, and is to be forgotten after a day.
        """
        row = self._session.get_one(KeptAnswerRow, (caller, key))
        row.status, row.body, row.secret = status, body, secret
        self._session.add(row)
        self._session.flush()

    def give_back(self, caller: str, key: str) -> None:
        """Frees a key claimed in this transaction: the request was refused and may be sent again."""
        self._session.delete(self._session.get_one(KeptAnswerRow, (caller, key)))
        self._session.flush()

    def forget_secrets(self) -> int:
        """Takes the secrets out of answers a day old; how many."""
        due = (
            sa.update(KeptAnswerRow)
            .where(
                col(KeptAnswerRow.secret).is_(True),
                col(KeptAnswerRow.created_at) < self._clock.now() - SECRETS_KEPT,
            )
            .values(body="", secret=False)
        )
        return int(self._session.connection().execute(due).rowcount)

    def list_last(self, callers: Sequence[str], *, limit: int) -> list[Written]:
        """The last writes of some callers, newest first: when, by whom, and what they were answered."""
        query = (
            select(KeptAnswerRow)
            .where(col(KeptAnswerRow.caller).in_(list(callers)))
            .order_by(col(KeptAnswerRow.created_at).desc(), col(KeptAnswerRow.idempotency_key))
            .limit(limit)
        )
        return [
            Written(row.caller, row.idempotency_key, row.status, row.created_at)
            for row in self._session.exec(query)
        ]
