"""When a listing is believed: pure functions over what events, listings and documents say."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from grpc_lb_contract import Document, TargetState, TaskChange
from lambda_src.discovery.ecs_listing import Listing
from lambda_src.discovery.events import Batch, Hint
from lambda_src.discovery.tasks import STOPPED, Task

LISTING_GOOD_FOR_SECONDS = 60.0
"""The minute rule refreshes that often anyway."""

ECS_FORGETS_AFTER_SECONDS = 300.0
"""ECS describes a stopped task for about an hour; that it does not know one which an event of the last minutes calls
running means that its answer is behind, while an older event just came late."""

CALLS_PER_SECOND = 10.0
"""Half of what ECS allows an account for reads of cluster resources (20 a second, in bursts of 100), so that others
have the rest: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html"""

WHOLE_DOCUMENT = "*"


@dataclass(frozen=True, slots=True)
class Settled:
    """The last refresh of this process that ended well, the version of each task that it saw, and whether tasks were
    waiting for their health checks, of which no event tells.
    """

    at: float
    versions: Mapping[str, int | None]
    pending: bool = False


def tells_nothing_new(batch: Batch, settled: Settled | None, now: float) -> bool:
    """True where each event is about a state that the last listing has seen: late or repeated ones, or what came in
    while that listing was made.
    """
    if settled is None or batch.asks_for_all:
        return False
    if not 0 <= now - settled.at < LISTING_GOOD_FOR_SECONDS:
        return False
    return all(_has_seen(settled.versions, hint) for hint in batch.hints)


def _has_seen(versions: Mapping[str, int | None], hint: Hint) -> bool:
    seen = versions.get(hint.task)
    return seen is not None and hint.version is not None and seen >= hint.version


def behind(listing: Listing, hints: Iterable[Hint], versions: Mapping[str, int | None], now: float) -> tuple[Hint, ...]:
    """The hints that know more than the listing, where `versions` (seen in an earlier listing) are hints too."""
    earlier = (
        Hint(task, version, "", None, TaskChange(task))
        for task, version in versions.items()
        if task in listing.tasks and _is_older(listing.tasks[task], version)
    )
    return tuple(hint for hint in (*hints, *earlier) if _is_behind(listing, hint, now))


def _is_behind(listing: Listing, hint: Hint, now: float) -> bool:
    task = listing.tasks.get(hint.task)
    if task is None:
        return not hint.is_stop and hint.at is not None and now - hint.at < ECS_FORGETS_AFTER_SECONDS
    return _is_older(task, hint.version)


def _knows_older(listing: Listing, hint: Hint) -> bool:
    return hint.task in listing.tasks and _is_older(listing.tasks[hint.task], hint.version)


def _is_older(task: Task, version: int | None) -> bool:
    return task.version is not None and version is not None and task.version < version


def told_to_stop(listing: Listing, hints: Iterable[Hint], previous: Document | None) -> frozenset[str]:
    """Tasks known to stop although the listing may not know it yet: a stop is never taken back."""
    draining = {
        target.task
        for service in (previous or Document()).services
        for target in service.targets
        if target.state is TargetState.DRAINING
    }
    stops = {
        hint.task
        for hint in hints
        if hint.is_stop and (hint.task in listing.contradicted or _knows_older(listing, hint))
    }
    return frozenset(draining | stops)


def emptied(previous: Document | None, unreadable: bool, document: Document) -> frozenset[str]:
    """The services that had serving targets and would have none now, and those that had no target and would be gone; a
    document that could not be read may have had any.
    """
    serving = _serving(document)
    if unreadable:
        return frozenset() if serving else frozenset({WHOLE_DOCUMENT})
    before = previous or Document()
    waiting = {service.name for service in before.services if not service.targets}
    return (_serving(before) - serving) | (waiting - {service.name for service in document.services})


def stopped_for_sure(
    previous: Document | None, services: Iterable[str], listing: Listing, hints: Iterable[Hint]
) -> frozenset[str]:
    """The services among these whose serving tasks were all told to stop, by ECS's listing and by its events alike. A
    task that is only missing from the listing does not count.
    """
    before = {service.name: service for service in (previous or Document()).services}
    told = {hint.task for hint in hints if hint.is_stop}
    told = {id_ for id_ in told if id_ in listing.tasks and listing.tasks[id_].desired_status == STOPPED}
    had = {
        name: [target.task for target in before[name].targets if target.state is TargetState.SERVING]
        for name in services
        if name in before
    }
    return frozenset(name for name, tasks in had.items() if tasks and told.issuperset(tasks))


def _serving(document: Document) -> frozenset[str]:
    return frozenset(
        service.name
        for service in document.services
        if any(target.state is TargetState.SERVING for target in service.targets)
    )


def newest_versions(known: Mapping[str, int | None], listing: Listing) -> dict[str, int | None]:
    """The version of each task of a listing, or the newer one known already."""
    return {
        id_: max((version for version in (known.get(id_), task.version) if version is not None), default=None)
        for id_, task in listing.tasks.items()
    }


def tasks_of(document: Document | None) -> frozenset[str]:
    return frozenset(target.task for service in (document or Document()).services for target in service.targets)


def pause(at_least: float, calls: int, calls_per_second: float = CALLS_PER_SECOND) -> float:
    """Seconds to wait before a listing that makes `calls` requests is repeated."""
    return max(at_least, calls / calls_per_second)
