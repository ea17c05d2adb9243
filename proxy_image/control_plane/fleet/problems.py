"""What is wrong with the fleet, as this balancer sees it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from proxy_image.control_plane.fleet.fleet import Member
from proxy_image.control_plane.report import formats
from proxy_image.control_plane.report.problems import Problem, Severity


def fleet_problems(members: Sequence[Member], now: float) -> Iterator[Problem]:
    """now: seconds since 1970."""
    silent = [each for each in members if each.problem is not None]
    if not silent:
        return
    reasons = Counter(each.problem for each in silent)
    said = [
        f"{each.balancer.address} for {formats.duration(now - (each.silent_since or now))}: {each.problem}"
        for each in silent
    ]
    title = (
        f"Balancer {silent[0].balancer.address} does not answer this one"
        if len(silent) == 1
        else f"{len(silent)} of {len(members)} other balancers do not answer this one"
    )
    alike = " All for one reason: look at the network between them first." if len(reasons) == 1 < len(silent) else ""
    yield Problem(
        Severity.WARNING,
        title,
        f"{formats.some(said, separator='; ')}. Its calls may continue: the page asks its control plane, not its "
        f"Envoy.{alike}",
        "look at the log of that task. If all are well, the security group of the balancers must let them reach "
        "each other on the port of the page, 8080.",
        runbook="BalancerSilent",
        of_another=True,
    )
