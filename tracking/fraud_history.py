"""Tracks compared with tracks on file: a replay, one truck with two terminals, a convoy told apart.

Two honest drives on one road differ in when they pass each place: traffic, lights and stops see to it.
A copy passes every place at a time that is the other's, shifted and perhaps stretched, to the second; or, if
the copyist let his clock sway, along a slow curve of a few seconds, from which a real drive with its stops and
lights is far away (63 pairs of real buses on one road: 4 s and more; copies: 0.4 s and less).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from chain.keccak import keccak
from tracking.drive import Drive
from tracking.findings import Finding, Severity
from tracking.merkle import root_of_columns
from tracking.track import Columns, Track

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from tracking.corridor import Corridor
    from tracking.fix import Fix
    from tracking.policy import Policy, Rule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_WAVES, _PLACES_A_WAVE = 4, 12
"""Half waves of a clock that sways, and the places that each must be seen by."""


@dataclass(frozen=True, slots=True)
class OtherTrack:
    """A track already on file to compare with: an earlier trip, or another terminal at the same time.

    Attributes:
        name: how a finding calls it (a trip id or a file name).
        fixes: its fixes, in any order.
        terminal: whose, "" where its fixes say so themselves.
    """

    name: str
    fixes: Sequence[Fix] | Columns
    terminal: str = ""


@dataclass(frozen=True, slots=True)
class Likeness:
    """How two drives compare.

    Attributes:
        common_m: metres of road both passed.
        common_s: seconds this drive took for them.
        share_permille: of this drive's progress.
        lag_s: median of (other's time - this time).
        stretch_permille: other's seconds per thousand of this one's.
        apart_ds: tenths of seconds by which the best shift and stretch still misses, median.
        wide_ds: the same for eight in ten places.
        curve_ds: tenths of seconds by which the best slow curve still misses, median.
        curve_wide_ds: the same for eight in ten places.
        sway_s: how far that curve sways from the straight line, eight in ten places.
        places: how many were compared.
        same_permille: share of moving fixes that the other has to the last digit.
    """

    common_m: int
    common_s: int
    share_permille: int
    lag_s: int
    stretch_permille: int
    apart_ds: int
    wide_ds: int
    same_permille: int
    curve_ds: int = 99_999
    curve_wide_ds: int = 99_999
    sway_s: int = 99_999
    places: int = 0


def check_others(
    drive: Drive, corridor: Corridor, others: Sequence[OtherTrack], track: Track, policy: Policy
) -> list[Finding]:
    """Compares a drive with tracks on file.

    What it was compared with is a finding too: its root binds the tracks into what attestors sign, so that
    nobody can say later that another one was looked at.
    """
    replay, shared, convoy = (policy.rule(code) for code in ("replay", "shared_track", "convoy"))
    out: list[Finding] = []
    seen: list[str] = []
    own = track.terminals[0] if len(track.terminals) == 1 else ""
    for other in others:
        file = Track.of(other.fixes, terminal=other.terminal)
        root = root_of_columns(file.fixes.time, file.fixes.lat_e6, file.fixes.lon_e6)
        seen.append(f"{other.name}:{root}")
        if len(file) < 2 or len(drive) < 2:
            continue
        rows = np.arange(len(file))
        theirs = Drive.of(
            file.fixes, file.fixes.time.copy(), np.ones(len(file), dtype=np.bool_), rows, corridor
        )
        like = compare(drive, theirs)
        if like is None:
            continue
        copied = _is_copied(like, replay)
        overlap = min(int(drive.time[-1]), int(theirs.time[-1])) - max(
            int(drive.time[0]), int(theirs.time[0])
        )
        together = overlap > 0 and abs(like.lag_s) <= shared["lag_s"]
        # Two boxes in one truck keep one distance in time; two trucks open and close it.
        drift_s = abs(like.stretch_permille - 1000) * int(drive.time[-1] - drive.time[0]) // 1000
        if together and like.same_permille < replay["same_permille"]:
            copied = copied and drift_s <= shared["drift_s"]
            copied = copied and like.apart_ds <= shared["apart_ds"]
            copied = copied and like.wide_ds <= shared["wide_ds"]
        swayed = overlap <= 0 and not copied and _is_swayed(like, replay)
        terminal = other.terminal or (file.terminals[0] if len(file.terminals) == 1 else "")
        detail = {
            "other": other.name,
            "lag_s": like.lag_s,
            "stretch_permille": like.stretch_permille,
            "apart_ds": like.apart_ds,
            "curve_ds": like.curve_ds,
            "sway_s": like.sway_s,
            "common_m": like.common_m,
            "same_permille": like.same_permille,
        }
        start, end = int(drive.time[0]), int(drive.time[-1])
        if copied:
            rule = shared if together and (terminal != own or not own) else replay
            # By few places two trucks that keep their distance can look like one.
            few = rule is shared and like.places < shared["certain_n"]
            few = few and like.same_permille < replay["same_permille"]
            grade = Severity.REVIEW if few else rule.severity
            out.append(Finding(rule.code, grade, start, end, detail))
        elif swayed:
            # One in a hundred drives keeps so near to an earlier one by chance: a person looks at both.
            out.append(Finding(replay.code, Severity.REVIEW, start, end, detail))
        elif together and like.share_permille >= convoy["share_permille"]:
            out.append(Finding(convoy.code, convoy.severity, start, end, detail))
    if seen:
        bound = "0x" + keccak("\n".join(sorted(seen)).encode()).hex()
        detail = {"tracks": len(seen), "root": bound}
        out.append(Finding("compared", Severity.INFO, None, None, detail))
    return out


def _is_copied(like: Likeness, replay: Rule) -> bool:
    """Whether one drive is the other, shifted and stretched in time."""
    # A short common way may agree by chance; the less of it, the closer the times must be.
    strict = min(1000, replay["short_permille"] + like.common_s * 1000 // replay["long_s"])
    # And whoever was faster all the way has to have copied more closely to have copied at all.
    stretched = abs(like.stretch_permille - 1000) > replay["stretch_permille"]
    apart_ds = replay["stretch_ds"] if stretched else replay["apart_ds"]
    return (
        like.share_permille >= replay["share_permille"]
        and like.common_m >= replay["least_m"]
        and like.apart_ds * 1000 <= apart_ds * strict
        and like.wide_ds * 1000 <= replay["wide_ds"] * strict
    ) or like.same_permille >= replay["same_permille"]


def _is_swayed(like: Likeness, replay: Rule) -> bool:
    """Whether one drive is the other on a clock that sways slowly by some seconds."""
    return (
        like.share_permille >= replay["share_permille"]
        and like.common_m >= replay["least_m"]
        and like.common_s >= replay["long_s"]
        and like.places >= replay["curve_n"]
        and like.curve_ds <= replay["curve_ds"]
        and like.curve_wide_ds <= replay["curve_wide_ds"]
        and like.sway_s <= replay["sway_s"]
        and abs(like.stretch_permille - 1000) <= replay["stretch_permille"]
    )


def compare(one: Drive, two: Drive) -> Likeness | None:
    """Compares when two drives passed the same places of one road; None where they share too little."""
    same = _same_places(one, two)
    first, second = _passages(one), _passages(two)
    if first is None or second is None:
        return _only_same(same)
    low, high = max(first[0][0], second[0][0]), min(first[0][-1], second[0][-1])
    inside = (first[0] >= low) & (first[0] <= high)
    places, mine = first[0][inside], first[1][inside]
    at = np.searchsorted(second[0], places, side="right") - 1
    at = np.clip(at, 0, len(second[0]) - 2)
    # Only where the other was moving between two of its own fixes.
    able = second[2][at]
    places, mine, at = places[able], mine[able], at[able]
    if len(places) < 8:
        return _only_same(same)
    ahead = (second[0][at + 1] - second[0][at]).astype(np.float64)
    part = (places - second[0][at]) / np.maximum(ahead, 1.0)
    theirs = second[1][at] + part * (second[1][at + 1] - second[1][at])
    mine_s = (mine - mine[0]).astype(np.float64)
    lag = theirs - mine
    if np.ptp(mine_s) > 0:
        line, away = _fit(_straight(mine_s), lag)
        slope = float(line[-1] - line[0]) / float(mine_s[-1] - mine_s[0])
    else:
        line, slope = np.full(len(lag), float(np.median(lag))), 0.0
        away = np.abs(lag - line)
    curve, off_curve = _fit(_slow_curves(mine_s), lag)
    chord = np.interp(mine_s, mine_s[[0, -1]], curve[[0, -1]])
    sway = np.abs(curve - chord - np.median(curve - chord))
    whole = max(1, int(first[0][-1] - first[0][0]))
    return Likeness(
        common_m=int(places[-1] - places[0]) // 1000,
        common_s=int(mine[-1] - mine[0]),
        share_permille=int((places[-1] - places[0]) * 1000 // whole),
        lag_s=round(float(np.median(lag))),
        stretch_permille=round(1000 * (1 + slope)),
        apart_ds=round(float(np.median(away)) * 10),
        wide_ds=round(float(np.quantile(away, 0.8)) * 10),
        same_permille=same,
        curve_ds=round(float(np.median(off_curve)) * 10),
        curve_wide_ds=round(float(np.quantile(off_curve, 0.8)) * 10),
        sway_s=round(float(np.quantile(sway, 0.8))),
        places=len(places),
    )


def _straight(seconds: Floats) -> Floats:
    """Columns of a straight line over a time that passes."""
    return np.stack((np.ones(len(seconds)), seconds / seconds[-1]), axis=1)


def _slow_curves(seconds: Floats) -> Floats:
    """Columns of curves of up to four half waves; fewer where few places would be fitted by chance."""
    phase = seconds / max(1.0, float(seconds[-1])) * np.pi
    waves = range(1, min(_WAVES, len(seconds) // _PLACES_A_WAVE) + 1)
    columns = [np.ones(len(phase)), phase]
    columns += [turn(wave * phase) for wave in waves for turn in (np.sin, np.cos)]
    return np.stack(columns, axis=1)


def _fit(columns: Floats, lag: Floats) -> tuple[Floats, Floats]:
    """The best sum of columns to eight in ten of the values, and how far each value is from it."""
    keep = np.ones(len(lag), dtype=np.bool_)
    middle = float(np.median(lag))
    for _ in range(5):
        weights = np.linalg.lstsq(columns[keep], lag[keep] - middle, rcond=None)[0]
        fitted = columns @ weights + middle
        away = np.abs(lag - fitted)
        keep = away <= max(float(np.quantile(away, 0.8)), 0.5)
    return fitted, away


def _only_same(same: int) -> Likeness | None:
    return Likeness(0, 0, 0, 0, 1000, 99_999, 99_999, same) if same else None


def _passages(drive: Drive) -> tuple[Ints, Ints, Bools] | None:
    """Places passed for the first time: progress mm, time s, and whether it moved on to the next."""
    rows = np.flatnonzero(drive.on_road)
    if len(rows) < 8:
        return None
    along, time = drive.match.along[rows], drive.time[rows]
    top = np.maximum.accumulate(along)
    fresh = np.ones(len(rows), dtype=np.bool_)
    fresh[1:] = along[1:] > top[:-1] + 20_000
    along, time = along[fresh], time[fresh]
    if len(along) < 8:
        return None
    moving = np.zeros(len(along), dtype=np.bool_)
    seconds = np.diff(time)
    moving[:-1] = (np.diff(along) >= 2_000 * seconds) & (seconds <= 90)
    return along, time, moving


def _same_places(one: Drive, two: Drive) -> int:
    """Share of moving fixes of one that the other has to the last digit, permille."""
    moving = np.ones(len(one), dtype=np.bool_)
    moving[:-1] = one.steps > 30_000
    keys = _keys(one)[moving]
    if len(keys) < 8:
        return 0
    return int(np.count_nonzero(np.isin(keys, _keys(two))) * 1000 // len(keys))


def _keys(drive: Drive) -> Ints:
    lat = np.rint(drive.lat * 1e6).astype(np.int64)
    lon = np.rint(drive.lon * 1e6).astype(np.int64)
    return lat * 1_000_000_000 + lon
