"""How long a refresh takes under AWS's latencies and quotas, cold and warm, by the number of tasks.

    python benchmarks/aws_latency.py [--tasks 100 500 1000 5000] [--megabytes 512 1024 1769] [--saved]

The Lambda's real handler runs in a process of its own with the CPU that its memory buys on Lambda, and is killed at its
timeout; ECS and SSM are a fake behind real HTTP, with a latency of 50 ms and a tail, and AWS's default quotas. Up to
1,000 services have the tasks, each with a task definition of its own.

* `first document`: from the first invocation until targets are published, and how many; `whole`: until all are.
* `quotas alone`: what the whole takes where AWS answers at once and nothing is computed: the longest of ECS's
  definitions (50, then 20/s), ECS's lists and descriptions (100, then 20/s) and SSM's writes (3, then 3/s).
* `second cold`: a new process refreshes for one stopped task; the document and the saved definitions are there, as they
  are for every new process but the first ever. `--saved` measures these alone: what the first refresh leaves is made
  in virtual time, by the same handler.
* `warm`: a refresh for one stopped task. Medians; what Lambda bills, until the handler returns.

The second table has a row for each bound. The first refresh ever of 1,000 services cannot meet its own: ECS's quota
alone takes 47.5 s with one definition a service. docs/operate/deployed.md says what happens meanwhile.

Times are this machine's: its CPU is not Lambda's, and on a busy one they grow; `load` is the processes that wanted it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import logging
import math
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from grpc_lb_contract import Document, DocumentError, Index, assemble, index_parameter, read_index, shard_parameter
from lambda_src.discovery.ecs_listing import TASKS_PER_CALL
from local_aws.behaviour.edge import Edge
from local_aws.behaviour.function import Function, Invocation
from local_aws.behaviour.http_server import serving
from local_aws.behaviour.timings import DEFINITION_READS, DOCUMENTED, ECS_READS, PARAMETER_WRITES, Profile
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import CLUSTER, PREFIX, REGION, Answer, FakeAws, Json, Time, task_arn

# As the constructs set them (cdk_grpc_lb/balancer/target_sync.py).
MEGABYTES, TIMEOUT_SECONDS, VISIBILITY_SECONDS = 1769, 60.0, 180.0
MAX_SERVICES = 1000
MAX_INVOCATIONS = 10
WARM_TIMES = 5
PAUSE_SECONDS = 1.5
"""Between refreshes: the function counts for itself what SSM still lets it write, by its own clock."""
MINUTE = {"detail-type": "Scheduled Event", "source": "aws.events"}


@dataclass
class Watched:
    """A fake AWS that notes when which targets are published. `skipped` seconds were not waited for."""

    aws: FakeAws = field(default_factory=FakeAws)
    skipped: float = 0.0
    published: list[tuple[float, int]] = field(default_factory=list)

    def now(self) -> float:
        return time.monotonic() + self.skipped

    def answer(self, operation: str, parameters: Json) -> Answer:
        answer = self.aws.answer(operation, parameters)
        if operation == "PutParameter" and parameters["Name"] == index_parameter(PREFIX):
            self.published.append((self.now(), sum(len(service.targets) for service in self._document().services)))
        return answer

    def index(self) -> Index:
        return read_index(self.aws.parameters[index_parameter(PREFIX)])

    def _document(self) -> Document:
        try:
            index = self.index()
            return assemble(index, {name: self.aws.parameters[shard_parameter(PREFIX, name)] for name in index.shards})
        except (DocumentError, KeyError):
            return Document()


@dataclass(frozen=True, slots=True)
class Figures:
    """Seconds, from the first invocation on; None where it never came. `first` is the first document, with
    `first_targets` in it, `whole` the one with every task, `quotas` what AWS's quotas alone make of that.
    """

    megabytes: int
    tasks: int
    services: int
    init: float
    first: float | None
    first_targets: int
    whole: float | None
    quotas: float
    invocations: tuple[Invocation, ...]
    calls: int
    throttled: int
    second: Invocation | None
    warm: tuple[Invocation, ...]

    def seconds_of(self, refresh: str) -> float | None:
        """By the name that its bound has; None where it was not measured."""
        if refresh == "first ever, whole list":
            return self.whole
        if refresh == "warm, one stop":
            return statistics.median(one.seconds for one in self.warm) if self.warm else None
        return None if self.second is None else self.second.seconds

    def row(self) -> list[str]:
        killed = sum(one.killed for one in self.invocations)
        failed = sum(one.error is not None for one in self.invocations) - killed
        never = "never" if self.invocations else "-"
        return [
            f"{self.megabytes:,}",
            f"{self.tasks:,}",
            f"{self.services:,}",
            f"{self.init:.1f}",
            never if self.first is None else f"{self.first:.1f} ({self.first_targets:,})",
            never if self.whole is None else f"{self.whole:.1f}",
            f"{self.quotas:.1f}",
            f"{len(self.invocations)} ({killed} killed, {failed} failed)",
            f"{self.calls:,} ({self.throttled:,})",
            f"{sum(one.cpu_seconds for one in self.invocations):.2f}",
            f"{self.second.seconds:.2f} ({self.second.cpu_seconds:.2f})" if self.second is not None else "-",
            f"{statistics.median(one.seconds for one in self.warm):.2f}" if self.warm else "-",
            f"{statistics.median(one.cpu_seconds for one in self.warm):.3f}" if self.warm else "-",
            f"{os.getloadavg()[0]:.0f}",
        ]


@dataclass(frozen=True, slots=True)
class Bound:
    """Seconds that a refresh may take at a number of tasks, None for no bound."""

    refresh: str
    tasks: int
    seconds: float | None


BOUNDS = (
    Bound("first ever, whole list", 100, 3.0),
    Bound("first ever, whole list", 1000, 15.0),
    Bound("new process, definitions saved", 1000, 15.0),
    Bound("new process, definitions saved", 5000, None),
    Bound("warm, one stop", 500, 0.3),
    Bound("warm, one stop", 5000, 1.5),
)


def rows_of_bounds(figures: Sequence[Figures]) -> list[list[str]]:
    """What was measured beside its bound, and as a part of it."""
    rows = []
    for bound, one in itertools.product(BOUNDS, figures):
        measured = one.seconds_of(bound.refresh) if one.tasks == bound.tasks else None
        if measured is not None:
            allowed = ["-", "-"] if bound.seconds is None else [f"{bound.seconds:g}", f"{measured / bound.seconds:.2f}"]
            rows.append([bound.refresh, f"{one.megabytes:,}", f"{one.tasks:,}", f"{measured:.2f}", *allowed])
    return rows


BOUND_COLUMNS = ["refresh", "MB", "tasks", "s", "bound s", "part of it"]

COLUMNS = [
    "MB",
    "tasks",
    "services",
    "init s",
    "first document s (targets)",
    "whole s",
    "quotas alone s",
    "invocations",
    "calls (throttled)",
    "CPU s",
    "second cold s (CPU s)",
    "warm s",
    "warm CPU s",
    "load",
]


def seconds_by_quotas(tasks: int, services: int, writes: int) -> float:
    """What a first refresh takes where only AWS's quotas do: each has a bucket of its own."""
    asked = {DEFINITION_READS: services, ECS_READS: 2 * math.ceil(tasks / TASKS_PER_CALL), PARAMETER_WRITES: writes}
    return max(max(0.0, count - quota.burst) / quota.per_second for quota, count in asked.items())


def measure(
    tasks: int,
    *,
    megabytes: int = MEGABYTES,
    timeout_seconds: float = TIMEOUT_SECONDS,
    profile: Profile = DOCUMENTED,
    seed: int = 1,
    most_invocations: int = MAX_INVOCATIONS,
    warm_times: int = WARM_TIMES,
    pause_seconds: float = PAUSE_SECONDS,
    saved: bool = False,
) -> Figures:
    """A first refresh of a cluster from nothing, or with `saved` in virtual time, then refreshes for one stopped task
    each: warm ones, and one in a new process.
    """
    services = min(tasks, MAX_SERVICES)
    watched, edge = Watched(), Edge(profile, seed)
    aws = watched.aws
    for number in range(services):
        aws.define(f"s{number}", labels={"grpc-lb.enable": "true", "grpc-lb.hosts": f"s{number}.internal"})
        aws.services[f"s{number}"] = "ACTIVE"
    ids = [_run(aws, n + 1, f"s{n % services}") for n in range(tasks)]
    with serving(watched.answer, edge, watched.now) as endpoint, tempfile.TemporaryDirectory() as folder:
        environment = {
            "PATH": "/usr/bin:/bin",
            "PYTHONPATH": str(Path(__file__).resolve().parent.parent),
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ACCESS_KEY_ID": "none",
            "AWS_SECRET_ACCESS_KEY": "none",
            "GRPC_LB_CLUSTER": CLUSTER,
            "GRPC_LB_PARAMETER_PREFIX": PREFIX,
        }
        log = Path(folder) / "function.log"
        function = Function(
            "lambda_src.handler.handler", environment, megabytes=megabytes, timeout_seconds=timeout_seconds, log=log
        )
        try:
            cold = _in_virtual_time(watched) if saved else _until_whole(function, watched, tasks, most_invocations)
            calls, throttled = sum(edge.quotas.asked.values()), sum(edge.quotas.throttled.values())
            started, published = cold.started, list(watched.published)
            is_whole = saved or (bool(published) and published[-1][1] == tasks)
            parameters = len(watched.index().shards) + 1 if is_whole else 0
            if saved:
                # The first of a process finds nothing that it did before.
                _refreshes(function, aws, ids[-1:], watched, pause_seconds)
            warm = _refreshes(function, aws, ids[:warm_times], watched, pause_seconds) if is_whole else ()
            function.stop()
            second = (
                _refreshes(function, aws, ids[warm_times : warm_times + 1], watched, pause_seconds) if is_whole else ()
            )
        finally:
            function.stop()
    return Figures(
        megabytes,
        tasks,
        services,
        init=(cold.invocations or second)[0].init_seconds,
        first=published[0][0] - started if published else None,
        first_targets=published[0][1] if published else 0,
        whole=published[-1][0] - started if published and is_whole else None,
        quotas=seconds_by_quotas(tasks, services, parameters),
        invocations=tuple(cold.invocations),
        calls=calls,
        throttled=throttled,
        second=second[0] if second else None,
        warm=warm,
    )


def _run(aws: FakeAws, number: int, service: str) -> str:
    """A task whose id is as random as ECS's: how well documents are compressed depends on it."""
    task = aws.tasks.pop(aws.run(number, family=service, service=service))
    id_ = hashlib.md5(str(number).encode(), usedforsecurity=False).hexdigest()
    aws.tasks[id_] = task | {"taskArn": task_arn(id_)}
    return id_


@dataclass
class _Cold:
    started: float
    invocations: list[Invocation] = field(default_factory=list)


def _until_whole(function: Function, watched: Watched, tasks: int, most_invocations: int) -> _Cold:
    cold = _Cold(watched.now())
    while len(cold.invocations) < most_invocations:
        invocation = function.invoke(_batch(MINUTE))
        if not cold.invocations:
            cold.started += invocation.init_seconds
        cold.invocations.append(invocation)
        if watched.published and watched.published[-1][1] == tasks:
            break
        # The queue gives a batch back after its time; else the minute rule comes next.
        until_minute = 60.0 - (watched.now() - cold.started) % 60.0
        watched.skipped += VISIBILITY_SECONDS if invocation.error is not None else until_minute
    return cold


def _in_virtual_time(watched: Watched) -> _Cold:
    logger, sync = logging.getLogger("grpc_lb.sync"), Sync(watched.aws, Time(now=time.time()))
    logger.disabled = True
    sync.minute()
    logger.disabled = False
    return _Cold(watched.now())


def _refreshes(
    function: Function, aws: FakeAws, ids: Sequence[str], watched: Watched, pause_seconds: float
) -> tuple[Invocation, ...]:
    invocations = []
    for task in ids:
        watched.skipped += 30.0
        time.sleep(pause_seconds)
        aws.stop(task)
        invocations.append(function.invoke(_batch(aws.event(task))))
    return tuple(invocations)


def _batch(event: Any) -> Json:
    return {"Records": [{"messageId": "1", "receiptHandle": "1", "body": json.dumps(event)}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, nargs="+", default=[100, 500, 1000, 5000], help="default: %(default)s")
    parser.add_argument(
        "--megabytes", type=int, nargs="+", default=[MEGABYTES], help="the function's memory; default: %(default)s"
    )
    parser.add_argument("--seed", type=int, default=1, help="of latencies; default: %(default)s")
    parser.add_argument("--saved", action="store_true", help="leave out the first refresh of all")
    options = parser.parse_args()
    every: list[Figures] = []
    print("| " + " | ".join(COLUMNS) + " |\n|" + "---|" * len(COLUMNS), flush=True)
    for megabytes, tasks in itertools.product(options.megabytes, options.tasks):
        figures = measure(tasks, megabytes=megabytes, seed=options.seed, saved=options.saved)
        every.append(figures)
        print("| " + " | ".join(figures.row()) + " |", flush=True)
        for number, one in enumerate(figures.invocations, start=1):
            if one.error is not None:
                print(f"{tasks:,} tasks, invocation {number}: {one.error}", file=sys.stderr)
    print("\n| " + " | ".join(BOUND_COLUMNS) + " |\n|" + "---|" * len(BOUND_COLUMNS))
    for row in rows_of_bounds(every):
        print("| " + " | ".join(row) + " |")


if __name__ == "__main__":
    main()
