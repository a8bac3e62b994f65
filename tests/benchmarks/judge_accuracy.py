"""How often the judge is right, by family, on tracks that no rule was tuned on.

`python -m tests.benchmarks.judge_accuracy [--held-out] [FIRST_SEED] [SEEDS] [FAMILY ...]` prints the tables of
tracking/README.md: the shared tracks changed at random beside another town's; or the held-out ones alone.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tests.unit.tracking import families, fresh_tracks
from tracking.judge import judge
from tracking.verdict import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tests.unit.tracking.families import Case

HONEST = {make.__name__ for make in (*families.HONEST, families.convoy_close)}
ROUGH = {make.__name__ for make in fresh_tracks.ROUGH}


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if count == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = (middle - spread) / (1 + z * z / count), (middle + spread) / (1 + z * z / count)
    return max(0.0, low), min(1.0, high)


@dataclass
class Score:
    """What became of the cases of one family on one kind of tracks."""

    seen: Counter[Outcome] = field(default_factory=Counter)
    right: int = 0
    arrivals: int = 0
    arrived: int = 0
    misses: list[str] = field(default_factory=list)

    def take(self, cases: Iterable[Case]) -> Score:
        """Judges cases."""
        for case in cases:
            if not (case.flag or case.arrives):
                continue  # a real record that ends before the gate is no honest delivery
            verdict = judge(case.plan, case.fixes, others=case.others)
            self.seen[verdict.outcome] += 1
            good = (verdict.outcome is not Outcome.PASS) == case.flag
            self.right += good
            there = case.arrives in (None, verdict.arrived_at is not None)
            if case.arrives is not None:
                self.arrivals += 1
                self.arrived += there
            if not good or not there:
                word = "" if there else " (arrival)"
                self.misses.append(f"{case.base.lstrip('0')} {case.note}{word}")
        return self

    def cells(self) -> str:
        """Share with its interval, and arrivals."""
        count = self.seen.total()
        if not count:
            return "- | - | -"
        low, high = wilson(self.right, count)
        share = f"{self.right}/{count} = {self.right / count:.1%}"
        arrivals = f"{self.arrived}/{self.arrivals}" if self.arrivals else "unknown"
        return f"{share} | {low:.0%} to {high:.0%} | {arrivals}"


def print_held_out(seeds: range, names: list[str]) -> None:
    """The third of the shared tracks that was never looked at while tuning."""
    print("| family | right | 95 % | arrival | misses |")
    print("|---|---|---|---|---|")
    tracks = sorted(families.HELD_OUT)
    for name in names:
        score = Score()
        for seed in seeds:
            score.take(families.cases(tracks, seed, [name]))
        print(f"| {name} | {score.cells()} | {', '.join(score.misses[:4])} |", flush=True)


def print_fresh(seeds: range, names: list[str]) -> None:
    """Changed tracks beside those of another town, and what became of the honest ones."""
    print(
        "| family | changed tracks: right | 95 % | arrival | Hof: right | 95 % | arrival | misses |"
    )
    print("|---|---|---|---|---|---|---|---|")
    sums = {"honest": Counter(), "rough": Counter()}
    for name in names:
        changed, town = Score(), Score()
        for seed in seeds:
            changed.take(fresh_tracks.cases(seed, [name]))
            town.take(fresh_tracks.cases(seed, [name], town=True))
        misses = ", ".join([*changed.misses[:3], *town.misses[:3]])
        print(f"| {name} | {changed.cells()} | {town.cells()} | {misses} |", flush=True)
        for kind, which in (("honest", HONEST), ("rough", ROUGH)):
            if name in which:
                sums[kind] += changed.seen + town.seen
    for kind, seen in sums.items():
        if seen:
            said = ", ".join(f"{seen[outcome]} {outcome.value}" for outcome in Outcome)
            print(f"\n{kind}: {seen.total()} drives: {said}")


def main() -> None:
    """Prints the tables."""
    flags = {word for word in sys.argv[1:] if word.startswith("--")}
    words = [word for word in sys.argv[1:] if word not in flags]
    first = int(words[0]) if words else 11
    seeds = range(first, first + (int(words[1]) if len(words) > 1 else 3))
    if "--held-out" in flags:
        print_held_out(seeds, words[2:] or list(families.FAMILIES))
    else:
        print_fresh(seeds, words[2:] or list(fresh_tracks.FAMILIES))


if __name__ == "__main__":
    main()
