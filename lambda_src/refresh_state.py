"""One refresh on its way: what it knows, and what its log lines tell."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeVar

from grpc_lb_contract import Cause, TargetState, share_of_limit
from grpc_lb_contract.cloudwatch import DOCUMENT_TARGETS, DOCUMENT_USED, REJECTED_LABELS, SHADOWED_ROUTES, Values
from lambda_src import log
from lambda_src.discovery.ecs_listing import Listing
from lambda_src.discovery.events import Batch, Hint
from lambda_src.publish import PublishResult, Stored
from lambda_src.transform.document import Transformed

T = TypeVar("T")

MAX_LOGGED = 100
"""Rejected labels of one listing: each refresh logs them, and a team's thousand must not take others' time."""


@dataclass(slots=True)
class RefreshState:
    """`reading` is what was published before, `stored` what is by now, `late` the hints that know more than the last
    listing, `suspected` the services that had no target left in it and still have to be confirmed. `waits` says that
    it lists again while tasks are `pending`, `saw_health` that the listing is such a one; `reads_on` that task
    definitions are left to read, for `read_for` seconds before those that are known are published; `failing` are those
    that ECS fails to describe.
    """

    batch: Batch
    seconds_left: Callable[[], float]
    started: float
    reading: Future[Stored]
    behind_pause: float
    read_for: float
    waits: bool = True
    suspected: frozenset[str] = frozenset()
    doubts: int = 0
    late: tuple[Hint, ...] = ()
    listed_at: float = 0.0
    pending: bool = False
    saw_health: bool = False
    reads_on: bool = False
    failing: frozenset[str] = frozenset()
    _published: Stored | None = None
    _sums: Counter[str] = field(default_factory=Counter)
    _last: dict[str, int] = field(default_factory=dict)
    _said: set[object] = field(default_factory=set)

    @property
    def stored(self) -> Stored:
        return self.reading.result() if self._published is None else self._published

    def read_on(self, max_seconds: float) -> None:
        self.reads_on, self.read_for = True, min(2 * self.read_for, max_seconds)

    @property
    def unexplained(self) -> frozenset[str]:
        """Tasks that left, of which ECS has not said why."""
        return frozenset() if self.stored.cause is None else self.stored.cause.unexplained

    def listed(self, listing: Listing) -> None:
        self._sums.update(
            listings=min(1, listing.calls),
            ecs_calls=listing.calls + listing.definition_calls,
            list_ms=listing.list_ms,
            describe_ms=listing.describe_ms,
        )
        self._last |= {"tasks_listed": len(listing.listed), "tasks_described": len(listing.tasks)}

    def asked(self, calls: int) -> None:
        self._sums.update(ecs_calls=calls)

    def drafted(self, draft: Transformed) -> None:
        """Log each rejected label and route, skipped task and doubted service once, however often a refresh lists."""
        rejected = list(self._news(draft.rejected))
        for label in rejected[:MAX_LOGGED]:
            error = label.error
            log.warning(
                "label rejected",
                family=error.family,
                revision=label.revision,
                label=error.label,
                value=error.value,
                problem=error.problem,
            )
        if len(rejected) > MAX_LOGGED:
            log.warning("more labels rejected", count=len(rejected) - MAX_LOGGED)
        for conflict in self._news(draft.conflicts):
            log.warning("route shadowed", holder=conflict.holder, loser=conflict.loser, problem=str(conflict))
        for skipped in self._news(draft.skipped):
            log.warning("task skipped", task=skipped.task, problem=skipped.problem)
        for doubted in draft.doubted:
            if any(self._news([("health doubted", doubted.service)])):
                log.warning("health doubted", service=doubted.service, count=doubted.count)
        if self.stored.document is None and draft.document.services and any(self._news(["route owners unknown"])):
            log.warning("route owners unknown", unreadable=self.stored.unreadable, contested=len(draft.conflicts))
        self.pending = bool(draft.pending)
        self._last |= {
            "services": len(draft.document.services),
            "services_without_tasks": len(draft.carried),
            "serving": draft.count(TargetState.SERVING),
            "draining": draft.count(TargetState.DRAINING),
            "pending": len(draft.pending),
            "labels_rejected": len(draft.rejected),
            "routes_shadowed": len(draft.conflicts),
            "tasks_skipped": len(draft.skipped),
        }

    def published(self, published: PublishResult, milliseconds: int, cause: Cause) -> None:
        before, after = self.stored, published.stored
        if published.writes and before.generation != after.generation:
            log.info("published", before=before.generation, after=after.generation, cause=cause.fields())
        elif published.writes and before.cause != after.cause:
            log.info("stop reasons added", unexplained=len(after.cause.unexplained) if after.cause is not None else 0)
        elif published.writes:
            log.info("changes announced", expected_until=after.changes_expected_until)
        self._sums.update(writes=published.writes, publish_ms=milliseconds)
        self._published = published.stored

    def facts(self, now: float) -> dict[str, object]:
        return {
            **about(self.batch, self.started),
            **self._last,
            **self._sums,
            "behind": len(self.late),
            "changed": self.reading.result().generation != self.stored.generation,
            "generation_before": self.reading.result().generation,
            "generation_after": self.stored.generation,
            "total_ms": round((now - self.started) * 1000),
        }

    def metrics(self) -> Values:
        return {
            REJECTED_LABELS: self._last["labels_rejected"],
            SHADOWED_ROUTES: self._last["routes_shadowed"],
            DOCUMENT_TARGETS: self._last["serving"] + self._last["draining"],
            DOCUMENT_USED: 100 * share_of_limit(self.stored.shards),
        }

    def _news(self, found: Iterable[T]) -> Iterator[T]:
        for one in found:
            if one not in self._said:
                self._said.add(one)
                yield one


def about(batch: Batch, now: float) -> dict[str, object]:
    """The facts about the events that asked for a refresh."""
    age = None if batch.oldest is None else round(now - batch.oldest, 3)
    return {"events": batch.count, "events_rejected": len(batch.rejected), "oldest_event_seconds": age}
