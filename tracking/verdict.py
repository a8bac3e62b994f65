"""The judge's word on a trip: pass, review or fail, with the findings and numbers behind it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import rfc8785

from chain.clock import rfc3339
from tracking.findings import Finding, Severity
from tracking.instants import instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from chain.ids import Hash32


class Outcome(StrEnum):
    """What a verdict says."""

    PASS = "pass"  # noqa: S105  a word of the glossary
    REVIEW = "review"
    FAIL = "fail"


@dataclass(frozen=True, slots=True)
class RouteShare:
    """How much of the planned road was driven.

    Attributes:
        length_m: length of the planned route on the ellipsoid.
        covered_m: metres of it driven forwards, in order, with evidence; silent stretches do not count.
        on_route_m: metres driven inside the corridor.
        driven_m: metres driven in all between loading and the end of the record.
    """

    length_m: int
    covered_m: int
    on_route_m: int
    driven_m: int

    @property
    def coverage_ppm(self) -> int:
        """Covered share of the route, millionths."""
        return self.covered_m * 1_000_000 // self.length_m if self.length_m else 0

    @property
    def on_route_ppm(self) -> int:
        """Share of the metres driven that lie inside the corridor, millionths."""
        return self.on_route_m * 1_000_000 // self.driven_m if self.driven_m else 0


@dataclass(frozen=True, slots=True)
class Verdict:
    """A verdict. Equal input and policy give equal canonical bytes on any machine.

    Attributes:
        findings: by time, then code.
        given: fixes given, duplicates included.
        used: fixes that the trajectory root covers.
        rejected: fixes refused, by code.
        route: shares of the road.
        distance_m: metres driven along the used fixes.
        max_gap_s: longest silence between two used fixes.
        departed_at: unix seconds of leaving the loading place, None where it was not seen.
        arrived_at: unix seconds of reaching the unloading place after the journey, None where not.
        started_at: unix seconds of the first used fix.
        ended_at: unix seconds of the last used fix.
        trajectory_root: Merkle root of the used fixes in order.
        policy_hash: of the rules applied.
    """

    findings: tuple[Finding, ...]
    given: int
    used: int
    rejected: Mapping[str, int]
    route: RouteShare
    distance_m: int
    max_gap_s: int
    departed_at: int | None
    arrived_at: int | None
    started_at: int | None
    ended_at: int | None
    trajectory_root: Hash32
    policy_hash: Hash32

    @property
    def outcome(self) -> Outcome:
        """The worst of the findings."""
        worst = max((finding.severity.rank for finding in self.findings), default=0)
        return (Outcome.PASS, Outcome.REVIEW, Outcome.FAIL)[worst]

    @property
    def reasons(self) -> tuple[str, ...]:
        """Codes of the findings that keep it from passing."""
        return tuple(
            dict.fromkeys(one.code for one in self.findings if one.severity is not Severity.INFO)
        )

    def to_json(self) -> dict[str, Any]:
        """The form of `yundan track check --json`."""
        return {
            "verdict": self.outcome.value,
            "findings": [finding.to_json() for finding in self.findings],
            "fixes": {
                "given": self.given,
                "used": self.used,
                "rejected": dict(sorted(self.rejected.items())),
            },
            "route": {
                "length_m": self.route.length_m,
                "covered_m": self.route.covered_m,
                "coverage": self.route.coverage_ppm / 1_000_000,
                "on_route": self.route.on_route_ppm / 1_000_000,
            },
            "distance_m": self.distance_m,
            "max_gap_s": self.max_gap_s,
            "departed_at": _at(self.departed_at),
            "arrived_at": _at(self.arrived_at),
            "trajectory_root": self.trajectory_root,
            "policy_hash": self.policy_hash,
        }

    def canonical_bytes(self) -> bytes:
        """RFC 8785 bytes of to_json, what attestors compare."""
        return rfc8785.dumps(self.to_json())


def _at(seconds: int | None) -> str | None:
    return None if seconds is None else rfc3339(instant(seconds))
