"""A picture of a trip as one SVG: corridor, road, track, gates, findings and a chart of speed.

No script, no font and no request: the same file serves a page without WebGL, a PDF of evidence and a mail.
Coordinates are rounded, so that equal examinations draw equal bytes.
"""

from __future__ import annotations

import math
import unicodedata
from html import escape
from typing import TYPE_CHECKING

import numpy as np
import shapely

from chain.clock import rfc3339
from tracking.drive import runs
from tracking.findings import Severity
from tracking.instants import instant

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from tracking.corridor import Corridor
    from tracking.drive import Drive
    from tracking.findings import Finding
    from tracking.judge import Examination
    from tracking.plan import Gate

    Floats = NDArray[np.float64]

WORDS: Mapping[str, str] = {
    "corridor": "corridor",
    "road": "planned road",
    "track": "track",
    "off": "outside the corridor",
    "silent": "not seen",
    "refused": "refused",
    "loading": "loading",
    "unloading": "unloading",
    "speed": "speed, km/h",
    "derived": "speed, km/h, derived from positions",
    "pass": "PASS",
    "review": "REVIEW",
    "fail": "FAIL",
    "none": "no findings beyond observations",
    "covered": "of the road driven",
    "fixes": "fixes used",
}
"""What the picture says; give a mapping with the same keys for another language."""

_WIDTH = 960
_MAP_HEIGHT = 560
_CHART_HEIGHT = 170
_PAD = 28
_HEAD = 56
_LINES_MAX = 12
_CROSSES_MAX = 2000
_COLOURS = {
    "pass": "#1a7f37",
    "review": "#9a6700",
    "fail": "#b42318",
    "info": "#57606a",
}
_STYLE = (
    "text{font-family:system-ui,'Noto Sans SC','Noto Sans CJK SC',sans-serif;font-size:12px;fill:#24292f}"
    ".h{font-size:18px;font-weight:600}.s{fill:#57606a;font-size:11px}"
    ".c{fill:#dbe9f6;stroke:none}.r{fill:none;stroke:#8c959f;stroke-width:1.5;stroke-dasharray:5 3}"
    ".t{fill:none;stroke:#0969da;stroke-width:2;stroke-linejoin:round}"
    ".o{fill:none;stroke:#b42318;stroke-width:2.5;stroke-linejoin:round}"
    ".q{fill:none;stroke:#0969da;stroke-width:1;stroke-dasharray:1 4}"
    ".g{fill:#1a7f3722;stroke:#1a7f37}.u{fill:#8250df22;stroke:#8250df}"
    ".x{fill:none;stroke:#b42318;stroke-width:1.3}"
    ".a{stroke:#d0d7de;stroke-width:1}.v{fill:none;stroke:#0969da;stroke-width:1.2}"
)


class _Frame:
    """Ground metres to picture points."""

    def __init__(self, examination: Examination) -> None:
        corridor, drive = examination.corridor, examination.drive
        x, y = [corridor.x], [corridor.y]
        fixes = examination.track.fixes
        own = (np.abs(fixes.lat_e6) <= 85_000_000) & (np.abs(fixes.lon_e6) <= 180_000_000)
        lon = np.concatenate((drive.lon, fixes.lon_e6[own] / 1e6))
        lat = np.concatenate((drive.lat, fixes.lat_e6[own] / 1e6))
        if len(lon):
            own_x, own_y = corridor.place(lon, lat)
            # A teleport must not shrink the trip to a dot: ten corridor widths around the road are shown.
            reach = max(
                10.0 * corridor.plan.corridor_m,
                0.5 * float(np.ptp(corridor.x) + np.ptp(corridor.y)),
            )
            reach *= float(corridor.scale(corridor.lat).max())
            x.append(np.clip(own_x, corridor.x.min() - reach, corridor.x.max() + reach))
            y.append(np.clip(own_y, corridor.y.min() - reach, corridor.y.max() + reach))
        every_x, every_y = np.concatenate(x), np.concatenate(y)
        self.scale_there = float(corridor.scale(np.array([float(np.median(corridor.lat))]))[0])
        margin = 1.5 * max(corridor.plan.corridor_m, 300) * self.scale_there
        self.left, self.top = float(every_x.min()) - margin, float(every_y.max()) + margin
        wide = float(every_x.max()) + margin - self.left
        high = self.top - (float(every_y.min()) - margin)
        self.zoom = min((_WIDTH - 2 * _PAD) / wide, (_MAP_HEIGHT - 2 * _PAD) / high)
        self.shift_x = _PAD + ((_WIDTH - 2 * _PAD) - wide * self.zoom) / 2
        self.shift_y = _HEAD + _PAD + ((_MAP_HEIGHT - 2 * _PAD) - high * self.zoom) / 2
        self.corridor = corridor

    def points(self, x: Floats, y: Floats) -> Floats:
        """Picture points of plane metres."""
        return np.stack(
            ((x - self.left) * self.zoom + self.shift_x, (self.top - y) * self.zoom + self.shift_y),
            axis=1,
        )

    def of(self, lon: Floats, lat: Floats) -> Floats:
        """Picture points of degrees."""
        return self.points(*self.corridor.place(lon, lat))

    @property
    def metre(self) -> float:
        """Picture units of a ground metre in the middle of the road."""
        return self.zoom * self.scale_there


def trip_svg(examination: Examination, *, words: Mapping[str, str] = WORDS) -> str:
    """The picture of an examined trip.

    Args:
        examination: from `tracking.judge.examine`.
        words: the texts of the picture, WORDS unless given.

    Returns:
        A complete SVG document.
    """
    verdict, drive = examination.verdict, examination.drive
    frame = _Frame(examination)
    grave = [one for one in verdict.findings if one.severity is not Severity.INFO]
    shown = grave[:_LINES_MAX]
    height = _HEAD + _MAP_HEIGHT + _CHART_HEIGHT + 40 + 16 * max(1, len(shown)) + 24
    head = f"{words[verdict.outcome.value]}"
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-labelledby="t d"><title id="t">{escape(head)}</title>'
        f'<desc id="d">{escape("; ".join(_line(one) for one in grave) or words["none"])}</desc>'
        f"<style>{_STYLE}</style>"
    )
    parts = [
        opening,
        f'<rect width="{_WIDTH}" height="{height}" fill="#fff"/>',
        f'<text class="h" x="{_PAD}" y="26" style="fill:{_COLOURS[verdict.outcome.value]}">{escape(head)}</text>',
        f'<text class="s" x="{_PAD}" y="44">{escape(_summary(examination, words))}</text>',
        f'<clipPath id="m"><rect x="0" y="{_HEAD}" width="{_WIDTH}" height="{_MAP_HEIGHT}"/></clipPath>',
        '<g clip-path="url(#m)">',
        *_map(examination, frame),
        *_marks(shown, drive, frame),
        "</g>",
        *_scale_bar(frame),
        *_legend(words),
        *_chart(drive, shown, words),
        *_list(shown, words),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _summary(examination: Examination, words: Mapping[str, str]) -> str:
    verdict = examination.verdict
    spans = [
        rfc3339(instant(at)) for at in (verdict.started_at, verdict.ended_at) if at is not None
    ]
    return (
        f"{' … '.join(spans)} · {verdict.route.coverage_ppm / 10_000:.1f} % {words['covered']} "
        f"({verdict.route.covered_m / 1000:.1f} / {verdict.route.length_m / 1000:.1f} km) · "
        f"{verdict.used} {words['fixes']}"
    )


def _map(examination: Examination, frame: _Frame) -> list[str]:
    corridor, drive, plan = examination.corridor, examination.drive, examination.plan
    road = frame.points(corridor.x, corridor.y)
    line = shapely.LineString(road).simplify(0.4)
    band = line.buffer(plan.corridor_m * frame.metre, quad_segs=6)
    out = [
        f'<path class="c" d="{_area(band)}"/>',
        f'<path class="r" d="{_way(np.asarray(line.coords))}"/>',
    ]
    out += [_gate(plan.loading, corridor, frame, "g"), _gate(plan.unloading, corridor, frame, "u")]
    if len(drive) < 2:
        return out
    spots = frame.of(drive.lon, drive.lat)
    off = ~(drive.match.near[:-1] & drive.match.near[1:])
    silent = drive.gaps > 240
    for style, mask in (("q", silent), ("o", off & ~silent), ("t", ~off & ~silent)):
        for first, last in runs(mask):
            piece = shapely.LineString(spots[first : last + 2])
            out.append(
                f'<path class="{style}" d="{_way(np.asarray(piece.simplify(0.4).coords))}"/>'
            )
    out.append(_refused(examination, frame))
    return out


def _refused(examination: Examination, frame: _Frame) -> str:
    """Crosses where refused fixes claim to be, as far as they lie in the picture."""
    fixes = examination.track.fixes
    loose = np.ones(len(fixes), dtype=np.bool_)
    loose[examination.drive.row] = False
    rows = np.flatnonzero(loose)[:_CROSSES_MAX]
    spots = frame.of(fixes.lon_e6[rows] / 1e6, fixes.lat_e6[rows] / 1e6)
    crosses = "".join(f"M{x - 3:.1f} {y - 3:.1f}l6 6m0 -6l-6 6" for x, y in spots.tolist())
    return f'<path class="x" d="{crosses}"/>' if crosses else ""


def _gate(gate: Gate, corridor: Corridor, frame: _Frame, style: str) -> str:
    if gate.polygon:
        ring = np.array(gate.polygon)
        corners = frame.of(ring[:, 0], ring[:, 1])
        return f'<path class="{style}" d="{_way(corners)}Z"/>'
    lat = np.array([gate.lat])
    middle = frame.of(np.array([gate.lon]), lat)[0]
    radius = max(3.0, gate.radius_m * float(corridor.scale(lat)[0]) * frame.zoom)
    return f'<circle class="{style}" cx="{middle[0]:.1f}" cy="{middle[1]:.1f}" r="{radius:.1f}"/>'


def _marks(shown: list[Finding], drive: Drive, frame: _Frame) -> list[str]:
    """Numbered marks where findings begin."""
    out = []
    for number, finding in enumerate(shown, 1):
        if finding.start is None or len(drive) == 0:
            continue
        at = min(int(np.searchsorted(drive.time, finding.start)), len(drive) - 1)
        lon, lat = finding.detail.get("lon"), finding.detail.get("lat")
        place = (
            frame.of(np.array([float(lon)]), np.array([float(lat)]))
            if lon is not None and lat is not None
            else frame.of(drive.lon[at : at + 1], drive.lat[at : at + 1])
        )[0]
        x = min(max(float(place[0]), 12.0), _WIDTH - 12.0)
        y = min(max(float(place[1]), _HEAD + 12.0), _HEAD + _MAP_HEIGHT - 12.0)
        colour = _COLOURS[finding.severity.value]
        out.append(
            f'<g><circle cx="{x:.1f}" cy="{y:.1f}" r="9" fill="{colour}" stroke="#fff"/>'
            f'<text x="{x:.1f}" y="{y + 4:.1f}" text-anchor="middle" style="fill:#fff">{number}</text></g>'
        )
    return out


def _scale_bar(frame: _Frame) -> list[str]:
    least = 80 / frame.metre
    step = 10 ** math.floor(math.log10(least))
    length = next(step * factor for factor in (1, 2, 5, 10) if step * factor >= least)
    wide = length * frame.metre
    y = _HEAD + _MAP_HEIGHT - 12
    label = f"{length / 1000:g} km" if length >= 1000 else f"{length:g} m"
    return [
        f'<path d="M{_PAD} {y - 5}v5h{wide:.1f}v-5" fill="none" stroke="#24292f"/>',
        f'<text class="s" x="{_PAD}" y="{y - 9}">{label} · N ↑</text>',
    ]


def _width(text: str) -> int:
    """About how wide a text is drawn, pixels; a Chinese character takes two of ours."""
    return sum(13 if unicodedata.east_asian_width(one) in "WF" else 7 for one in text)


def _legend(words: Mapping[str, str]) -> list[str]:
    out, x, y = [], _WIDTH - 730, 24
    for style, word in (("r", "road"), ("t", "track"), ("o", "off"), ("q", "silent")):
        out.append(f'<path class="{style}" d="M{x} {y - 4}h22"/>')
        out.append(f'<text class="s" x="{x + 27}" y="{y}">{escape(words[word])}</text>')
        x += 42 + _width(words[word])
    out.append(f'<path class="x" d="M{x + 2} {y - 8}l7 7m0 -7l-7 7"/>')
    out.append(f'<text class="s" x="{x + 14}" y="{y}">{escape(words["refused"])}</text>')
    x += 30 + _width(words["refused"])
    for style, word in (("g", "loading"), ("u", "unloading")):
        out.append(f'<circle class="{style}" cx="{x + 6}" cy="{y - 4}" r="5"/>')
        out.append(f'<text class="s" x="{x + 16}" y="{y}">{escape(words[word])}</text>')
        x += 30 + _width(words[word])
    return out


def _chart(drive: Drive, shown: list[Finding], words: Mapping[str, str]) -> list[str]:
    """Speed over time, with the spans of the findings."""
    top, left = _HEAD + _MAP_HEIGHT + 24, _PAD + 18
    wide, high = _WIDTH - left - _PAD, _CHART_HEIGHT - 40
    if len(drive) < 2 or int(drive.time[-1]) == int(drive.time[0]):
        return []
    given = ~np.isnan(drive.speed)
    told = bool(np.count_nonzero(given) * 2 > len(drive))
    if told:
        time, speed = drive.time[given], drive.speed[given]
    else:
        time = drive.time[1:]
        speed = drive.steps * 3.6 / 1000 / np.maximum(drive.gaps, 1)
    begin, end = int(drive.time[0]), int(drive.time[-1])
    most = max(60.0, math.ceil(min(float(speed.max()), 300.0) / 20) * 20)
    out = []
    for number, finding in enumerate(shown, 1):
        if finding.start is None or finding.end is None:
            continue
        first = left + wide * (min(max(finding.start, begin), end) - begin) / (end - begin)
        last = left + wide * (min(max(finding.end, begin), end) - begin) / (end - begin)
        colour = _COLOURS[finding.severity.value]
        out.append(
            f'<rect x="{first:.1f}" y="{top}" width="{max(last - first, 2):.1f}" height="{high}" '
            f'fill="{colour}" opacity="0.13"/><text class="s" x="{first + 2:.1f}" y="{top + 11}">{number}</text>'
        )
    for level in (0.0, most / 2, most):
        y = top + high - high * level / most
        out.append(f'<path class="a" d="M{left} {y:.1f}h{wide}"/>')
        out.append(
            f'<text class="s" x="{left - 4}" y="{y + 4:.1f}" text-anchor="end">{level:g}</text>'
        )
    spots = np.stack(
        (
            left + wide * (time - begin) / (end - begin),
            top + high - high * np.minimum(speed, most) / most,
        ),
        axis=1,
    )
    breaks = np.flatnonzero(np.diff(time) > 240) + 1
    for piece in np.split(spots, breaks):
        if len(piece) > 1:
            thin = shapely.LineString(piece).simplify(0.5)
            out.append(f'<path class="v" d="{_way(np.asarray(thin.coords))}"/>')
    label = words["speed"] if told else words["derived"]
    out.append(f'<text class="s" x="{left}" y="{top - 6}">{escape(label)}</text>')
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        at = instant(begin + round((end - begin) * share))
        anchor = "start" if share == 0 else "end" if share == 1 else "middle"
        out.append(
            f'<text class="s" x="{left + wide * share:.1f}" y="{top + high + 15}" text-anchor="{anchor}">'
            f"{at:%H:%M:%S}Z</text>"
        )
    return out


def _list(shown: list[Finding], words: Mapping[str, str]) -> list[str]:
    y = _HEAD + _MAP_HEIGHT + _CHART_HEIGHT + 36
    if not shown:
        return [f'<text class="s" x="{_PAD}" y="{y}">{escape(words["none"])}</text>']
    return [
        f'<text x="{_PAD}" y="{y + 16 * at}" style="fill:{_COLOURS[one.severity.value]}">'
        f"{at + 1}. {escape(_line(one))}</text>"
        for at, one in enumerate(shown)
    ]


def _line(finding: Finding) -> str:
    facts = ", ".join(f"{name} {value}" for name, value in finding.detail.items())
    return f"{finding.code} ({finding.severity.value}): {facts}"[:150]


def _way(spots: Floats) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in spots.tolist())


def _area(shape: shapely.Geometry) -> str:
    return "".join(
        _way(np.asarray(ring.coords)) + "Z"
        for part in getattr(shape, "geoms", [shape])
        for ring in (part.exterior, *part.interiors)
    )
