"""What the demo prints."""

from __future__ import annotations

from collections.abc import Sequence

from local_aws.demo.claims import Claim
from local_aws.demo.cost import CALLS, Cost, lines
from rng_service.report import LoadReport

BAR_WIDTH = 40
TASK_WIDTH = 12


def picture(title: str, report: LoadReport, tasks: Sequence[str]) -> None:
    """The share of each task as a bar, also of those that got nothing."""
    counts = dict.fromkeys(tasks, 0) | dict(report.tasks)
    most = max([*counts.values(), 1])
    print(f"\n  {title}")
    for task, count in sorted(counts.items(), key=lambda item: -item[1]):
        bar = "█" * round(BAR_WIDTH * count / max(len(report.calls), most))
        print(f"    task {task[:TASK_WIDTH]:<{TASK_WIDTH}}  {count:>4}  {bar}".rstrip())
    print(flush=True)


def price(found: Sequence[Cost]) -> None:
    print(f"\n  What a call costs, of {CALLS:,} on each way, one after the other")
    for line in lines(found):
        print(f"    {line}")
    print("    A month of each in dollars: docs/choose.md\n", flush=True)


def verdict(claim: Claim) -> None:
    print(f"    {'✓' if claim.held else '✗'} {claim.text}\n        {claim.seen}", flush=True)


def summary(claims: Sequence[Claim], seconds: float) -> None:
    failed = [claim for claim in claims if not claim.held]
    print(f"\n{len(claims) - len(failed)} of {len(claims)} claims held, in {seconds:.0f} s")
    for claim in failed:
        print(f"  ✗ {claim.text}: {claim.seen}")
