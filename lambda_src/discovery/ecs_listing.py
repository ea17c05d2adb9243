"""Fetch: every task of one cluster, whole or not at all."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError

from lambda_src import log
from lambda_src.discovery.tasks import UNREADABLE, Task, TaskDefinition, task_from, task_id

if TYPE_CHECKING:
    from mypy_boto3_ecs import ECSClient
    from mypy_boto3_ecs.type_defs import TaskTypeDef

# The most that ListTasks returns and DescribeTasks takes at once:
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_ListTasks.html and API_DescribeTasks.html
TASKS_PER_CALL = 100
DESCRIBES_AT_ONCE = 4
# https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_DescribeServices.html
SERVICES_PER_CALL = 10

# ECS refuses a whole DescribeTasks for one id that is none: 32 hex digits, or 36 characters in old accounts.
_TASK_ID = re.compile(r"[0-9a-f-]{32,36}")


_Described = tuple[dict[str, Task], set[str]]


class ListingFailed(RuntimeError):  # noqa: N818 - the name says what is the matter
    """ECS did not say all that was asked, so that what it said must not be taken for the whole."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The cluster at one moment: tasks by id, and their definitions by ARN.

    `listed` are the tasks whose desired status is RUNNING; `tasks` holds those asked for by name too. `missing` are
    those among them that ECS does not know (any more). `calls` counts the requests made for tasks, `definition_calls`
    those for definitions. `read_at` is when all tasks were listed, in seconds since 1970. Of the definitions in use,
    `unread` are those not read yet, `failing` those that ECS fails to describe just now.
    """

    tasks: Mapping[str, Task]
    missing: frozenset[str]
    listed: frozenset[str]
    calls: int
    list_ms: int
    describe_ms: int
    read_at: float = 0.0
    definitions: Mapping[str, TaskDefinition] = field(default_factory=dict)
    definition_calls: int = 0
    unread: frozenset[str] = frozenset()
    failing: frozenset[str] = frozenset()

    @property
    def contradicted(self) -> frozenset[str]:
        """Tasks that ECS lists, and does not know when it is asked for them."""
        return self.listed & self.missing

    @property
    def definitions_in_use(self) -> frozenset[str]:
        """Those of the tasks that are not over and may take part."""
        tasks = self.tasks.values()
        return frozenset(task.definition for task in tasks if not (task.is_over or task.is_of_managed_daemon))

    def with_news(self, news: Listing) -> Listing:
        """This listing with what was asked since about a few of its tasks."""
        tasks = {id_: task for id_, task in self.tasks.items() if id_ not in news.missing}
        tasks |= news.tasks
        return replace(
            news,
            tasks=tasks,
            missing=self.missing - news.tasks.keys() | news.missing,
            listed=self.listed - news.missing,
            read_at=self.read_at,
        )


class EcsCluster:
    """Reads listings of a cluster."""

    def __init__(self, ecs: ECSClient, cluster: str) -> None:
        self._ecs = ecs
        self._cluster = cluster

    @property
    def arn(self) -> str:
        return self._cluster

    def read(self, also: Callable[[], Set[str]] = frozenset, *, at: float = 0.0) -> Listing:
        """List and describe all tasks that are to run, and those with the ids `also`, which the list may leave out
        because they stop, or because it is not up to date. They are asked for once the tasks are listed.

        Raises `ListingFailed` or botocore's error where any page fails: a part of the tasks is no listing. `at` is the
        time, in seconds since 1970.
        """
        started = time.monotonic()
        listed, last = set[str](), set[str]()
        asked: list[Future[_Described]] = []
        pages = 0
        with ThreadPoolExecutor(DESCRIBES_AT_ONCE) as pool:
            for page in self._pages():
                # While a page is listed, the one before is described.
                asked += [pool.submit(self._describe_chunk, chunk) for chunk in _chunks(last)]
                last = page - listed
                listed |= page
                pages += 1
            at_describe = time.monotonic()
            last |= {one for one in also() - listed if _TASK_ID.fullmatch(one)}
            described = self._describe_chunks(pool, last)
        described += [future.result() for future in asked]
        return self._listing(described, frozenset(listed), pages, started, at_describe, at)

    def describe(self, tasks: Iterable[str]) -> Listing:
        """Describe these tasks alone. Raises as `read` does."""
        started = time.monotonic()
        wanted = [one for one in tasks if _TASK_ID.fullmatch(one)]
        with ThreadPoolExecutor(DESCRIBES_AT_ONCE) as pool:
            described = self._describe_chunks(pool, wanted)
        return self._listing(described, frozenset(), 0, started, started, 0.0)

    def describe_definition(self, arn: str) -> Mapping[str, Any]:
        """ECS's answer about one task definition. Raises botocore's error."""
        return self._ecs.describe_task_definition(taskDefinition=arn)

    def _listing(
        self,
        described: Sequence[_Described],
        listed: frozenset[str],
        pages: int,
        started: float,
        at_describe: float,
        at: float,
    ) -> Listing:
        tasks: dict[str, Task] = {}
        missing: set[str] = set()
        for found, gone in described:
            tasks |= found
            missing |= gone
        return Listing(
            tasks=tasks,
            missing=frozenset(missing),
            listed=listed,
            calls=pages + len(described),
            list_ms=_milliseconds(started, at_describe),
            describe_ms=_milliseconds(at_describe, time.monotonic()),
            read_at=at,
        )

    def still_there(self, services: Set[str]) -> tuple[frozenset[str], int]:
        """Those of these ECS services that are not known to be gone, and the number of requests made.

        Does not raise where ECS fails: what it does not say is in doubt, and this doubt must hold up no target.
        """
        names = sorted(services)
        gone: set[str] = set()
        chunks = [names[start : start + SERVICES_PER_CALL] for start in range(0, len(names), SERVICES_PER_CALL)]
        for chunk in chunks:
            try:
                answer = self._ecs.describe_services(cluster=self._cluster, services=chunk)
            except (BotoCoreError, ClientError) as error:
                log.warning("ecs services not described", services=chunk, problem=str(error))
                break
            gone |= {one["serviceName"] for one in answer["services"] if one["status"] != "ACTIVE"}
            gone |= {task_id(one["arn"]) for one in answer["failures"] if one.get("reason") == "MISSING"}
        return frozenset(services - gone), len(chunks)

    def _pages(self) -> Iterator[set[str]]:
        pages = self._ecs.get_paginator("list_tasks").paginate(
            cluster=self._cluster, desiredStatus="RUNNING", PaginationConfig={"PageSize": TASKS_PER_CALL}
        )
        for page in pages:
            yield {task_id(arn) for arn in page["taskArns"]}

    def _describe_chunks(self, pool: Executor, ids: Iterable[str]) -> list[_Described]:
        chunks = list(_chunks(ids))
        asked = [pool.submit(self._describe_chunk, chunk) for chunk in chunks[1:]]
        # The usual cluster has one chunk, and that needs no thread.
        return [*map(self._describe_chunk, chunks[:1]), *(future.result() for future in asked)]

    def _describe_chunk(self, ids: Sequence[str]) -> _Described:
        answer = self._ecs.describe_tasks(cluster=self._cluster, tasks=ids)
        found, unreadable = _read_each(answer["tasks"])
        failures = {task_id(failure.get("arn", "")): failure.get("reason") for failure in answer["failures"]}
        others = {one: reason for one, reason in failures.items() if reason != "MISSING"}
        if others:
            raise ListingFailed(f"describe tasks must fail for no task but those that are MISSING, got {others}")
        silent = set(ids) - found.keys() - failures.keys() - unreadable
        if silent:
            raise ListingFailed(f"describe tasks must answer for each task, got nothing about {sorted(silent)}")
        return found, unreadable | failures.keys()


def _read_each(described: Iterable[TaskTypeDef]) -> tuple[dict[str, Task], set[str]]:
    """The tasks, and the ids of those that cannot be read: like one that ECS does not know, each is doubted alone."""
    found: dict[str, Task] = {}
    unreadable: set[str] = set()
    for one in described:
        try:
            task = task_from(one)
        except UNREADABLE as error:
            log.error("task not readable", task=str(one.get("taskArn")), problem=f"{type(error).__name__}: {error}")
            unreadable.add(task_id(str(one.get("taskArn"))))
        else:
            found[task.id] = task
    return found, unreadable


def _chunks(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    ordered = sorted(ids)
    for start in range(0, len(ordered), TASKS_PER_CALL):
        yield ordered[start : start + TASKS_PER_CALL]


def _milliseconds(start: float, end: float) -> int:
    return round((end - start) * 1000)
