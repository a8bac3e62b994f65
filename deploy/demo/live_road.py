"""A new trip's positions for the "drive" button: a recorded run at a pace of its own, from a seed. Pure.

A run that was judged before would be found out as a copy, rightly; so the truck of the button drives the
recorded road with its stops, but faster here and slower there, and its receiver errs by a few metres. The trip
is called composed wherever it is shown.
"""

from __future__ import annotations

import math
import random
from typing import TYPE_CHECKING

from tracking.fix import Fix

if TYPE_CHECKING:
    from collections.abc import Sequence

RUNS = ("1113", "1107", "1095")
"""Recorded runs from A to C that have been judged good."""

LOADING, UNLOADING = "A", "C"
STAND_S = 150
"""How long the truck stands at the gate in the end, sending on: it has arrived."""

EVERY_S = 15
PACE = (0.7, 1.4)
"""From fix to fix the drive takes between so many times as long as the recorded one."""

ERROR_M = 3.0


def compose(run: Sequence[Fix], seed: int, begins: int) -> list[Fix]:
    """The fixes of a new trip.

    Args:
        run: a recorded run, in time order.
        seed: another seed is another drive; the same seed the same.
        begins: unix seconds of the first fix.
    """
    chance = random.Random(seed)  # noqa: S311  a pace, not a secret
    made: list[Fix] = []
    at, before = float(begins), run[0].time
    for fix in run:
        at += max((fix.time - before) * chance.uniform(*PACE), 1)
        before = fix.time
        made.append(_err(fix, round(at), chance))
    for _ in range(STAND_S // EVERY_S):
        at += EVERY_S
        made.append(_err(run[-1], round(at), chance))
    return made


def _err(fix: Fix, at: int, chance: random.Random) -> Fix:
    north, east = (chance.gauss(0, ERROR_M) for _ in range(2))
    metre = 1e6 / 111_320
    return Fix(
        time=at,
        lat_e6=fix.lat_e6 + round(north * metre),
        lon_e6=fix.lon_e6 + round(east * metre / math.cos(math.radians(fix.lat_e6 / 1e6))),
    )
