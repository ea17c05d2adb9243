"""What caused a new generation: of a batch of events, those about the tasks that changed in the document."""

from __future__ import annotations

from collections.abc import Iterable

from grpc_lb_contract import Cause, CauseKind, Document
from lambda_src.events import Batch, Hint


def cause_of(batch: Batch, before: Document | None, after: Document, *, saw_health: bool, now: float) -> Cause:
    """`saw_health` says that the change was found while tasks' health checks were waited for; `now` is when it is
    published.
    """
    if saw_health:
        return Cause(CauseKind.HEALTH, published=now)
    changed = _tasks(before) ^ _tasks(after)
    newest = {hint.task: hint for hint in sorted(batch.hints, key=_age)}
    told = _oldest_first(hint for hint in newest.values() if (hint.task in {task for task, _ in changed}))
    if not told and batch.scheduled:
        return Cause(CauseKind.SCHEDULED, published=now, events=batch.count)
    if not newest:
        return Cause(CauseKind.INVOKED, published=now, events=batch.count)
    # What changes a document without its tasks, such as a refused label, is of an event about a task that is not in it.
    told = told or _oldest_first(newest.values())
    others = _oldest_first(hint for hint in newest.values() if hint not in told)
    return Cause(CauseKind.EVENT, told[0].at, now, batch.count, tuple(hint.change for hint in (*told, *others)))


def _tasks(document: Document | None) -> set[tuple[str, str]]:
    services = () if document is None else document.services
    return {(target.task, target.state.value) for service in services for target in service.targets}


def _oldest_first(hints: Iterable[Hint]) -> list[Hint]:
    return sorted(hints, key=lambda hint: (hint.at is None, hint.at, hint.task))


def _age(hint: Hint) -> tuple[int, float]:
    return hint.version or 0, hint.at or 0.0
