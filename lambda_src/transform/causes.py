"""What caused a new generation: of a batch of events, those about the tasks that changed in the document; and why ECS
stopped the tasks that left it, for readers that see not every generation, or see it before ECS has said why.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import replace

from grpc_lb_contract import Cause, CauseKind, Document, Stop, TargetState
from grpc_lb_contract.document.cause import HEALTH_CHECK_FAILS
from lambda_src.discovery.events import Batch, Hint
from lambda_src.discovery.tasks import LEAVING, RUNNING, STOPPED, Task


def reasons_of(batch: Batch, tasks: Iterable[Task]) -> dict[str, str]:
    """Why ECS stops tasks, as events or the listing say: the longer of both, which knows how containers ended. Of
    those that go on, which containers ECS calls UNHEALTHY.
    """
    tasks = tuple(tasks)
    sick = {
        task.id: f"{HEALTH_CHECK_FAILS} (container {', '.join(sorted(task.unhealthy))})"
        for task in tasks
        if task.unhealthy
    }
    listed = {task.id: task.stop_reason for task in tasks if task.stop_reason}
    told = {hint.task: hint.change.reason for hint in sorted(batch.hints, key=_age) if hint.is_stop}
    stops = {task: max(listed.get(task, ""), told.get(task, ""), key=len) for task in listed.keys() | told.keys()}
    return sick | stops


def cause_of(
    batch: Batch,
    before: Document | None,
    after: Document,
    *,
    saw_health: bool,
    now: float,
    reasons: Mapping[str, str] | None = None,
    earlier: Cause | None = None,
) -> Cause:
    """`saw_health` says that the change was found while tasks' health checks were waited for; `now` is when it is
    published; `reasons` are why ECS stops tasks, `earlier` is the cause of the generation before.
    """
    cause = _cause(batch, before, after, saw_health=saw_health, now=now)
    was, now_is = _states(before), _states(after)
    gone = {task for task in was if now_is.get(task) is not TargetState.SERVING is was[task]}
    gone |= was.keys() - now_is.keys()
    serving = {task for task, state in now_is.items() if state is TargetState.SERVING}
    named = {each.task for each in cause.tasks if each.reason}
    return replace(cause, stops=tuple(_stops(gone, reasons or {}, earlier, without=serving | named)))


def _stops(gone: Set[str], reasons: Mapping[str, str], earlier: Cause | None, *, without: Set[str]) -> Iterator[Stop]:
    """The tasks that are gone now, then those of before, each once."""
    stops = sorted((Stop(task, reasons.get(task, "")) for task in gone), key=lambda each: (each.reason, each.task))
    known = {each.task for each in stops if each.reason}
    if earlier is not None:
        told = [
            Stop(each.task, each.reason) for each in earlier.tasks if each.reason and each.desired_status == STOPPED
        ]
        before = [*told, *earlier.explained(reasons).stops]
        explained = {each.task for each in before if each.reason}
        # What was told of a task that drained is still why, now that it is gone.
        stops = [each for each in stops if each.reason or each.task not in explained] + [
            each for each in before if each.task not in known
        ]
    seen = set(without)
    for each in stops:
        if each.task not in seen:
            seen.add(each.task)
            yield each


def _cause(batch: Batch, before: Document | None, after: Document, *, saw_health: bool, now: float) -> Cause:
    if saw_health:
        return Cause(CauseKind.HEALTH, published=now)
    was, now_is = _states(before), _states(after)
    changed = {task for task in was.keys() | now_is.keys() if was.get(task) != now_is.get(task)}
    newest = {hint.task: hint for hint in sorted(batch.hints, key=_age)}
    told = _oldest_first(hint for hint in newest.values() if hint.task in changed)
    why = [hint for hint in told if _explains(hint, now_is.get(hint.task))]
    if why:
        # A task that died is what people look for, in a deployment of many too.
        tasks = sorted(why, key=lambda hint: not (hint.is_stop and hint.change.reason))
        return Cause(CauseKind.EVENT, why[0].at, now, batch.count, tuple(hint.change for hint in tasks))
    if batch.scheduled:
        return Cause(CauseKind.SCHEDULED, published=now, events=batch.count)
    if not newest:
        return Cause(CauseKind.INVOKED, published=now, events=batch.count)
    if changed:
        # The listing is ahead of the events: when a task that is PENDING by the newest began to run, none has told.
        return Cause(CauseKind.EVENT, None, now, batch.count, tuple(hint.change for hint in told))
    # What changes a document without its tasks, such as a rejected label, comes of an event about another task.
    others = _oldest_first(newest.values())
    return Cause(CauseKind.EVENT, others[0].at, now, batch.count, tuple(hint.change for hint in others))


def _explains(hint: Hint, state: TargetState | None) -> bool:
    """Whether an event tells why a task is in the document as it is; None: it is not."""
    if state is TargetState.SERVING:
        return not hint.is_stop and hint.change.last_status == RUNNING
    return hint.is_stop or hint.change.last_status in LEAVING


def _states(document: Document | None) -> dict[str, TargetState]:
    """Of each task; serving where it serves at one of its ports."""
    found: dict[str, TargetState] = {}
    for service in () if document is None else document.services:
        for target in service.targets:
            if found.get(target.task) is not TargetState.SERVING:
                found[target.task] = target.state
    return found


def _oldest_first(hints: Iterable[Hint]) -> list[Hint]:
    return sorted(hints, key=lambda hint: (hint.at is None, hint.at, hint.task))


def _age(hint: Hint) -> tuple[int, float]:
    return hint.version or 0, hint.at or 0.0
