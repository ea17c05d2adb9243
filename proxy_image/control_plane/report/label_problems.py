"""What labels were rejected, as problems: one for each task family with rejected labels, and each loser."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

from grpc_lb_contract import Diagnostics, RejectedLabel, ShadowedRoute
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.problems import Problem, Severity


def label_problems(notes: Diagnostics) -> Iterator[Problem]:
    for family, grouped in groupby(notes.rejected_labels, key=lambda each: each.family):
        yield _rejected(family, tuple(grouped))
    for loser, shadowed in groupby(sorted(notes.shadowed, key=lambda each: each.loser), key=lambda each: each.loser):
        yield _shadowed(loser, tuple(shadowed))
    if notes.more_rejected or notes.more_shadowed:
        yield Problem(
            Severity.WARNING,
            "More labels are rejected than the document has room for",
            f"{notes.more_rejected:,} more labels, and {notes.more_shadowed:,} more routes that another service holds.",
            "see 'label rejected' and 'route shadowed' in the Lambda's log for all of them.",
            runbook="LabelRejected",
        )


def _rejected(family: str, rejected_labels: tuple[RejectedLabel, ...]) -> Problem:
    said = [f"{each.label} of revision {each.revision} {each.problem}, got {each.value!r}" for each in rejected_labels]
    return Problem(
        Severity.WARNING,
        f"{'A label' if len(rejected_labels) == 1 else f'{len(rejected_labels)} labels'} of task family {family} "
        f"{'is' if len(rejected_labels) == 1 else 'are'} rejected",
        f"{formats.some(said, separator='; ')}. What depends on it is left out, the rest works.",
        f"correct the docker labels in task definition {family} and deploy it. Other services are not affected.",
        runbook="LabelRejected",
    )


def _shadowed(loser: str, shadowed: tuple[ShadowedRoute, ...]) -> Problem:
    said = [f"{each.route}, which {each.holder} holds" for each in shadowed]
    holders = sorted({each.holder for each in shadowed})
    return Problem(
        Severity.WARNING,
        f"{loser} asks for calls that go to {formats.some(holders, 3)}",
        f"{formats.some(said, separator='; ')}. The service that had a route keeps it.",
        f"give {loser} a host or gRPC service of its own (grpc-lb.hosts, grpc-lb.grpc-services). If it is to have the "
        "calls, take the route from the other first.",
        runbook="LabelRejected",
    )
