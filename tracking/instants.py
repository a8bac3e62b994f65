"""Unix seconds and tz-aware instants, both ways."""

from __future__ import annotations

import datetime as dt

from chain.clock import require_utc


def instant(seconds: int) -> dt.datetime:
    """The tz-aware UTC instant of unix seconds."""
    return dt.datetime.fromtimestamp(seconds, dt.UTC)


def unix_seconds(at: dt.datetime) -> int:
    """Unix seconds of a tz-aware instant, rounded down.

    Raises:
        ValueError: without a time zone.
    """
    return int(require_utc(at).timestamp() // 1)


def parse_instant(text: str) -> int:
    """Unix seconds of an RFC 3339 text; a text without a zone is refused.

    Raises:
        ValueError: not RFC 3339, or naive, or in UTC beyond the years 1 to 9999.
    """
    try:
        return unix_seconds(dt.datetime.fromisoformat(text.strip()))
    except OverflowError as wrong:
        raise ValueError(f"{text.strip()[:40]!r} is beyond the years 1 to 9999") from wrong
