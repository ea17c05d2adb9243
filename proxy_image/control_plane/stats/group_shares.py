"""Which share of a service's calls each group is to have, and has: how a canary fares."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass

from grpc_lb_contract import Service
from proxy_image.control_plane.stats.window import ServiceWindow, TargetWindow


@dataclass(frozen=True, slots=True)
class GroupReport:
    """`wanted_share` is by the weights where there are any, else by the targets that serve; `share` what it had of the
    calls in the window, None where there were none.
    """

    name: str
    weight: int
    targets: int
    serving: int
    wanted_share: float | None
    share: float | None
    calls_per_second: float
    failures_in_window: int


def group_reports(service: Service, takes_calls: Collection[str], recent: ServiceWindow) -> Iterator[GroupReport]:
    """`takes_calls`: addresses of the targets that take calls now."""
    nothing = TargetWindow()
    serving = {group.name: 0 for group in service.groups}
    windows: dict[str, list[TargetWindow]] = {group.name: [] for group in service.groups}
    for target in service.targets:
        serving[target.group] += target.address in takes_calls
        windows[target.group].append(recent.targets.get(target.address, nothing))
    parts = {group.name: group.weight if service.is_weighed else serving[group.name] for group in service.groups}
    whole = sum(parts.values())
    for group in service.groups:
        calls = sum(window.calls for window in windows[group.name])
        yield GroupReport(
            name=group.name,
            weight=group.weight,
            targets=len(windows[group.name]),
            serving=serving[group.name],
            wanted_share=parts[group.name] / whole if whole else None,
            share=calls / recent.calls if recent.calls else None,
            calls_per_second=calls / recent.seconds if recent.seconds > 0 else 0.0,
            failures_in_window=sum(window.failures for window in windows[group.name]),
        )
