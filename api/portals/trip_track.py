"""A trip's road as the live map wants it, and as the browser re-hashes it: from the evidence that was judged.

Before there is a verdict, the positions that have come so far. Positions leave here in WGS-84; another
datum is the map's business (``map.js``).
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import rfc8785

from api.portals.finding_words import finding_name, finding_numbers
from api.ports import Container, Services
from api.trip_stories import TripStory
from chain.errors import NotFoundError
from chain.ids import TripId
from tracking.errors import EvidenceEmptyError
from tracking.evidence import examine_evidence, from_json
from tracking.fix import Fix
from tracking.judge import Examination
from tracking.plan import Plan
from tracking.policy import default_policy, find_policy

STOP_M, STOP_S = 60, 120
"""A truck that stays within so many metres for so long has stopped."""

MOST_POINTS = 20_000
"""Points of a track that is drawn; a longer one is thinned evenly, and says so."""

_EARTH_M = 6_371_008.8


@dataclass(frozen=True, slots=True, eq=False)
class Ground:
    """Where evidence is found; equal when the trip and what was found on it are."""

    container: Container
    trip: TripId
    findings: str

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Ground) and (self.trip, self.findings) == (
            other.trip,
            other.findings,
        )

    def __hash__(self) -> int:
        return hash((self.trip, self.findings))


@functools.lru_cache(maxsize=64)
def examined(ground: Ground) -> Examination:
    """The examination of a judged trip: takes a second, so the same evidence is examined once.

    Raises:
        NotFoundError: there is nothing to draw.
    """
    with ground.container.read() as services:
        document = services.tracking.get_evidence(ground.trip)
    try:
        evidence = from_json(document)
        policy = find_policy(evidence.recorded.trip.policy_hash) or default_policy()
        return examine_evidence(evidence, policy)
    except EvidenceEmptyError as error:
        raise NotFoundError("there is nothing to draw") from error


def track_json(
    container: Container, services: Services, story: TripStory, lang: str
) -> dict[str, Any]:
    """Everything the live map shows of a trip."""
    verdict = story.verdict
    if verdict is not None:
        ground = Ground(container, story.trip.id, verdict.findings)
        drive = examined(ground).drive
        time, lon, lat = drive.time, drive.lon, drive.lat
        speed = drive.speed
    else:
        fixes = sorted(_live(services, story.trip.id), key=lambda fix: fix.time)
        time = np.array([fix.time for fix in fixes], dtype=np.int64)
        lon = np.array([fix.lon_e6 / 1e6 for fix in fixes])
        lat = np.array([fix.lat_e6 / 1e6 for fix in fixes])
        speed = np.full(len(fixes), np.nan)
    every = max(1, -(-len(time) // MOST_POINTS))
    time, lon, lat, speed = time[::every], lon[::every], lat[::every], speed[::every]
    steps = _steps_m(lon, lat)
    derived = bool(len(speed)) and bool(np.isnan(speed).all())
    shown = _derived_kmh(steps, np.diff(time)) if derived else np.nan_to_num(speed)
    return {
        "plan": _plan(story.leaf.plan),
        "places": [
            str(story.leaf.papers.get("origin", "")),
            str(story.leaf.papers.get("destination", "")),
        ],
        "time": time.tolist(),
        "lon": np.round(lon, 6).tolist(),
        "lat": np.round(lat, 6).tolist(),
        "speed": np.round(shown, 1).tolist(),
        "speed_derived": derived,
        "thinned_by": every,
        "stops": stops_of(time, lon, lat),
        "findings": [] if verdict is None else _findings(verdict.document, time, lon, lat, lang),
        "totals": _totals(time, steps, shown),
        "live": verdict is None,
        "stage": story.trip.state.name.lower(),
        "base": _base(container),
    }


def _base(container: Container) -> dict[str, str]:
    settings = container.settings
    return {
        "tiles": settings.map_tiles,
        "datum": settings.map_datum,
        "attribution": settings.map_attribution,
    }


def _live(services: Services, trip: TripId) -> Sequence[Fix]:
    return services.tracking.list_track(trip) if services.tracks.find_trip(trip) else ()


def _plan(plan: Mapping[str, Any] | None) -> dict[str, Any] | None:
    if plan is None:
        return None
    read = Plan.from_json(plan)
    return {
        "route": [list(point) for point in read.route],
        "corridor_m": read.corridor_m,
        "gates": [
            {
                "lon": gate.lon, "lat": gate.lat, "radius_m": gate.radius_m,
                "polygon": [list(corner) for corner in gate.polygon],
            }
            for gate in (read.loading, read.unloading)
        ],
    }  # fmt: skip


def _steps_m(lon: np.ndarray[Any, Any], lat: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """Metres between neighbours on a sphere: for a picture, not for a verdict."""
    if len(lon) < 2:
        return np.zeros(0)
    x = np.radians(np.diff(lon)) * np.cos(np.radians((lat[1:] + lat[:-1]) / 2))
    steps: np.ndarray[Any, Any] = np.hypot(x, np.radians(np.diff(lat))) * _EARTH_M
    return steps


def _derived_kmh(steps: np.ndarray[Any, Any], gaps: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if not len(steps):
        return np.zeros(1 if len(steps) == 0 else 0)
    speeds = np.where(gaps > 0, steps * 3.6 / np.maximum(gaps, 1), 0.0)
    capped: np.ndarray[Any, Any] = np.minimum(np.concatenate((speeds[:1], speeds)), 250.0)
    return capped


def stops_of(
    time: np.ndarray[Any, Any], lon: np.ndarray[Any, Any], lat: np.ndarray[Any, Any]
) -> list[dict[str, Any]]:
    """Where the truck stood: place, from, until, and how long."""
    found: list[dict[str, Any]] = []
    first = 0
    while first < len(time):
        x = np.radians(lon[first:] - lon[first]) * np.cos(np.radians(lat[first]))
        away = np.hypot(x, np.radians(lat[first:] - lat[first])) * _EARTH_M > STOP_M
        last = first + (int(np.argmax(away)) if away.any() else len(away)) - 1
        if time[last] - time[first] >= STOP_S:
            found.append(
                {
                    "lon": round(float(lon[first : last + 1].mean()), 6),
                    "lat": round(float(lat[first : last + 1].mean()), 6),
                    "from": int(time[first]), "to": int(time[last]),
                    "seconds": int(time[last] - time[first]),
                }
            )  # fmt: skip
            first = last
        first += 1
    return found


def _totals(
    time: np.ndarray[Any, Any], steps: np.ndarray[Any, Any], speed: np.ndarray[Any, Any]
) -> dict[str, int]:
    gaps = np.diff(time)
    moving = int(gaps[np.asarray(speed[1:] > 3)].sum()) if len(gaps) else 0
    whole = int(time[-1] - time[0]) if len(time) else 0
    metres = int(steps.sum()) if len(steps) else 0
    return {
        "distance_m": metres,
        "moving_s": moving,
        "parked_s": whole - moving,
        "top_kmh": int(speed.max()) if len(speed) else 0,
        "mean_kmh": round(metres * 3.6 / moving) if moving else 0,
    }


def _findings(
    document: Mapping[str, Any],
    time: np.ndarray[Any, Any],
    lon: np.ndarray[Any, Any],
    lat: np.ndarray[Any, Any],
    lang: str,
) -> list[dict[str, Any]]:
    """Findings that have a moment, at the place of the nearest fix."""
    found = []
    for one in document["findings"]:
        if one["from"] is None or not len(time) or one["severity"] == "info":
            continue
        at = int(dt.datetime.fromisoformat(one["from"]).timestamp())
        near = int(np.argmin(np.abs(time - at)))
        numbers = finding_numbers(one["detail"], lang)
        name = finding_name(one["code"], lang)
        found.append(
            {
                "severity": one["severity"], "text": f"{name}: {numbers}" if numbers else name,
                "at": at, "lon": round(float(lon[near]), 6), "lat": round(float(lat[near]), 6),
            }
        )  # fmt: skip
    return found


def evidence_json(container: Container, story: TripStory) -> dict[str, Any]:
    """What the browser hashes again: leaves, batches and documents, beside what the chain recorded.

    Raises:
        NotFoundError: the trip was not judged yet.
    """
    verdict = story.verdict
    if verdict is None:
        raise NotFoundError("this trip was not judged yet")
    examination = examined(Ground(container, story.trip.id, verdict.findings))
    fixes, drive = examination.track.fixes, examination.drive
    used = np.zeros(len(examination.track), dtype=np.bool_)
    used[drive.row[drive.evidence]] = True
    leaves = fixes.take(used)
    attested = [one for one in story.filed if one.event == "DriveAttested"]
    committed = {
        int(one.facts["index"]): one for one in story.filed if one.event == "TrackCommitted"
    }
    with container.read() as services:
        members = services.tracks.list_batch_members(story.trip.id)
    policy = find_policy(story.leaf.form.policy) or default_policy()
    return {
        "trip": story.trip.id,
        "leaves": np.stack((leaves.time, leaves.lat_e6, leaves.lon_e6), axis=1).tolist(),
        "attested": [
            {
                "by": story.name(one.facts["attestor"], "zh"),
                "by_en": story.name(one.facts["attestor"], "en"),
                "root": one.facts["root"], "policy": one.facts["policy"],
                "findings": one.facts["findings"], "block": one.block_number,
                "transaction": one.transaction_hash,
            }
            for one in attested
        ],
        "batches": [
            {
                "index": index, "root": one.facts["root"], "block": one.block_number,
                "transaction": one.transaction_hash,
                "leaves": [[m.time, m.lat_e6, m.lon_e6] for m in members.get(index, ())],
            }
            for index, one in sorted(committed.items())
        ],
        "verdict": rfc8785.dumps(dict(verdict.document)).decode(),
        "policy": rfc8785.dumps(dict(policy.document)).decode(),
        "plan": rfc8785.dumps(Plan.from_json(story.leaf.plan or {}).to_json()).decode(),
        "plan_hash": story.leaf.form.plan,
    }  # fmt: skip
