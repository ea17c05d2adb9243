"""What labels asked for in vain, as problems: one for each task family whose labels are refused, and each loser."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from grpc_lb_contract import LostRoute, Notes, Refusal
from proxy_image.control_plane.report.problems import Problem, Severity

MOST_SAID = 5


def label_problems(notes: Notes) -> Iterator[Problem]:
    for family, grouped in groupby(notes.refusals, key=lambda refusal: refusal.family):
        yield _refused(family, tuple(grouped))
    for loser, lost in groupby(sorted(notes.lost, key=lambda each: each.loser), key=lambda each: each.loser):
        yield _lost(loser, tuple(lost))
    if notes.more_refusals or notes.more_lost:
        yield Problem(
            Severity.WARNING,
            "More labels are refused than the document has room for",
            f"{notes.more_refusals:,} more labels, and {notes.more_lost:,} more routes that another service holds.",
            "see 'label refused' and 'route refused' in the Lambda's log for all of them.",
        )


def _refused(family: str, refusals: tuple[Refusal, ...]) -> Problem:
    said = (
        f"{each.label} of revision {each.revision} {each.problem}, got {each.value!r}" for each in refusals[:MOST_SAID]
    )
    return Problem(
        Severity.WARNING,
        f"{'A label' if len(refusals) == 1 else f'{len(refusals)} labels'} of task family {family} "
        f"{'is' if len(refusals) == 1 else 'are'} refused",
        "; ".join(said) + _more(len(refusals)) + ". What stands on it is left out, the rest works.",
        f"correct the docker labels in task definition {family} and deploy it. Other services are not affected.",
    )


def _lost(loser: str, lost: tuple[LostRoute, ...]) -> Problem:
    said = (f"{each.route}, which {each.holder} holds" for each in lost[:MOST_SAID])
    return Problem(
        Severity.WARNING,
        f"{loser} asks for calls that go to {_names(lost)}",
        "; ".join(said) + _more(len(lost)) + ". Who held a route keeps it.",
        f"give {loser} a host or gRPC service of its own (grpc-lb.hosts, grpc-lb.grpc-services). If it is to have the "
        "calls, take the route from the other first.",
    )


def _names(lost: tuple[LostRoute, ...]) -> str:
    holders = sorted({each.holder for each in lost})
    return ", ".join(holders[:3]) + (f" and {len(holders) - 3} more" if len(holders) > 3 else "")


def _more(count: int) -> str:
    return f"; and {count - MOST_SAID} more" if count > MOST_SAID else ""
