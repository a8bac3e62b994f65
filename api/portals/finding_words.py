"""What the judge's findings are called by people, in both languages, with their numbers in plain units."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from api.portals.words import LANGUAGES

FINDINGS: dict[str, tuple[str, str]] = {
    "clock_future": ("终端时钟超前", "device clock ahead of ours"),
    "clock_backward": ("终端时钟滞后", "device clock behind ours"),
    "clock_8h": ("时钟恰差八小时", "clock off by exactly eight hours"),
    "outside_window": ("任务时段之外的定位", "positions outside the trip's window"),
    "several_terminals": ("多个终端", "several terminals"),
    "no_fixes": ("没有可用的定位", "no usable position"),
    "glitch": ("零星跳点, 已剔除", "single outliers, rejected"),
    "teleport": ("位置瞬移", "the vehicle jumps"),
    "two_places": ("同时出现在两地", "in two places at once"),
    "impossible_speed": ("不可能的速度", "impossible speed"),
    "impossible_acceleration": ("不可能的加速", "impossible acceleration"),
    "gap": ("行驶中失联", "silent while moving on"),
    "silence": ("停车期间无信号", "silent while standing"),
    "frozen_position": ("位置冻结", "position frozen"),
    "straight_line": ("轨迹呈直线", "track as straight as a ruler"),
    "too_perfect": ("轨迹过于完美", "track too perfect to be real"),
    "white_noise": ("噪声不自然", "noise is not that of a receiver"),
    "time_compressed": ("时间被压缩", "faster than the road allows"),
    "speed_mismatch": ("速度与位移不符", "speed does not match movement"),
    "datum": ("坐标系偏移", "another coordinate system"),
    "off_route": ("偏离走廊", "outside the corridor"),
    "low_coverage": ("线路覆盖不足", "too little of the route driven"),
    "reversed": ("方向相反", "driven the wrong way"),
    "loading_not_seen": ("没有看到装货地", "loading place not seen"),
    "short_of_gate": ("未到卸货地即停", "stops short of the unloading place"),
    "drive_past": ("经过卸货地未停留", "drives past the unloading place"),
    "no_journey": ("没有行程", "no journey"),
    "dwell_loading": ("装货停留", "stay at the loading place"),
    "dwell_unloading": ("卸货停留", "stay at the unloading place"),
    "dwell": ("停留时间异常", "unusual stay"),
    "replay": ("与以往轨迹重复", "an earlier track again"),
    "shared_track": ("两个终端同一轨迹", "two terminals, one track"),
    "convoy": ("同行车辆", "another truck on the same road"),
    "off_window": ("装卸不在约定时段", "loading or unloading outside its window"),
}
"""Code of a rule -> (Chinese, English)."""

_UNITS = {
    "_dkmh": ("0.1 km/h", 1),
    "_kmh": ("km/h", 1),
    "_m": ("m", 1),
    "_s": ("s", 1),
    "_ppm": ("%", 10_000),
    "_bps": ("%", 100),
}
_BARE = {"seconds": "s", "metres": "m", "positions": "positions", "fixes": "fixes"}
MOST_NUMBERS = 4


def finding_name(code: str, lang: str) -> str:
    """What a finding is called; its code where we have no word for it yet."""
    words = FINDINGS.get(code)
    return words[LANGUAGES.index(lang)] if words else code.replace("_", " ")


def finding_numbers(detail: Mapping[str, Any]) -> str:
    """The numbers behind a finding, each with its unit.

    >>> finding_numbers({"short_by_m": 1912, "stay_s": 40})
    'short by 1912 m, stay 40 s'
    """
    shown = []
    for name, value in detail.items():
        if isinstance(value, bool) or not isinstance(value, int | str):
            continue
        label, unit = name.replace("_", " "), ""
        if name in _BARE:
            shown.append(f"{value} {_BARE[name]}")
            continue
        for suffix, (text, share) in _UNITS.items():
            if name.endswith(suffix) and isinstance(value, int):
                label, unit = name.removesuffix(suffix).replace("_", " "), f" {text}"
                if share > 1:
                    value = f"{value / share:.1f}"  # noqa: PLW2901  the same number, for people
                break
        shown.append(f"{label} {value}{unit}")
    return ", ".join(shown[:MOST_NUMBERS])
