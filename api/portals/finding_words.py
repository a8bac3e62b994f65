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
    "heading_mismatch": ("航向与位移不符", "heading does not match movement"),
    "odometer_mismatch": ("里程表与轨迹不符", "odometer does not match the track"),
    "recorder_mismatch": ("行车记录仪与轨迹不符", "tachograph does not match the track"),
    "gnss_health": ("卫星信号异常", "satellite reception is not right"),
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
    "compared": ("已比对的轨迹", "tracks it was compared with"),
    "convoy": ("同行车辆", "another truck on the same road"),
    "off_window": ("装卸不在约定时段", "loading or unloading outside its window"),
}
"""Code of a rule -> (Chinese, English)."""

NUMBERS: dict[str, tuple[str, str]] = {
    "seconds": ("", ""),
    "m": ("", ""),
    "fixes": ("定位点", "fixes"),
    "positions": ("定位点", "positions"),
    "times": ("次数", "times"),
    "pairs": ("点对", "pairs"),
    "kmh": ("速度", "speed"),
    "worst_kmh": ("最高", "worst"),
    "peak_kmh": ("峰值", "peak"),
    "told_kmh": ("自报", "told"),
    "made_kmh": ("实测", "made"),
    "leap_m": ("跳跃", "leap"),
    "leap_kmh": ("相当于", "that is"),
    "away_m": ("最远", "at most"),
    "left_at_m": ("驶离于", "left at"),
    "back_at_m": ("驶回于", "back at"),
    "length_m": ("长度", "length"),
    "nearest_m": ("最近", "nearest"),
    "last_m": ("末点相距", "last fix off by"),
    "left_m": ("尚余", "still to go"),
    "rolled_m": ("移动", "moved"),
    "common_m": ("相同路段", "in common"),
    "lag_s": ("相隔", "apart"),
    "needed_s": ("至少需", "needs at least"),
    "noise_cm": ("噪声", "noise"),
    "aside_permille": ("横向比", "sideways"),
    "memory_permille": ("相关性", "correlation"),
    "same_permille": ("相同", "the same"),
    "off_plan_cm": ("距计划线", "off the plan"),
}
"""Number of a finding -> what people call it; a number that is not here is for programs."""

_UNITS = {
    "_kmh": ("km/h", 1),
    "_cm": ("cm", 1),
    "_m": ("m", 1),
    "_s": ("s", 1),
    "_permille": ("%", 10),
    "_ppm": ("%", 10_000),
    "_bps": ("%", 100),
}
_WHOLE_NAMES = {"seconds": "s", "m": "m", "kmh": "km/h"}
MOST_NUMBERS = 3


def finding_name(code: str, lang: str) -> str:
    """What a finding is called; its code where we have no word for it yet."""
    words = FINDINGS.get(code)
    return words[LANGUAGES.index(lang)] if words else code.replace("_", " ")


def finding_numbers(detail: Mapping[str, Any], lang: str) -> str:
    """The numbers behind a finding, each with its unit.

    >>> finding_numbers({"away_m": 305, "times": 2, "inner": 7}, "en")
    'at most 305 m, times 2'
    """
    shown = []
    for name, value in detail.items():
        if name not in NUMBERS or isinstance(value, bool) or not isinstance(value, int):
            continue
        label = NUMBERS[name][LANGUAGES.index(lang)]
        shown.append(f"{label} {_with_unit(name, value)}".strip())
    return ("、" if lang == "zh" else ", ").join(shown[:MOST_NUMBERS])


def _with_unit(name: str, value: int) -> str:
    if name in _WHOLE_NAMES:
        return f"{value} {_WHOLE_NAMES[name]}"
    for suffix, (unit, share) in _UNITS.items():
        if name.endswith(suffix):
            return f"{value} {unit}" if share == 1 else f"{value / share:.1f}{unit}"
    return str(value)
