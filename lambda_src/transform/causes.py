"""What caused a new generation: of a batch of events, those about the tasks that changed in the document."""

from __future__ import annotations

from collections.abc import Iterable

from grpc_lb_contract import Cause, CauseKind, Document, TargetState
from lambda_src.discovery.events import Batch, Hint
from lambda_src.discovery.tasks import LEAVING, RUNNING


def cause_of(batch: Batch, before: Document | None, after: Document, *, saw_health: bool, now: float) -> Cause:
    """`saw_health` says that the change was found while tasks' health checks were waited for; `now` is when it is
    published.
    """
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
    # What changes a document without its tasks, such as a refused label, is of an event about a task that is not in it.
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
