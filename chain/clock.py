"""Time as a port: nobody asks the machine; what asks takes a Clock."""

from __future__ import annotations

import datetime as dt
import threading
import time
from typing import TYPE_CHECKING, Protocol

from chain.errors import ChainError, UnexpectedStateError

if TYPE_CHECKING:
    from collections.abc import Callable

BEIJING_OFFSET_S = 8 * 3600

LAST_INSTANT = dt.datetime(9999, 12, 30, tzinfo=dt.UTC)
"""Past this no calendar here can name a day in every time zone."""


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


class ChainClock:
    """A clock that follows the chain's latest block and only moves forward.

    Contracts know no other time, so whatever is compared with theirs (expiry, due days, windows) asks
    this clock. Latencies are measured with the machine's.

    Args:
        fetch: asks the chain for the time of its latest block.
        every_s: how long an answer is good for, by the machine's clock.
        advance: moves a local chain's time forward, where there is one.
    """

    def __init__(
        self,
        fetch: Callable[[], dt.datetime],
        *,
        every_s: float = 0.2,
        advance: Callable[[dt.datetime], dt.datetime] | None = None,
    ) -> None:
        self._fetch = fetch
        self._every_s = every_s
        self._advance = advance
        self._lock = threading.Lock()
        self._at: dt.datetime | None = None
        self._asked = float("-inf")

    def now(self) -> dt.datetime:
        """The time of the latest block seen; what was seen last, while the node does not answer or refuses.

        Raises:
            ChainError: the node has never answered.
        """
        with self._lock:
            if self._at is None or time.monotonic() - self._asked > self._every_s:
                try:
                    self._move(self._fetch())
                except ChainError:
                    if self._at is None:
                        raise
                self._asked = time.monotonic()
            assert self._at is not None
            return self._at

    def observe(self, at: dt.datetime) -> None:
        """Takes note of a block's time that was seen anyway."""
        with self._lock:
            self._move(at)
            self._asked = time.monotonic()

    def advance_to(self, at: dt.datetime) -> dt.datetime:
        """Moves a local chain's time forward to an instant; gives the time it is then.

        Raises:
            UnexpectedStateError: the chain is not a local one; its time is not ours to move.
        """
        if self._advance is None:
            raise UnexpectedStateError("only a local chain's time can be moved")
        self.observe(self._advance(at))
        return self.now()

    def _move(self, at: dt.datetime) -> None:
        self._at = require_utc(at) if self._at is None else max(self._at, require_utc(at))


def require_utc(at: dt.datetime) -> dt.datetime:
    """The same instant in UTC; refuses a naive one.

    Raises:
        ValueError: without a time zone.
    """
    if at.tzinfo is None:
        raise ValueError("an instant needs a time zone")
    return at.astimezone(dt.UTC)


def instant_of(seconds: int) -> dt.datetime:
    """The instant of a contract's second; what lies past year 9999 (a term that never ends) is LAST_INSTANT.

    Contracts take any 64 bits for a term: an event that names none of our years must not stop who reads it.
    """
    return dt.datetime.fromtimestamp(min(seconds, int(LAST_INSTANT.timestamp())), dt.UTC)


def rfc3339(at: dt.datetime) -> str:
    """The instant as RFC 3339 UTC, seconds or microseconds as given, with Z."""
    return require_utc(at).isoformat().replace("+00:00", "Z")


def beijing_day(at: dt.datetime) -> int:
    """The Beijing calendar day of an instant: floor((unix seconds + 8 h) / 86,400)."""
    return (int(require_utc(at).timestamp()) + BEIJING_OFFSET_S) // 86_400
