"""What changed from one document to the next: pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from grpc_lb_contract import Document, Service, TargetState
from grpc_lb_contract.names import address_order
from proxy_image.control_plane.document_changes import changed_services
from proxy_image.control_plane.stats.history.entries import MAX_NAMED, TargetId, identity


@dataclass(frozen=True, slots=True)
class TargetChanges:
    """Targets, in order: those that came, went, began to drain, or serve again after they drained."""

    joined: tuple[TargetId, ...]
    left: tuple[TargetId, ...]
    drained: tuple[TargetId, ...]
    returned: tuple[TargetId, ...]
    states: Mapping[TargetId, TargetState]
    """Of all targets of the services that changed."""


def target_changes(before: Document | None, document: Document) -> TargetChanges:
    old, new = (dict(_targets(services)) for services in changed_services(before, document))
    stayed = _in_order(new.keys() & old.keys())

    def began(state: TargetState) -> tuple[TargetId, ...]:
        return tuple(each for each in stayed if new[each] is state and old[each] is not state)

    return TargetChanges(
        joined=tuple(_in_order(new.keys() - old.keys())),
        left=tuple(_in_order(old.keys() - new.keys())),
        drained=began(TargetState.DRAINING),
        returned=began(TargetState.SERVING),
        states=new,
    )


def _in_order(targets: Iterable[TargetId]) -> list[TargetId]:
    return sorted(targets, key=lambda each: (each.service, address_order(each.address), each.task))


def _targets(services: Iterable[Service]) -> Iterator[tuple[TargetId, TargetState]]:
    for service in services:
        for target in service.targets:
            yield identity(service.name, target), target.state


def other_changes(before: Document, after: Document) -> Iterator[str]:
    """What changed beside targets, in words."""
    changed = changed_services(before, after)
    old, new = ({service.name: service for service in services} for services in changed)
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield f"{name} is {'gone' if name not in new else 'new'}"
            continue
        was, now = old[name], new[name]
        differs = (
            ("routes", was.routes != now.routes),
            ("policy", was.policy != now.policy),
            ("groups or weights", was.groups != now.groups),
        )
        if any(differ for _, differ in differs):
            yield f"{name}: {' and '.join(what for what, differ in differs if differ)} changed"
    for what, count, count_before in (
        ("labels rejected", after.diagnostics.rejected_count, before.diagnostics.rejected_count),
        ("shadowed routes", after.diagnostics.shadowed_count, before.diagnostics.shadowed_count),
        ("balancers", len(after.balancers), len(before.balancers)),
    ):
        if count != count_before:
            yield f"{what}: {count}, before {count_before}"


def names(targets: Iterable[TargetId], reasons: Mapping[str, str] = MappingProxyType({})) -> tuple[str, ...]:
    return tuple(
        f"{each.service} {each.address}"
        + ("" if each.task == each.address else f" (task {each.task})")
        + (f": {reasons[each.task]}" if reasons.get(each.task) else "")
        for each in tuple(targets)[:MAX_NAMED]
    )
