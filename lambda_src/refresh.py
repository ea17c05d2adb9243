"""One refresh: list, transform, publish; and again where the listing is behind, in doubt, or about to change."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

from botocore.exceptions import BotoCoreError, ClientError

from grpc_lb_contract.cloudwatch import Values
from lambda_src import log
from lambda_src.clock import Clock, OutOfTime, SecondsLeft
from lambda_src.discovery import freshness
from lambda_src.discovery.cluster_view import ClusterView
from lambda_src.discovery.definitions import Definitions
from lambda_src.discovery.ecs_listing import EcsCluster, Listing, ListingFailed
from lambda_src.discovery.events import Batch
from lambda_src.discovery.selection import Selection
from lambda_src.process_log import ProcessLog
from lambda_src.publish import ParameterStore
from lambda_src.refresh_state import RefreshState, about
from lambda_src.transform import scaled_to_zero
from lambda_src.transform.causes import cause_of, reasons_of
from lambda_src.transform.document import EVERYTHING_LABELLED, TransformCache, Transformed, transform
from lambda_src.transform.expected_changes import announcement

BEHIND_FOR_SECONDS = 5.0
BEHIND_FIRST_PAUSE = 0.1
BEHIND_CALLS_PER_SECOND = 2 * freshness.CALLS_PER_SECOND
"""All that ECS sustains, because it is for BEHIND_FOR_SECONDS at most."""

CONFIRM_PAUSE = 0.5
CONFIRM_TIMES = 5

HEALTH_FOR_SECONDS = 40.0
HEALTH_PAUSE = 1.0

READ_FIRST_SECONDS = 0.5
READ_MAX_SECONDS = 5.0
"""Where there are more task definitions than ECS allows to read at once, those that are known are published between:
the first after half a second, then at growing intervals, in each of which SSM takes what is new."""

RESERVED_SECONDS = 10.0
"""Of the invocation's time, kept for publishing: with less left, nothing is listed again."""

RETRY_FIRST_PAUSE = 1.0
RETRY_MAX_PAUSE = 5.0
RETRY_RESERVED_SECONDS = 5.0


class EventsAheadOfListing(RuntimeError):  # noqa: N818 - the name says what is the matter
    """ECS still describes tasks as they were before the events: the events must come again."""


class EmptyNotConfirmed(RuntimeError):  # noqa: N818
    """Listings do not agree that services have no target left: the last good document stays."""


PASSING_FAILURES = (BotoCoreError, ClientError, ListingFailed, EventsAheadOfListing, EmptyNotConfirmed)


class Refresher:
    """Keeps from one refresh to the next what a warm process knows."""

    def __init__(
        self,
        cluster: EcsCluster,
        store: ParameterStore,
        clock: Clock | None = None,
        selection: Selection = EVERYTHING_LABELLED,
    ) -> None:
        self._cluster = cluster
        self._selection = selection
        self._store = store
        self._clock = clock or Clock()
        self._store.clock, self._store.cluster = self._clock, cluster.arn
        self._definitions = Definitions(cluster.describe_definition, store.saved_definitions(), self._clock)
        self._view = ClusterView(cluster, self._definitions, self._clock)
        self._settled: freshness.Settled | None = None
        self._versions: dict[str, int | None] = {}
        self._process_log = ProcessLog(store.prefix, selection)
        self._transformed = TransformCache()
        self._calls = 0
        self.failures = 0
        """Attempts of the last refresh that failed."""
        self.metrics: Values = {}
        """What the last refresh tells CloudWatch; nothing where it found nothing new, or failed."""

    def refresh(self, batch: Batch, seconds_left: SecondsLeft) -> None:
        """Bring the document up to date with the cluster, unless the batch tells nothing new. Where tasks wait for
        their health checks, such a batch lists once at most, and does not wait with them: a backlog of events would
        wait again and again.

        A refresh that fails restarts while there is time: records that are given back stay invisible for the queue's
        visibility timeout, and hold up all later ones of their message group.

        Raises, and leaves the last good document in place, where ECS or SSM goes on failing (`ListingFailed` or
        botocore's own error), where the document must not be overwritten (`UnknownFormat`) or does not fit
        (`DocumentTooLarge`), or where listings do not agree (`EmptyNotConfirmed`). Raises `EventsAheadOfListing` when
        it has published what ECS says and an event knew more.

        Ends, without raising, when its time does: what was read and written is kept, and the next refresh, of the next
        event or minute, goes on from there. Were the records given back, that would come two minutes later.
        """
        self.failures, self.metrics = 0, {}
        now = self._clock.now()
        settled, self._settled = self._settled, None
        nothing_new = freshness.tells_nothing_new(batch, settled, now)
        if settled is not None and nothing_new and (not settled.pending or self._has_just_listed(settled, now)):
            self._settled = settled
            log.info("nothing new", **about(batch, now))
            return
        backoff = RETRY_FIRST_PAUSE
        while True:
            try:
                self._refresh(batch, seconds_left, waits=not nothing_new)
            except OutOfTime as unfinished:
                self.failures += 1
                log.warning("refresh unfinished", problem=str(unfinished))
                return
            except PASSING_FAILURES as error:
                self.failures += 1
                pause = freshness.pause(backoff, self._calls)
                if seconds_left() < RETRY_RESERVED_SECONDS + pause:
                    raise
                log.warning("refresh failed, trying again", error=type(error).__name__, problem=str(error))
                self._clock.sleep(pause)
                backoff = min(2 * backoff, RETRY_MAX_PAUSE)
            else:
                return

    def _has_just_listed(self, settled: freshness.Settled, now: float) -> bool:
        return now - settled.at < freshness.pause(HEALTH_PAUSE, self._calls)

    def _refresh(self, batch: Batch, seconds_left: SecondsLeft, *, waits: bool) -> None:
        started = self._clock.now()
        with ThreadPoolExecutor(1) as pool:  # ECS is asked meanwhile
            run = RefreshState(
                batch,
                seconds_left,
                started,
                pool.submit(self._store.read, fully=batch.scheduled),
                BEHIND_FIRST_PAUSE,
                READ_FIRST_SECONDS,
                waits,
            )
            while (pause := self._step(run)) is not None:
                self._clock.sleep(pause)
        if batch.asks_for_all:
            self._store.tidy()
        self._definitions.save(seconds_left)
        log.info("refresh", **run.facts(self._clock.now()))
        self.metrics = run.metrics()
        if run.late and all(hint.task in self._view.in_doubt for hint in run.late):
            return  # ECS lists them and does not know them: each minute asks again, and nobody else waits for that
        if run.late:
            raise EventsAheadOfListing(
                f"ECS must describe tasks as their events do within {BEHIND_FOR_SECONDS:g} s, got older versions of "
                f"{', '.join(sorted({hint.task for hint in run.late}))}"
            )
        if not run.failing:
            self._settled = freshness.Settled(run.listed_at, self._versions, run.pending)

    def _step(self, run: RefreshState) -> float | None:
        """List once, publish what is to be believed, and say how long to wait before listing again, if at all."""
        listing = self._list(run)
        run.late = freshness.behind(listing, run.batch.hints, self._versions, self._clock.now())
        behind_pause = self._behind_pause(run, listing) if run.late else None
        # A stop is known from its event alone and must not wait; anything else is for the listing to say.
        if behind_pause is not None and not all(hint.is_stop for hint in run.late):
            return behind_pause
        draft = self._draft(run, listing)
        run.drafted(draft)
        self._process_log.tell(draft, listing)
        emptied = freshness.emptied(run.stored.document, run.stored.unreadable, draft.document)
        emptied -= freshness.stopped_for_sure(run.stored.document, emptied, listing, run.batch.hints)
        if not emptied <= run.suspected:
            return self._doubt(run, emptied, listing)
        run.suspected = frozenset()
        self._publish(run, listing, draft)
        return self._pause_after(run, listing) if behind_pause is None else behind_pause

    def _list(self, run: RefreshState) -> Listing:
        if not run.reads_on:
            run.listed_at = self._clock.now()
        listing = self._view.look(
            run.batch,
            lambda: freshness.tasks_of(run.stored.document) | run.unexplained,
            run.seconds_left,
            whole=run.saw_health or bool(run.suspected) or not {hint.task for hint in run.late} <= run.batch.tasks,
            reads_on=run.reads_on,
            read_for=run.read_for,
        )
        run.reads_on = False
        self._calls = listing.calls or self._calls
        run.listed(listing)
        self._transformed.labels.keep(self._definitions.known)
        return listing

    def _publish(self, run: RefreshState, listing: Listing, draft: Transformed) -> None:
        started = time.monotonic()
        reasons = reasons_of(run.batch, listing.tasks.values())
        cause = cause_of(
            run.batch,
            run.stored.document,
            draft.document,
            saw_health=run.saw_health,
            now=self._clock.now(),
            reasons=reasons,
            earlier=run.stored.cause,
        )
        until = announcement(
            run.stored.changes_expected_until,
            expects=draft.expects_changes or bool(listing.unread),
            now=self._clock.now(),
        )
        published = self._store.publish(
            draft.document,
            run.stored,
            cause,
            stop_reasons=reasons,
            changes_expected_until=until,
            incomplete=bool(listing.unread or listing.failing)
            and (run.stored.document is None or run.stored.incomplete),
            seconds_left=run.seconds_left,
        )
        run.published(published, round((time.monotonic() - started) * 1000), cause)
        self._versions = freshness.newest_versions(self._versions, listing)

    def _pause_after(self, run: RefreshState, listing: Listing) -> float | None:
        """How long to wait, once what is known is published, for task definitions and health checks not known yet."""
        if listing.unread:
            run.read_on(READ_MAX_SECONDS)
            return 0.0
        run.failing = listing.failing
        if run.failing:
            self.failures += 1
            run.reads_on = True
            return self._behind_pause(run, listing)
        health_pause = freshness.pause(HEALTH_PAUSE, self._calls)
        run.saw_health = run.waits and run.pending and self._has_time(run, health_pause, HEALTH_FOR_SECONDS)
        return health_pause if run.saw_health else None

    def _draft(self, run: RefreshState, listing: Listing) -> Transformed:
        previous = run.stored.document
        tasks = [task for task in listing.tasks.values() if task.is_over or task.definition in listing.definitions]
        told_to_stop = freshness.told_to_stop(listing, run.batch.hints, previous)

        def draft(active: frozenset[str]) -> Transformed:
            return transform(
                tasks,
                listing.definitions,
                previous=previous,
                told_to_stop=told_to_stop,
                now=self._clock.now(),
                selection=self._selection,
                active=active,
                cache=self._transformed,
                in_doubt=self._view.in_doubt,
            )

        without_vanished = draft(frozenset())
        asked = scaled_to_zero.ecs_services_to_ask_for(
            previous, without_vanished.document, tasks, told_to_stop, self._selection
        )
        if not asked:
            return without_vanished
        active, calls = self._cluster.still_there(asked)
        self._calls += calls
        run.asked(calls)
        return draft(active)

    def _behind_pause(self, run: RefreshState, listing: Listing) -> float | None:
        pause = freshness.pause(run.behind_pause, listing.calls, BEHIND_CALLS_PER_SECOND)
        run.behind_pause = min(2 * run.behind_pause, 2.0)
        return pause if self._has_time(run, pause, BEHIND_FOR_SECONDS) else None

    def _has_time(self, run: RefreshState, pause: float, in_all: float) -> bool:
        now = self._clock.now()
        once_more = pause + (now - run.listed_at)
        return now + pause - run.started <= in_all and run.seconds_left() > RESERVED_SECONDS + once_more

    def _doubt(self, run: RefreshState, emptied: frozenset[str], listing: Listing) -> float:
        run.suspected = emptied
        run.doubts += 1
        if run.doubts > CONFIRM_TIMES:
            raise EmptyNotConfirmed(
                f"two listings in a row must agree on which services have no target left, got {run.doubts} that did "
                f"not, the last about {', '.join(sorted(emptied))}; the last good document stays"
            )
        log.info("no target left, listing again", services=sorted(emptied))
        return freshness.pause(CONFIRM_PAUSE, listing.calls, BEHIND_CALLS_PER_SECOND)
