"""`make traefik`: all label sets before the judge, and sets by chance. Ends with how many there were of which kind."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from tests.traefik_labels.judge.cases import SETS
from tests.traefik_labels.judge.chance import SETS_BY_CHANCE
from tests.traefik_labels.judge.court import GOOD, SETTINGS, Court, Judged, count, court
from tests.traefik_labels.judge.sets import LabelSet


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.traefik_labels.judge", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=f"of {', '.join(SETS)} (default: all)")
    parser.add_argument(
        "--by-chance", type=int, default=15, metavar="N", help="batches by chance (default: %(default)s)"
    )
    options = parser.parse_args(arguments)
    unknown = set(options.kinds) - SETS.keys()
    if unknown:
        parser.error(f"each KIND must be one of {', '.join(SETS)}, got {', '.join(sorted(unknown))}")
    with tempfile.TemporaryDirectory() as folder, court(Path(folder), SETTINGS) as judges:
        judged: list[Judged] = []
        for kind in options.kinds or SETS:
            found = judges.judge(SETS[kind])
            print(f"{kind}: {len(found)} sets: {count(found)}", flush=True)
            judged += found
        if options.by_chance:
            found = by_chance(judges, options.by_chance)
            print(f"by chance: {len(found)} sets: {count(found)}", flush=True)
            judged += found
    for one in judged:
        if one.verdict not in GOOD:
            print(f"\n{one}")
    print(f"\n{len(judged)} sets: {count(judged)}")
    return 0 if all(one.verdict in GOOD for one in judged) else 1


def by_chance(judges: Court, batches: int) -> list[Judged]:
    judged: list[Judged] = []

    @settings(max_examples=batches, deadline=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(SETS_BY_CHANCE)
    def judge(sets: list[LabelSet]) -> None:
        judged.extend(judges.judge(sets))

    judge()
    return judged


if __name__ == "__main__":
    sys.exit(main())
