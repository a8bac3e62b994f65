"""How often somebody may be wrong at a door: after five failures it shuts, for longer each time."""

from __future__ import annotations

import datetime as dt

from sqlmodel import Session

from api.identity.errors import ShutDoorError
from api.identity.tables import DoorAttemptRow
from chain.clock import Clock, rfc3339
from chain.sealing import Keyring

FREE = 5
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(seconds=30), dt.timedelta(hours=1)
FORGOTTEN_AFTER = dt.timedelta(days=1)


class Attempts:
    """The failures in one database session.

    Who failed is kept as a keyed hash: a list of the logins that were tried is nobody's business.
    """

    def __init__(self, session: Session, clock: Clock, keyring: Keyring) -> None:
        self._session = session
        self._clock = clock
        self._keyring = keyring

    def check(self, kind: str, subject: str) -> None:
        """Passes who may try.

        Raises:
            ShutDoorError: too many failures; says until when.
        """
        row = self._session.get(DoorAttemptRow, self._keyring.blind(kind, subject))
        if row is not None and row.shut_until is not None and self._clock.now() < row.shut_until:
            raise ShutDoorError(
                f"too many attempts; try again after {rfc3339(row.shut_until)}",
                until=rfc3339(row.shut_until),
            )

    def fail(self, kind: str, subject: str, *, free: int = FREE) -> None:
        """Counts one failure; beyond the free ones the door shuts, twice as long each time."""
        now, key = self._clock.now(), self._keyring.blind(kind, subject)
        row = self._session.get(DoorAttemptRow, key)
        if row is None or now - row.last_at > FORGOTTEN_AFTER:
            row = row or DoorAttemptRow(subject=key, failures=0, last_at=now)
            row.failures, row.shut_until = 0, None
        row.failures, row.last_at = row.failures + 1, now
        if row.failures >= free:
            wait = FIRST_WAIT * 2 ** min(row.failures - free, 12)
            row.shut_until = now + min(wait, LONGEST_WAIT)
        self._session.add(row)
        self._session.flush()

    def forget(self, kind: str, subject: str) -> None:
        """Somebody was right: his failures are forgotten."""
        row = self._session.get(DoorAttemptRow, self._keyring.blind(kind, subject))
        if row is not None:
            self._session.delete(row)
            self._session.flush()
