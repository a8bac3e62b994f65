"""Forged drives: another datum, lines filled in, a drive too perfect, speeds that belie the road."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tracking.compressed import check_compressed
from tracking.corridor import geodesic_mm
from tracking.datum import bd09_to_wgs84, gcj02_to_wgs84, in_china
from tracking.drive import kmh, runs
from tracking.findings import Finding, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from tracking.corridor import Corridor
    from tracking.drive import Drive
    from tracking.journey import Journey
    from tracking.policy import Policy, Rule

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

_SAMPLE = 400
_WITH_FEW = 2
"""The version of white_noise from which on it speaks of few fixes too."""
_ALONG_THE_SHIFT = 3
"""The version of datum from which on a road along the shift is told by a smaller one, where it fits better undone."""
_CERTAIN = 4
"""The version of too_perfect from which on a short even drive goes to a person: some minutes on a motorway are one."""
_BY_SECONDS = 3
"""The version of speed_mismatch from which on an even speed is weighed by seconds, between two reports of it, and
goes to a person; and from which on a speed far off step by step needs no four minutes."""


# ------------------------------------------------------------------- DATUM
def set_datum_right(
    drive: Drive, corridor: Corridor, policy: Policy
) -> tuple[Drive, list[Finding]]:
    """Names fixes that are GCJ-02 or BD-09 given as WGS-84, and sets them right for the other rules.

    The shift is hundreds of metres and bends from place to place, so where undoing it puts the drive
    onto the planned road, it was there. The root still covers what the device sent.
    """
    rule = policy.rule("datum")
    china = in_china(drive.lon, drive.lat)
    if not china.any() or np.count_nonzero(china) * 1000 < len(drive) * rule["share_permille"]:
        return drive, []
    undo = {"gcj02": gcj02_to_wgs84, "bd09": bd09_to_wgs84}
    for rows in _samples(drive):
        lon, lat = drive.lon[rows], drive.lat[rows]
        given = _median_offset_m(corridor, lon, lat)
        offsets = {name: _median_offset_m(corridor, *back(lon, lat)) for name, back in undo.items()}
        name = min(offsets, key=lambda one: (offsets[one], one))
        if given >= rule["offset_m"] and offsets[name] * 1000 <= given * rule["better_permille"]:
            break
        # On a road that runs the way of the shift most places stay near it; undone they lie on it.
        if (
            rule.version >= _ALONG_THE_SHIFT
            and given >= rule["along_m"]
            and offsets[name] * 1000 <= given * rule["along_permille"]
        ):
            break
    else:
        return drive, []
    finding = Finding(
        rule.code,
        rule.severity,
        int(drive.time[0]),
        int(drive.time[-1]),
        {"datum": name, "offset_m": given, "offset_undone_m": offsets[name]},
    )
    return drive.moved(*undo[name](drive.lon, drive.lat), corridor), [finding]


def _samples(drive: Drive) -> Iterator[NDArray[np.int64]]:
    """Places evenly along the way driven, where hours of standing do not speak for the road; then along the record.

    Either is enough: a driven detour can outweigh the road in the first, a long stop in the second.
    """
    driven = drive.driven
    spots = np.searchsorted(driven, np.linspace(0, int(driven[-1]), _SAMPLE).astype(np.int64))
    yield np.unique(np.minimum(spots, len(drive) - 1))
    yield np.unique(np.linspace(0, len(drive) - 1, _SAMPLE).astype(np.int64))


def _median_offset_m(corridor: Corridor, lon: Floats, lat: Floats) -> int:
    return int(np.median(corridor.offset_mm(lon, lat))) // 1000


# ------------------------------------------------------------------- FORGED SHAPES
def check_fraud(drive: Drive, corridor: Corridor, way: Journey, policy: Policy) -> list[Finding]:
    """Rules that look at one record alone."""
    if len(drive) < 2:
        return []
    return [
        *_straight_line(drive, policy.rule("straight_line")),
        *_too_perfect(drive, policy.rule("too_perfect")),
        *_white_noise(drive, policy.rule("white_noise")),
        *check_compressed(drive, corridor, way, policy.rule("time_compressed")),
        *(
            _speed_mismatch(drive, policy.rule("speed_mismatch"))
            or _even_speed(drive, policy.rule("speed_mismatch"))
        ),
    ]


def _straight_line(drive: Drive, rule: Rule) -> list[Finding]:
    """Positions put on one straight line at one speed, to the metre: nobody drives so."""
    if len(drive) < rule["least_n"]:
        return []
    # Velocities in degrees a second: equal ones make a straight line at one speed.
    seconds = np.maximum(drive.gaps, 1)
    cos = np.cos(np.radians(drive.lat[:-1]))
    east = np.diff(drive.lon) * 111_320.0 * cos / seconds
    north = np.diff(drive.lat) * 110_900.0 / seconds
    change = np.hypot(np.diff(east), np.diff(north))
    # Rounding to a millionth of a degree moves a velocity by up to 0.16 m over the shorter step.
    shorter = np.minimum(seconds[:-1], seconds[1:])
    allowed = 0.02 + rule["residual_cm"] / 100.0 / 2 / shorter
    moving = np.hypot(east, north) * 100 > rule["moving_cm_s"]
    steady = (change <= allowed) & moving[:-1] & moving[1:]
    out = []
    for first, last in runs(steady):
        low, high = first, last + 2
        if high - low + 1 < rule["least_n"]:
            continue
        spent = int(drive.time[high] - drive.time[low])
        length = int(drive.steps[low:high].sum()) // 1000
        if spent < rule["least_s"] or length < rule["least_m"]:
            continue
        if _is_off_line(drive, low, high, rule):
            continue
        out.append(
            Finding(
                rule.code,
                rule.severity,
                int(drive.time[low]),
                int(drive.time[high]),
                {
                    "fixes": high - low + 1,
                    "m": length,
                    "kmh": kmh(int(drive.steps[low:high].sum()), spent),
                },
            )
        )
    return out


def _is_off_line(drive: Drive, low: int, high: int, rule: Rule) -> bool:
    """Whether fixes are no filled line: cruise control on a straight motorway errs by half a metre and more.

    A true fix at either end may have come near enough to be taken for one of the line.
    """
    parts = ((low, high), (low + 1, high), (low, high - 1))
    able = [(a, b) for a, b in parts if b - a + 1 >= rule["least_n"]]
    return min(_line_residual_cm(drive, a, b) for a, b in able) > rule["line_cm"]


def _line_residual_cm(drive: Drive, low: int, high: int) -> int:
    """Greatest distance of fixes from uniform motion on the line between the ends, centimetres."""
    part = (drive.time[low : high + 1] - drive.time[low]) / (drive.time[high] - drive.time[low])
    cos = float(np.cos(np.radians(drive.lat[low])))
    east = (drive.lon[low : high + 1] - drive.lon[low]) * 111_320.0 * cos
    north = (drive.lat[low : high + 1] - drive.lat[low]) * 110_900.0
    away = np.hypot(east - part * east[-1], north - part * north[-1])
    # The middle of the fixes, so that a true first or last fix does not hide a filled line.
    return round(float(np.quantile(away, 0.9)) * 100)


def _too_perfect(drive: Drive, rule: Rule) -> list[Finding]:
    """A drive at one speed from end to end, or one that lies on the plan to the decimetre."""
    moving = np.ones(len(drive), dtype=np.bool_)
    moving[:-1] = drive.steps > 3_000 * np.minimum(drive.gaps, 20)
    rows = np.flatnonzero(drive.on_road & moving)
    if len(rows) < rule["least_n"]:
        return []
    along, time = drive.match.along[rows], drive.time[rows]
    way = int(along[-1] - along[0])
    if way < rule["least_m"] * 1000 or time[-1] - time[0] < 60:
        return []
    residual_cm = int(np.median(np.abs(drive.match.offset[rows]))) // 10
    off_clock_m = _off_uniform_m(along, time)
    # A steady right foot on a motorway is off by 140 m and more, a player of a route by 10.
    uniform = off_clock_m <= min(way // 1000 * rule["uniform_permille"] // 1000, rule["uniform_m"])
    # A line goes through any two heaps of fixes, as long silences leave them.
    tenths = len(np.unique((time - time[0]) * 10 // (time[-1] - time[0] + 1)))
    uniform = uniform and tenths >= rule["seen_tenths_n"]
    exact = residual_cm <= rule["residual_cm"]
    if not (uniform or exact):
        return []
    certain = rule.version < _CERTAIN or (
        len(rows) >= rule["certain_n"] and way >= rule["certain_m"] * 1000
    )
    return [
        Finding(
            rule.code,
            rule.severity if uniform and certain else Severity.REVIEW,
            int(time[0]),
            int(time[-1]),
            {
                "off_plan_cm": residual_cm,
                "off_uniform_m": off_clock_m,
                "kmh": kmh(way, int(time[-1] - time[0])),
            },
        )
    ]


def _off_uniform_m(along: Ints, time: Ints) -> int:
    """How far a drive is from one speed: eight in ten fixes lie this near to uniform progress, metres."""
    seconds = (time - time[0]).astype(np.float64)
    metres = (along - along[0]) / 1000.0
    keep = np.ones(len(metres), dtype=np.bool_)
    for _ in range(4):
        slope, base = np.polyfit(seconds[keep], metres[keep], 1)
        away = np.abs(metres - base - slope * seconds)
        keep = away <= max(float(np.quantile(away, 0.8)), 1.0)
    return round(float(np.quantile(away, 0.8)))


def _white_noise(drive: Drive, rule: Rule) -> list[Finding]:
    """Sideways noise without memory around the plan itself: a random generator's, not a receiver's.

    A receiver's error drifts, so that one fix errs like the one before; and a truck keeps to its side
    of the road, so that its errors do not have their middle on the drawn line.
    """
    offset, on_road = drive.match.offset, drive.on_road
    pairs = np.flatnonzero(
        (drive.steps > rule["moved_m"] * 1000)
        & (drive.gaps <= rule["longest_s"])
        & on_road[:-1]
        & on_road[1:]
    )
    few = len(pairs) < rule["least_n"]
    if few and rule.version >= _WITH_FEW:
        # Half a minute apart a receiver's error has little memory left; few such pairs say nothing.
        pairs = pairs[drive.gaps[pairs] <= rule["few_longest_s"]]
    if few and (rule.version < _WITH_FEW or len(pairs) < rule["few_n"]):
        return []
    centre = float(np.median(offset[pairs]))
    one = np.clip(offset[pairs] - centre, -20_000, 20_000)
    two = np.clip(offset[pairs + 1] - centre, -20_000, 20_000)
    power = float(np.sqrt((one * one).sum() * (two * two).sum()))
    memory = round(float((one * two).sum()) / power * 1000) if power > 0 else 1000
    spread_cm = round(float(np.median(np.abs(one))) * 0.148)
    aside = round(abs(centre) * 100 / max(spread_cm, 1))
    # Of few fixes more is asked: they must lie nearer the middle, and err by no more than a player's noise does.
    most_memory = rule["few_memory_permille" if few else "memory_permille"]
    most_aside = rule["few_aside_permille" if few else "aside_permille"]
    if memory > most_memory or aside > most_aside or spread_cm < rule["least_cm"]:
        return []
    if few and spread_cm > rule["few_most_cm"]:
        return []
    return [
        Finding(
            rule.code,
            rule.severity,
            int(drive.time[pairs[0]]),
            int(drive.time[pairs[-1] + 1]),
            {
                "memory_permille": memory,
                "aside_permille": aside,
                "pairs": len(pairs),
                "noise_cm": spread_cm,
            },
        )
    ]


# ------------------------------------------------------------------- REPORTED SPEED
def _speed_mismatch(drive: Drive, rule: Rule) -> list[Finding]:
    """The reported speed against the way really made, over minutes; derived speeds never accuse."""
    speed = drive.speed
    known = ~np.isnan(speed[:-1]) & ~np.isnan(speed[1:]) & (drive.gaps > 0) & (drive.gaps <= 60)
    if np.count_nonzero(known) < rule["least_n"]:
        return []
    told = np.where(known, np.nan_to_num(speed[:-1] + speed[1:]) / 2 / 3.6 * drive.gaps, 0.0)
    made = np.where(known, drive.steps / 1000.0, 0.0)
    spent = np.where(known, drive.gaps, 0)
    # One slip of a receiver must not speak for minutes: a step counts for so much and no more.
    most = drive.gaps * rule["most_kmh"] / 3.6
    told_sum, made_sum, spent_sum, apart_sum = (
        np.concatenate(([0], np.cumsum(column)))
        for column in (told, made, spent, np.clip(told - made, -most, most))
    )
    # The trapezoid between two reports errs by a few m/s a step, either way; the way really driven does not.
    # Of reports a minute apart it errs by far more: a truck stops and starts between them.
    longer = 1.0 if rule.version < _BY_SECONDS else np.maximum(1.0, drive.gaps / rule["step_s"])
    doubt = np.concatenate(
        ([0.0], np.cumsum(np.where(known, drive.gaps * longer * rule["step_kmh"] / 3.6, 0.0) ** 2))
    )
    coarse_sum = _coarse_way(drive, rule["coarse_s"])
    mask = np.zeros(len(drive), dtype=np.bool_)
    for window in (rule["window_s"], 2 * rule["window_s"], 4 * rule["window_s"]):
        until = np.searchsorted(spent_sum, spent_sum + window, side="left")
        rows = np.flatnonzero(until < len(drive))
        if len(rows) == 0:
            continue
        ends = until[rows]
        said, done = told_sum[ends] - told_sum[rows], made_sum[ends] - made_sum[rows]
        seconds = (spent_sum[ends] - spent_sum[rows]).astype(np.float64)
        allowed = np.maximum(said, done) * rule["off_permille"] / 1000.0
        allowed = allowed + 3.0 * np.sqrt(doubt[ends] - doubt[rows])
        more = apart_sum[ends] - apart_sum[rows]
        # Noise makes the way between fixes longer, never the way over half a minute.
        fewer = np.minimum(-more, coarse_sum[ends] - coarse_sum[rows] - said)
        apart = np.maximum(more, fewer)
        wrong = (apart > allowed) & (apart * 3.6 > rule["off_kmh"] * seconds)
        for at, end in zip(rows[wrong].tolist(), ends[wrong].tolist(), strict=True):
            mask[at : end + 1] = True
    if rule.version >= _BY_SECONDS:
        # Far off step by step for a minute and a half: what comes after may hide it from the longer windows.
        for side in (told - made > most, made - told > most):
            for first, last in runs(known & side):
                spent_s = int(drive.time[last + 1] - drive.time[first])
                if spent_s >= rule["gross_s"] and last - first + 1 >= rule["gross_n"]:
                    mask[first : last + 2] = True
    out = []
    for first, last in runs(mask):
        total = float(spent_sum[last] - spent_sum[first])
        out.append(
            Finding(
                rule.code,
                rule.severity,
                int(drive.time[first]),
                int(drive.time[last]),
                {
                    "told_kmh": round(float(told_sum[last] - told_sum[first]) * 3.6 / total),
                    "made_kmh": round(float(made_sum[last] - made_sum[first]) * 3.6 / total),
                    "seconds": round(total),
                },
            )
        )
    return out


def _coarse_way(drive: Drive, apart_s: int) -> Floats:
    """Metres driven up to each fix, measured from place to place half a minute apart."""
    bucket = drive.time // apart_s
    nodes = np.flatnonzero(np.concatenate(([True], np.diff(bucket) > 0)))
    nodes = np.unique(np.concatenate((nodes, [len(drive) - 1])))
    way = np.concatenate(([0], np.cumsum(geodesic_mm(drive.lon[nodes], drive.lat[nodes]))))
    metres: Floats = np.interp(drive.time, drive.time[nodes], way / 1000.0)
    return metres


def _even_speed(drive: Drive, rule: Rule) -> list[Finding]:
    """A reported speed that stays the same while the truck in truth speeds up and slows down."""
    if rule.version >= _BY_SECONDS and len(drive) > 1:
        # One report in so many seconds: the noise of places a second apart looks like driving unevenly.
        bucket = drive.time // rule["even_apart_s"]
        rows = np.flatnonzero(np.concatenate(([True], np.diff(bucket) > 0)))
        steps = np.diff(drive.driven[rows])
        reported, gaps, times = drive.speed[rows], np.diff(drive.time[rows]), drive.time[rows]
    else:
        steps, reported, gaps, times = drive.steps, drive.speed, drive.gaps, drive.time
    told = np.nan_to_num(reported[1:], nan=0.0)
    made = steps * 3.6 / 1000 / np.maximum(gaps, 1)
    known = ~np.isnan(reported[1:]) & (gaps > 0) & (gaps <= 60) & (told > 15.0)
    weight = np.ones(len(told))
    if rule.version >= _BY_SECONDS:
        # A way that begins where no speed was told may be a jam's; a step of a second is a receiver's slip.
        known &= ~np.isnan(reported[:-1])
        weight = np.maximum(gaps, 0).astype(np.float64)
    if np.count_nonzero(known) < rule["even_n"]:
        return []
    sums = [
        np.concatenate(([0.0], np.cumsum(np.where(known, weight * column, 0.0))))
        for column in (
            1.0 / np.maximum(weight, 1e-9),
            np.ones(len(told)),
            told,
            told * told,
            made,
            made * made,
        )
    ]
    time = times[1:]
    until = np.searchsorted(time, time + rule["even_s"], side="left")
    rows = np.flatnonzero(until < len(time))
    fixes, count, told_1, told_2, made_1, made_2 = (
        total[until[rows] + 1] - total[rows] for total in sums
    )
    # Every fix of the window must have a speed, else a stop would be left out of one side.
    fixes = np.rint(fixes)
    whole = (fixes == until[rows] + 1 - rows) & (fixes >= rule["even_n"])
    count = np.maximum(count, 1.0)
    told_cv = np.sqrt(np.maximum(told_2 / count - (told_1 / count) ** 2, 0)) / np.maximum(
        told_1 / count, 1.0
    )
    made_cv = np.sqrt(np.maximum(made_2 / count - (made_1 / count) ** 2, 0)) / np.maximum(
        made_1 / count, 1.0
    )
    wrong = (
        whole
        & (told_cv * 1000 < rule["even_told_permille"])
        & (made_cv * 1000 > rule["even_made_permille"])
    )
    if not wrong.any():
        return []
    first, last = int(rows[wrong][0]), int(until[rows[wrong]].max())
    return [
        Finding(
            rule.code,
            # A driver on an empty motorway is nearly as even: a person looks.
            rule.severity if rule.version < _BY_SECONDS else Severity.REVIEW,
            int(time[first]),
            int(time[last]),
            {
                "told_spread_permille": round(float(told_cv[wrong].min()) * 1000),
                "made_spread_permille": round(float(made_cv[wrong].max()) * 1000),
                "seconds": int(time[last] - time[first]),
            },
        )
    ]
