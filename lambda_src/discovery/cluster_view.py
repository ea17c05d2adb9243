"""The cluster as ECS describes it: all of it every minute, and of a large one just what events tell of in between."""

from __future__ import annotations

import math
from collections.abc import Callable, Set
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from lambda_src import log
from lambda_src.clock import Clock, OutOfTime, SecondsLeft
from lambda_src.discovery import freshness
from lambda_src.discovery.definitions import Definitions
from lambda_src.discovery.ecs_listing import TASKS_PER_CALL, EcsCluster, Listing
from lambda_src.discovery.events import Batch
from lambda_src.discovery.tasks import RUNNING

WHOLE_EVERY_SECONDS = 90.0
"""The minute rule asks for all of it; where that is late, an event does."""

LARGE_FROM_TASKS = 100
"""What one call lists and one describes: less is not worth a second way. Of 5,000 tasks a listing makes 100 requests,
which is all that ECS allows at once: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/request-throttling.html"""

BACKLOG_FROM_SECONDS = 5.0
"""Events come within two seconds. Older ones have waited in the queue, as in a deployment of hundreds of tasks, and an
invocation gets ten of them at most: one listing knows what all of them tell, so that the rest are nothing new."""

BELIEVED_AFTER_SECONDS = 300.0
"""That ECS does not know a task which it lists is believed when it has said so for this long."""

RESERVED_SECONDS = 3.0
"""Of the invocation's time: with less left ECS is not asked, because there would be none to publish its answer."""

LISTED_FOR_SECONDS = 5.0
"""While task definitions are read for long, the tasks are listed again so often, for the sake of those that stop."""
LISTING_CALLS_PER_SECOND = freshness.CALLS_PER_SECOND / 2
"""A large cluster less often: no definition is read meanwhile, and ECS keeps a burst of its quota at most."""


class ClusterView:
    """Keeps the last view. `in_doubt` are the tasks that ECS lists and does not describe, not yet for long."""

    def __init__(self, cluster: EcsCluster, definitions: Definitions, clock: Clock) -> None:
        self._cluster = cluster
        self._definitions = definitions
        self._clock = clock
        self._last: Listing | None = None
        self._listed_at = 0.0
        self._contradicted: dict[str, float] = {}
        self.in_doubt: frozenset[str] = frozenset()

    def look(
        self,
        batch: Batch,
        known: Callable[[], Set[str]],
        seconds_left: SecondsLeft,
        *,
        whole: bool,
        reads_on: bool = False,
        read_for: float = math.inf,
    ) -> Listing:
        """All tasks, with the definitions of those that are not over. `known` are tasks to ask for that no list has any
        more. Of a large cluster, where it was listed not long ago, only the batch's tasks are asked for, unless it is
        to be the `whole` of it. Where the last view lacks definitions it `reads_on`, and lists again if that is due;
        definitions are read for `read_for` seconds.

        Raises `ListingFailed` or botocore's error where ECS fails, `OutOfTime` when the invocation ends before.
        """
        if seconds_left() < RESERVED_SECONDS:
            raise OutOfTime("no time was left to ask ECS; the next refresh continues")
        now = self._clock.now()
        last = None if whole or batch.asks_for_all else self._last
        if reads_on and self._last is not None and 0 <= now - self._listed_at < self._listed_for():
            listing = replace(self._last, calls=0, definition_calls=0, list_ms=0, describe_ms=0)
        elif last is not None and len(last.tasks) > LARGE_FROM_TASKS and self._is_recent(last, batch, now):
            listing = last.with_news(self._cluster.describe(batch.tasks))
            self._listed_at = now
        else:
            with ThreadPoolExecutor(1) as pool:
                loading = None if self._definitions.has_looked else pool.submit(self._definitions.load_saved)
                listing = self._cluster.read(lambda: batch.tasks | known(), at=now)
                if loading is not None:
                    loading.result()
            self._listed_at = now
        serving, running = known(), [task for task in listing.tasks.values() if not task.is_over]
        described = self._definitions.read(
            listing.definitions_in_use,
            seconds_left,
            needed=frozenset(task.definition for task in running if task.id in serving),
            soon=frozenset(task.definition for task in running if task.last_status == RUNNING),
            for_seconds=read_for,
        )
        if described.unreadable:
            arn, why = min(described.unreadable.items())
            log.warning("task definitions unreadable", count=len(described.unreadable), definition=arn, problem=why)
        self._doubt(listing.contradicted, now)
        self._last = replace(
            listing,
            definition_calls=described.calls,
            definitions=described.definitions,
            unread=described.unread,
            failing=described.failing,
        )
        return self._last

    def _is_recent(self, last: Listing, batch: Batch, now: float) -> bool:
        """Whether the last listing, with the news about the tasks of the batch, will do."""
        age = now - last.read_at
        has_backlog = batch.oldest is not None and now - batch.oldest > BACKLOG_FROM_SECONDS
        return 0 <= age < (self._listed_for() if has_backlog else WHOLE_EVERY_SECONDS)

    def _listed_for(self) -> float:
        calls = 0 if self._last is None else 2 * math.ceil(len(self._last.tasks) / TASKS_PER_CALL)
        return freshness.pause(LISTED_FOR_SECONDS, calls, LISTING_CALLS_PER_SECOND)

    def _doubt(self, contradicted: Set[str], now: float) -> None:
        self._contradicted = {task: self._contradicted.get(task, now) for task in contradicted}
        self.in_doubt = frozenset(
            task for task, since in self._contradicted.items() if now - since < BELIEVED_AFTER_SECONDS
        )
        if self.in_doubt:
            log.warning("tasks listed but not described", count=len(self.in_doubt), tasks=sorted(self.in_doubt)[:5])
