"""How often the judge is right, by family, on real tracks that were held out while tuning.

`python -m tests.benchmarks.judge_accuracy [--fresh|--town] [FIRST_SEED] [SEEDS] [FAMILY ...]` prints the tables of
tracking/README.md: of the held-out tracks, of tracks changed at random, or of another town's.
"""

from __future__ import annotations

import math
import sys
from collections import Counter

from tests.unit.tracking import families, fresh_tracks
from tracking.judge import judge
from tracking.verdict import Outcome


def wilson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a share."""
    if count == 0:
        return 0.0, 1.0
    z, share = 1.96, hits / count
    middle = share + z * z / (2 * count)
    spread = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    low, high = (middle - spread) / (1 + z * z / count), (middle + spread) / (1 + z * z / count)
    return max(0.0, low), min(1.0, high)


def main() -> None:
    """Prints the table."""
    flags = {word for word in sys.argv[1:] if word.startswith("--")}
    words = [word for word in sys.argv[1:] if word not in flags]
    first = int(words[0]) if words else 11
    seeds = range(first, first + (int(words[1]) if len(words) > 1 else 5))
    names = sorted(families.HELD_OUT)
    print("| family | n | passed | review | failed | right | 95 % | arrival right | misses |")
    print("|---|---|---|---|---|---|---|---|---|")
    for family in words[2:] or families.FAMILIES:
        seen, right, arrivals, arrived, misses = Counter(), 0, 0, 0, []
        for seed in seeds:
            if flags:
                drawn = fresh_tracks.cases(seed, [family], town="--town" in flags)
            else:
                drawn = families.cases(names, seed, [family])
            for case in drawn:
                verdict = judge(case.plan, case.fixes, others=case.others)
                seen[verdict.outcome] += 1
                good = (verdict.outcome is not Outcome.PASS) == case.flag
                right += good
                if case.arrives is not None:
                    arrivals += 1
                    arrived += case.arrives == (verdict.arrived_at is not None)
                if not good:
                    misses.append(f"{case.base.lstrip('0')} {case.note}")
        count = seen.total()
        low, high = wilson(right, count)
        share = f"{arrived}/{arrivals}" if arrivals else "unknown"
        print(
            f"| {family} | {count} | {seen[Outcome.PASS]} | {seen[Outcome.REVIEW]} | {seen[Outcome.FAIL]} "
            f"| {right / max(1, count):.1%} | {low:.1%} to {high:.1%} | {share} | {', '.join(misses[:5])} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
