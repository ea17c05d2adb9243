"""Tasks about which ECS contradicts itself: it lists them, and does not know them when it is asked."""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import replace

from grpc_lb_contract import Document, Group, Service, Target, TargetState
from lambda_src.discovery.selection import Selection


def kept_as_they_were(
    previous: Document | None,
    services: Iterable[Service],
    tasks: Set[str],
    told_to_stop: Set[str],
    selection: Selection,
) -> tuple[Service, ...]:
    """The services, with the targets that these tasks had in the previous document; told to stop, they drain."""
    by_name = {service.name: service for service in services}
    for old in (previous or Document()).services if tasks else ():
        kept = tuple(_kept(target, told_to_stop) for target in old.targets if target.task in tasks)
        if kept and selection.takes(old.name):
            by_name[old.name] = _with(old, by_name.get(old.name), kept)
    return tuple(by_name.values())


def _kept(target: Target, told_to_stop: Set[str]) -> Target:
    return replace(target, state=TargetState.DRAINING) if target.task in told_to_stop else target


def _with(old: Service, new: Service | None, kept: tuple[Target, ...]) -> Service:
    used = {target.group for target in kept}
    groups = {group.name: group for group in old.groups if group.name in used}
    if new is None:
        return replace(old, groups=tuple(groups.values()), targets=kept)
    # What the tasks say that can be asked counts, but for groups of which none has a target.
    has_targets = {target.group for target in new.targets}
    groups |= {group.name: group for group in new.groups if group.name in has_targets or group.name not in groups}
    return replace(new, groups=tuple[Group, ...](groups.values()), targets=(*new.targets, *kept))
