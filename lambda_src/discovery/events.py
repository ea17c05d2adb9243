"""Events are hints: which tasks to ask ECS about, and how new its answer must be."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from grpc_lb_contract import TaskChange
from lambda_src.discovery.tasks import STOPPED, stop_reason, task_id

TASK_STATE_CHANGE = "ECS Task State Change"
SCHEDULED = "Scheduled Event"

UPDATE_WITHIN_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Hint:
    """A task changed: `version` numbers its states, `at` is when, in seconds since 1970; None where unknown. `change`
    is what the event says, for people.
    """

    task: str
    version: int | None
    desired_status: str
    at: float | None
    change: TaskChange

    @property
    def is_stop(self) -> bool:
        """A task told to stop is never told to run again."""
        return self.desired_status == STOPPED


@dataclass(frozen=True, slots=True)
class Batch:
    """What one invocation was told. `rejected` says, for each event that is no hint, why; `oldest` is the time of the
    oldest event.
    """

    count: int
    hints: tuple[Hint, ...] = ()
    scheduled: bool = False
    rejected: tuple[str, ...] = ()
    oldest: float | None = None

    @property
    def asks_for_all(self) -> bool:
        """Whether it tells of more than the tasks that it names."""
        return self.scheduled or bool(self.rejected) or not self.hints

    @property
    def tasks(self) -> frozenset[str]:
        return frozenset(hint.task for hint in self.hints)


def read_batch(event: Any, cluster: str) -> Batch:
    """Read SQS records that hold EventBridge events, or one event handed over directly. Never raises: a batch with an
    event that cannot be read still asks for a refresh.
    """
    hints: list[Hint] = []
    rejected: list[str] = []
    times: list[float] = []
    scheduled, count = False, 0
    for envelope in _envelopes(event):
        count += 1
        try:
            if not isinstance(envelope, dict):
                envelope = json.loads(envelope)
            at = _seconds(envelope.get("time"))
            times += [] if at is None else [at]
            if envelope.get("detail-type") == SCHEDULED:
                scheduled = True
            else:
                hints.append(_hint(envelope, at, cluster))
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as error:
            rejected.append(f"{error}" or type(error).__name__)
    return Batch(count, tuple(hints), scheduled, tuple(rejected), min(times, default=None))


def _envelopes(event: Any) -> Iterator[Any]:
    records = event.get("Records") if isinstance(event, dict) else None
    if not isinstance(records, list):
        yield event
        return
    for record in records:
        yield record.get("body") if isinstance(record, dict) else record


def _hint(envelope: Mapping[str, Any], at: float | None, cluster: str) -> Hint:
    if envelope.get("detail-type") != TASK_STATE_CHANGE:
        raise ValueError(f"detail-type must be {TASK_STATE_CHANGE} or {SCHEDULED}, got {envelope.get('detail-type')!r}")
    detail = envelope["detail"]
    if detail["clusterArn"] != cluster:
        raise ValueError(f"clusterArn must be {cluster}, got {detail['clusterArn']!r}")
    version = detail.get("version")
    return Hint(
        task=task_id(detail["taskArn"]),
        version=version if isinstance(version, int) else None,
        desired_status=str(detail.get("desiredStatus", "")),
        at=_moment(detail.get("updatedAt"), at),
        change=_change(detail),
    )


def _change(detail: Mapping[str, Any]) -> TaskChange:
    return TaskChange(
        task_id(detail["taskArn"]),
        service=str(detail.get("group", "")).partition(":")[2],
        last_status=str(detail.get("lastStatus", "")),
        desired_status=str(detail.get("desiredStatus", "")),
        reason=stop_reason(detail),
        stop_code=str(detail.get("stopCode") or ""),
    )


def _moment(updated_at: Any, at: float | None) -> float | None:
    """The time of the change itself, which has milliseconds, where it is that of the event, which has whole seconds."""
    updated = _seconds(updated_at)
    return updated if updated is not None and at is not None and abs(updated - at) < UPDATE_WITHIN_SECONDS else at


def _seconds(time: Any) -> float | None:
    try:
        # 3.11 and later read the trailing Z too
        return datetime.fromisoformat(time).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
