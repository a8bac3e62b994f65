"""What will go, told early: `Deprecation` (RFC 9745), `Sunset` (RFC 8594) and a link to what takes its place.

The policy: within /v1 nothing that is documented is taken away or changes its meaning; fields, parameters,
codes and events are only added. What is to go is marked here first, answers as before for at least
``NOTICE``, and is gone after its sunset with a 410 that names its successor.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from email.utils import format_datetime

from fastapi import Request

NOTICE = dt.timedelta(days=180)
"""The least time between the mark and the end."""

POLICY = "/v1/deprecations"


@dataclass(frozen=True, slots=True)
class Deprecation:
    """A door that will be shut.

    Attributes:
        what: method and path.
        since: when it was marked.
        sunset: when it ends, at least ``NOTICE`` later.
        successor: what to call instead.
        why: for people.
    """

    what: str
    since: dt.datetime
    sunset: dt.datetime
    successor: str
    why: str

    def __call__(self, request: Request) -> None:
        """As a dependency of a route: its answers carry the headers."""
        request.state.headers = {
            "Deprecation": f"@{int(self.since.timestamp())}",
            "Sunset": format_datetime(self.sunset, usegmt=True),
            "Link": f'<{self.successor}>; rel="successor-version", <{POLICY}>; rel="deprecation"',
        }


IMPORT_AT_ONCE = Deprecation(
    what="POST /v1/waybills/import",
    since=dt.datetime(2026, 11, 28, tzinfo=dt.UTC),
    sunset=dt.datetime(2027, 6, 30, tzinfo=dt.UTC),
    successor="/v1/jobs/imports",
    why="a file is a job: it takes Excel too, names every cell, and tells how far it has come",
)

DEPRECATIONS = (IMPORT_AT_ONCE,)
"""Everything that will go."""
