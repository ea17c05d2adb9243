"""One refresh: list, transform, publish; and again where the listing is behind, in doubt, or about to change."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from grpc_lb_contract import TargetState
from lambda_src import log, rules
from lambda_src.ecs_listing import EcsCluster, Listing
from lambda_src.events import Batch, Hint
from lambda_src.publish import ParameterStore, Stored
from lambda_src.transform import Draft, transform

BEHIND_FOR_SECONDS = 5.0
BEHIND_FIRST_PAUSE = 0.1
BEHIND_CALLS_PER_SECOND = 2 * rules.CALLS_PER_SECOND
"""All that ECS sustains, because it is for BEHIND_FOR_SECONDS at most."""

CONFIRM_PAUSE = 0.5
CONFIRM_TIMES = 5

HEALTH_FOR_SECONDS = 40.0
HEALTH_PAUSE = 1.0

REST_SECONDS = 10.0
"""Of the invocation's time, kept for publishing: with less left, nothing is listed again."""


class EventsAheadOfListing(RuntimeError):  # noqa: N818 - the name says what is the matter
    """ECS still describes tasks as they were before the events: the events must come again."""


class EmptyNotConfirmed(RuntimeError):  # noqa: N818
    """Listings do not agree that services have no target left: the last good document stays."""


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is in seconds since 1970: a Lambda's monotonic clock stands still between invocations."""

    now: Callable[[], float] = time.time
    sleep: Callable[[float], None] = time.sleep


@dataclass(slots=True)
class _Run:
    """What one refresh knows, and what its log line tells."""

    batch: Batch
    seconds_left: Callable[[], float]
    started: float
    before: Stored
    stored: Stored
    behind_pause: float = BEHIND_FIRST_PAUSE
    suspected: frozenset[str] = frozenset()
    doubts: int = 0
    late: tuple[Hint, ...] = ()
    listing: Listing | None = None
    listed_at: float = 0.0
    draft: Draft | None = None
    listings: int = 0
    calls: int = 0
    writes: int = 0
    list_ms: int = 0
    describe_ms: int = 0
    publish_ms: int = 0
    said: set[object] = field(default_factory=set)


class Refresher:
    """Keeps from one refresh to the next what a warm process knows."""

    def __init__(self, cluster: EcsCluster, store: ParameterStore, clock: Clock | None = None) -> None:
        self._cluster = cluster
        self._store = store
        self._clock = clock or Clock()
        self._settled: rules.Settled | None = None
        self._versions: dict[str, int | None] = {}

    def refresh(self, batch: Batch, seconds_left: Callable[[], float]) -> None:
        """Bring the document up to date with the cluster, unless the batch tells nothing new.

        Raises, and leaves the last good document in place, where ECS or SSM fails (`ListingFailed` or botocore's own
        error), where the document must not be overwritten (`UnknownFormat`) or does not fit (`DocumentTooLarge`), or
        where listings do not agree (`EmptyNotConfirmed`). Raises `EventsAheadOfListing` when it has published what ECS
        says and an event knew more.
        """
        started = self._clock.now()
        if rules.tells_nothing_new(batch, self._settled, started):
            log.info("nothing new", **_about(batch, started))
            return
        self._settled = None
        before = self._store.read(anew=batch.scheduled)
        run = _Run(batch, seconds_left, started, before, before)
        while (pause := self._step(run)) is not None:
            self._clock.sleep(pause)
        log.info("refresh", **_facts(run, self._clock.now()))
        if run.late:
            raise EventsAheadOfListing(
                f"ECS must describe tasks as their events do within {BEHIND_FOR_SECONDS:g} s, got older versions of "
                f"{', '.join(sorted({hint.task for hint in run.late}))}; the events are to come again"
            )
        if run.draft is not None and not run.draft.pending:
            self._settled = rules.Settled(run.listed_at, self._versions)

    def _step(self, run: _Run) -> float | None:
        """List once, publish what is to be believed, and say how long to wait before listing again, if at all."""
        run.listed_at = self._clock.now()
        run.listing = listing = self._list(run)
        run.late = rules.behind(listing, run.batch.hints, self._versions, self._clock.now())
        behind_pause = self._behind_pause(run, listing) if run.late else None
        # A stop is known from its event alone and must not wait; anything else is for the listing to say.
        if behind_pause is not None and not all(hint.is_stop for hint in run.late):
            return behind_pause
        run.draft = draft = transform(
            listing.tasks.values(),
            listing.definitions,
            previous=run.stored.document,
            told_to_stop=rules.told_to_stop(listing, run.batch.hints, run.stored.document),
            now=self._clock.now(),
        )
        _say_once(run, draft)
        emptied = rules.emptied(run.stored.document, run.stored.unreadable, draft.document)
        if not emptied <= run.suspected:
            return self._doubt(run, emptied, listing)
        run.suspected = frozenset()
        self._publish(run, draft)
        self._versions = rules.newest_versions(self._versions, listing)
        if behind_pause is not None:
            return behind_pause
        health_pause = rules.pause(HEALTH_PAUSE, listing.calls)
        if draft.pending and self._has_time(run, health_pause, HEALTH_FOR_SECONDS):
            return health_pause
        return None

    def _list(self, run: _Run) -> Listing:
        listing = self._cluster.read(run.batch.tasks | rules.tasks_of(run.stored.document))
        run.listings += 1
        run.calls += listing.calls
        run.list_ms += listing.list_ms
        run.describe_ms += listing.describe_ms
        return listing

    def _behind_pause(self, run: _Run, listing: Listing) -> float | None:
        pause = rules.pause(run.behind_pause, listing.calls, BEHIND_CALLS_PER_SECOND)
        run.behind_pause = min(2 * run.behind_pause, 2.0)
        return pause if self._has_time(run, pause, BEHIND_FOR_SECONDS) else None

    def _has_time(self, run: _Run, pause: float, in_all: float) -> bool:
        now = self._clock.now()
        once_more = pause + (now - run.listed_at)
        return now + pause - run.started <= in_all and run.seconds_left() > REST_SECONDS + once_more

    def _doubt(self, run: _Run, emptied: frozenset[str], listing: Listing) -> float:
        run.suspected = emptied
        run.doubts += 1
        if run.doubts > CONFIRM_TIMES:
            raise EmptyNotConfirmed(
                f"two listings in a row must agree on which services have no target left, got {run.doubts} that did "
                f"not, the last about {', '.join(sorted(emptied))}; the last good document stays"
            )
        log.info("no target left, listing again", services=sorted(emptied))
        return rules.pause(CONFIRM_PAUSE, listing.calls, BEHIND_CALLS_PER_SECOND)

    def _publish(self, run: _Run, draft: Draft) -> None:
        started = time.monotonic()
        published = self._store.publish(draft.document, run.stored)
        run.publish_ms += round((time.monotonic() - started) * 1000)
        run.writes += published.writes
        if published.writes:
            log.info("published", before=run.stored.generation, after=published.stored.generation)
        run.stored = published.stored


def _say_once(run: _Run, draft: Draft) -> None:
    """One line for each refused label, conflict and skipped task, however often a refresh lists."""
    for label in draft.refused:
        if label in run.said:
            continue
        error = label.error
        log.warning(
            "label refused",
            family=error.family,
            revision=label.revision,
            label=error.label,
            value=error.value,
            problem=error.problem,
        )
    for conflict in draft.conflicts:
        if conflict in run.said:
            continue
        log.warning("route refused", holder=conflict.holder, loser=conflict.loser, problem=str(conflict))
    for skipped in draft.skipped:
        if skipped in run.said:
            continue
        log.warning("task skipped", task=skipped.task, problem=skipped.problem)
    run.said |= {*draft.refused, *draft.conflicts, *draft.skipped}


def _about(batch: Batch, now: float) -> dict[str, object]:
    age = None if batch.oldest is None else round(now - batch.oldest, 3)
    return {"events": batch.count, "events_refused": len(batch.refused), "oldest_event_seconds": age}


def _facts(run: _Run, now: float) -> dict[str, object]:
    listing, draft = run.listing, run.draft
    counts: dict[str, object] = {}
    if listing is not None and draft is not None:
        counts = {
            "tasks_listed": listing.listed,
            "tasks_described": len(listing.tasks),
            "services": len(draft.document.services),
            "serving": draft.count(TargetState.SERVING),
            "draining": draft.count(TargetState.DRAINING),
            "pending": len(draft.pending),
            "labels_refused": len(draft.refused),
            "routes_refused": len(draft.conflicts),
            "tasks_skipped": len(draft.skipped),
        }
    return {
        **_about(run.batch, run.started),
        **counts,
        "listings": run.listings,
        "ecs_calls": run.calls,
        "behind": len(run.late),
        "list_ms": run.list_ms,
        "describe_ms": run.describe_ms,
        "publish_ms": run.publish_ms,
        "total_ms": round((now - run.started) * 1000),
        "writes": run.writes,
        "changed": run.writes > 0,
        "generation_before": run.before.generation,
        "generation_after": run.stored.generation,
    }
