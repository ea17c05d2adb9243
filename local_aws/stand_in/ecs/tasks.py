"""ECS's tasks: started as processes, told to stop, killed, shown. All of it on the ECS thread."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from local_aws.addresses import TASK_HOSTS
from local_aws.behaviour.history import History
from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs import records
from local_aws.stand_in.ecs.records import Record, shown
from local_aws.stand_in.ecs.task_run import TaskRun
from local_aws.stand_in.settings import Settings

STOPPED_TASKS_SHOWN_SECONDS = 3600  # ECS shows them for at least an hour


class TaskStores(Protocol):
    """ministack's own stores, as far as tasks need them. All are of the calling account and region."""

    tasks: Any
    definitions: Any

    def zone_of_subnet(self, subnet: str) -> str | None: ...


class Followers(Protocol):
    """Who acts on a change of a task, and knows how long its load balancers need to let go of it."""

    def task_changed(self, task: Record) -> None: ...
    def deregistration_seconds(self, task: Record) -> float: ...


class Tasks:
    followers: Followers

    def __init__(
        self,
        settings: Settings,
        stores: TaskStores,
        emit: Callable[[Record], None],
        start_seconds: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._emit = emit
        self._start_seconds = start_seconds
        self._runs: dict[str, TaskRun] = {}
        self._hosts = itertools.cycle(TASK_HOSTS)
        self._in_use: set[str] = set()
        self._turns: dict[str, int] = {}
        self.history = History()

    def start(
        self,
        definition: Mapping[str, Any],
        *,
        cluster_arn: str,
        group: str,
        started_by: str,
        launch_type: str = "FARGATE",
        network: Mapping[str, Any] | None = None,
        **more: Any,
    ) -> Record:
        """A new task, PROVISIONING; it goes on by itself."""
        subnet, zone = self._next_subnet(group, network or {})
        task = records.new_task(
            definition,
            cluster_arn=cluster_arn,
            group=group,
            started_by=started_by,
            launch_type=launch_type,
            address=self._next_address(),
            subnet=subnet,
            zone=zone,
            **more,
        )
        self._stores.tasks[task["taskArn"]] = task
        self._runs[task["taskArn"]] = TaskRun(
            task,
            definition,
            self._settings,
            start_seconds=self._start_seconds(),
            changed=self._changed,
            health_changed=self.followers.task_changed,
            deregistration_seconds=self.followers.deregistration_seconds,
        )
        return task

    def stop(self, task: Record, reason: str, code: str) -> None:
        run = self._runs.get(task["taskArn"])
        if run is not None:
            run.stop(reason, code)

    def kill(self, arn: str) -> None:
        run = self._runs.get(arn)
        if run is None:
            raise LocalAwsError(f"a task must be there to be killed, got {arn}; see: python -m local_aws tasks")
        run.kill()

    def find(self, reference: str) -> Record:
        """By ARN or id."""
        for arn, task in self._stores.tasks.items():
            if reference in (arn, records.task_id(task)):
                return dict(task)
        raise LocalAwsError(f"a task must be named by its ARN or id, got {reference}; see: python -m local_aws tasks")

    def show(self) -> list[dict[str, Any]]:
        """Every task with what a demo or a person needs to find and hurt it."""
        return [
            {
                "arn": task["taskArn"],
                "id": records.task_id(task),
                "service": str(task["group"]).partition(":")[2],
                "ip": task["_address"],
                "zone": task["availabilityZone"],
                "last_status": task["lastStatus"],
                "desired_status": task["desiredStatus"],
                "health": task["healthStatus"],
                "version": task["version"],
                "created_at": task["createdAt"],
                "started_at": task["startedAt"],
                "stopped_at": task["stoppedAt"],
                "stop_code": task["stopCode"],
                "stopped_reason": task["stoppedReason"],
                "exit_codes": {c["name"]: c["exitCode"] for c in task["containers"] if "exitCode" in c},
                "task_definition": task["taskDefinitionArn"],
                "environment": self._declared_environment(task),
                "pid": next(iter(task["_pids"].values()), None),
                "pids": dict(task["_pids"]),
                "log": f"{self._settings.logs}/{records.task_id(task)}.log",
            }
            for task in self._stores.tasks.values()
        ]

    def _declared_environment(self, task: Record) -> dict[str, str]:
        definition = self._stores.definitions.get(task["taskDefinitionArn"].rpartition("/")[2]) or {}
        containers = definition.get("containerDefinitions", ())
        return {str(v["name"]): str(v["value"]) for c in containers for v in c.get("environment") or ()}

    def _changed(self, task: Record) -> None:
        self.history.put(task["taskArn"], shown(task), time.time())
        self._emit(task)
        if task["lastStatus"] == records.STOPPED:
            self._runs.pop(task["taskArn"], None)
            self._in_use.discard(task["_address"])
            later = asyncio.get_running_loop().call_later
            later(STOPPED_TASKS_SHOWN_SECONDS, self._stores.tasks.pop, task["taskArn"], None)
        self.followers.task_changed(task)

    def _next_address(self) -> str:
        for _ in TASK_HOSTS:  # in a circle, so that an address just left is not taken again at once
            address = self._settings.addresses.address(next(self._hosts))
            if address not in self._in_use:
                self._in_use.add(address)
                return address
        raise LocalAwsError(f"at most {len(TASK_HOSTS)} tasks fit on one machine's range of addresses")

    def _next_subnet(self, group: str, network: Mapping[str, Any]) -> tuple[str, str]:
        subnets = (network.get("awsvpcConfiguration") or {}).get("subnets") or ["subnet-00000000"]
        turn = self._turns[group] = self._turns.get(group, -1) + 1
        subnet = str(subnets[turn % len(subnets)])
        return subnet, self._stores.zone_of_subnet(subnet) or f"{self._settings.region}a"
