"""Time as a port: nobody asks the machine; what asks takes a Clock."""

from __future__ import annotations

import datetime as dt
from typing import Protocol

BEIJING_OFFSET_S = 8 * 3600


class Clock(Protocol):
    """Gives the present instant, tz-aware, UTC."""

    def now(self) -> dt.datetime:
        """The present, never earlier than what was given before."""
        ...


class SystemClock:
    """The machine's clock; the only reader of it."""

    def now(self) -> dt.datetime:
        """The present by the machine."""
        return dt.datetime.now(dt.UTC)  # noqa: TID251  the one place


class FixedClock:
    """A clock that stands until it is moved, forward only."""

    def __init__(self, at: dt.datetime) -> None:
        self._at = require_utc(at)

    def now(self) -> dt.datetime:
        """The instant it stands at."""
        return self._at

    def advance_to(self, at: dt.datetime) -> None:
        """Moves forward; an earlier instant is ignored."""
        self._at = max(self._at, require_utc(at))


def require_utc(at: dt.datetime) -> dt.datetime:
    """The same instant in UTC; refuses a naive one.

    Raises:
        ValueError: without a time zone.
    """
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return at.astimezone(dt.UTC)


def rfc3339(at: dt.datetime) -> str:
    """The instant as RFC 3339 UTC, seconds or microseconds as given, with Z."""
    return require_utc(at).isoformat().replace("+00:00", "Z")


def beijing_day(at: dt.datetime) -> int:
    """The Beijing calendar day of an instant: floor((unix seconds + 8 h) / 86,400)."""
    return (int(require_utc(at).timestamp()) + BEIJING_OFFSET_S) // 86_400
