"""ECS: runs tasks as processes and keeps every service at its desired count. All of it on the ECS thread."""

from __future__ import annotations

import asyncio
import itertools
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

from local_aws.addresses import TASK_HOSTS
from local_aws.errors import LocalAwsError
from local_aws.stand_in import records
from local_aws.stand_in.plan import Plan, TaskView, plan, restart_delay
from local_aws.stand_in.records import Record
from local_aws.stand_in.settings import Settings
from local_aws.stand_in.task_run import TaskRun

log = logging.getLogger("local_aws")

STOPPED_TASKS_SHOWN_SECONDS = 3600  # ECS shows them for at least an hour
EARLY_DEATH_SECONDS = 10
DEREGISTRATION_SECONDS_AT_MOST = 1.0  # AWS waits for the target group's whole delay, 300 s by default


class Stores(Protocol):
    """ministack's own stores, as far as ECS here needs them. All are of the calling account and region."""

    tasks: Any
    services: Any
    definitions: Any

    def refresh_counts(self, cluster: str, group: str) -> None: ...
    def zone_of_subnet(self, subnet: str) -> str | None: ...


class TargetGroups(Protocol):
    def register(self, service: Record, tasks: Iterable[Record]) -> None: ...
    def takes_in(self, service: Record, address: str) -> bool: ...
    def patience_seconds(self, service: Record) -> float: ...
    def deregistration_seconds(self, service: Record) -> float: ...


class Ecs:
    def __init__(
        self, settings: Settings, stores: Stores, targets: TargetGroups, emit: Callable[[Record], None]
    ) -> None:
        self._settings = settings
        self._stores = stores
        self._targets = targets
        self._emit = emit
        self._runs: dict[str, TaskRun] = {}
        self._hosts = itertools.cycle(TASK_HOSTS)
        self._in_use: set[str] = set()
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}
        self._zones: dict[str, int] = {}

    # tasks

    def start_task(
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
            changed=self._changed,
            health_changed=self._health_changed,
            deregistration_seconds=self._deregistration_seconds,
        )
        return task

    def stop_task(self, task: Record, reason: str, code: str) -> None:
        run = self._runs.get(task["taskArn"])
        if run is not None:
            run.stop(reason, code)

    def kill_task(self, arn: str) -> None:
        run = self._runs.get(arn)
        if run is None:
            raise LocalAwsError(f"a task must be there to be killed, got {arn}; see: python -m local_aws tasks")
        run.kill()

    def task(self, reference: str) -> Record:
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

    def show_services(self) -> list[dict[str, Any]]:
        shown = []
        for service in self._stores.services.values():
            wanted = [task for task in self._tasks_of(service) if records.is_wanted(task)]
            steady = sum(self._is_steady(service, task) for task in wanted)
            shown.append(
                {
                    "name": service["serviceName"],
                    "desired": service["desiredCount"],
                    "running": sum(task["lastStatus"] == records.RUNNING for task in wanted),
                    "steady": steady == len(wanted) == service["desiredCount"],
                }
            )
        return shown

    def _changed(self, task: Record) -> None:
        self._emit(task)
        if task["lastStatus"] == records.STOPPED:
            self._forget(task)
        self._follow(task)

    def _health_changed(self, task: Record) -> None:
        self._follow(task)

    def _follow(self, task: Record) -> None:
        """A change of a service's task may ask for another: looked at as soon as this change is done."""
        cluster = task["clusterArn"].rpartition("/")[2]
        self._stores.refresh_counts(cluster, task["group"])
        if task["group"].startswith("service:"):
            key = f"{cluster}/{task['group'].partition(':')[2]}"
            if key in self._stores.services:
                self._register_targets(self._stores.services[key])
                asyncio.get_running_loop().call_soon(self.reconcile, key)

    def _forget(self, task: Record) -> None:
        self._runs.pop(task["taskArn"], None)
        self._in_use.discard(task["_address"])
        asyncio.get_running_loop().call_later(
            STOPPED_TASKS_SHOWN_SECONDS, self._stores.tasks.pop, task["taskArn"], None
        )
        if task["stopCode"] in ("EssentialContainerExited", "TaskFailedToStart"):
            lived = time.time() - (task["startedAt"] or time.time())
            failures = self._failures.get(task["group"], 0) + 1 if lived < EARLY_DEATH_SECONDS else 0
            self._failures[task["group"]] = failures
            self._not_before[task["group"]] = time.monotonic() + restart_delay(failures)

    def _next_address(self) -> str:
        for _ in TASK_HOSTS:  # in a circle, so that an address just left is not taken again at once
            address = self._settings.addresses.address(next(self._hosts))
            if address not in self._in_use:
                self._in_use.add(address)
                return address
        raise LocalAwsError(f"at most {len(TASK_HOSTS)} tasks fit on one machine's range of addresses")

    def _next_subnet(self, group: str, network: Mapping[str, Any]) -> tuple[str, str]:
        subnets = (network.get("awsvpcConfiguration") or {}).get("subnets") or ["subnet-00000000"]
        turn = self._zones[group] = self._zones.get(group, -1) + 1
        subnet = str(subnets[turn % len(subnets)])
        return subnet, self._stores.zone_of_subnet(subnet) or f"{self._settings.region}a"

    # services

    def reconcile(self, key: str) -> None:
        """Bring the service, by its key CLUSTER/NAME, nearer to what it should be."""
        service = self._stores.services.get(key)
        if service is None:
            return
        self._register_targets(service)
        primary = next((d for d in service["deployments"] if d["status"] == "PRIMARY"), None)
        if service["status"] != "ACTIVE" or primary is None:
            return
        self._stop_unhealthy_targets(key, service)
        tasks = [task for task in self._tasks_of(service) if records.is_wanted(task)]
        next_step = self._plan(service, primary, tasks)
        if next_step.completed and primary["rolloutState"] != "COMPLETED":
            primary |= {"rolloutState": "COMPLETED", "rolloutStateReason": "ECS deployment completed."}
        by_arn = {task["taskArn"]: task for task in tasks}
        for arn in next_step.stop:
            self.stop_task(by_arn[arn], _stop_reason(by_arn[arn], primary), "ServiceSchedulerInitiated")
        self._start_missing(key, service, primary, next_step.start)
        self._stores.refresh_counts(key.partition("/")[0], f"service:{service['serviceName']}")

    def _stop_unhealthy_targets(self, key: str, service: Record) -> None:
        """Stop a task that its load balancers took in once, and then found unhealthy for as long as AWS would wait."""
        grace = float(service.get("healthCheckGracePeriodSeconds") or 0)
        for task in self._tasks_of(service) if service.get("loadBalancers") else ():
            if self._targets.takes_in(service, task["_address"]):
                task["_taken_in"], task["_unhealthy_since"] = True, None
            elif task["_taken_in"] and records.is_wanted(task):
                since = task["_unhealthy_since"] = task["_unhealthy_since"] or time.time()
                due = max(since + self._targets.patience_seconds(service), task["startedAt"] + grace)
                if time.time() >= due:
                    self.stop_task(task, "Task failed ELB health checks", "ServiceSchedulerInitiated")
                else:
                    asyncio.get_running_loop().call_later(due - time.time() + 0.01, self.reconcile, key)

    def _plan(self, service: Record, primary: Record, tasks: Iterable[Record]) -> Plan:
        configuration = service.get("deploymentConfiguration") or {}
        views = [
            TaskView(
                task["taskArn"],
                current=task["_deployment_id"] == primary["id"],
                steady=self._is_steady(service, task),
                zone=task["availabilityZone"],
                created=task["createdAt"],
            )
            for task in tasks
        ]
        return plan(
            int(service["desiredCount"]),
            views,
            minimum_percent=int(configuration.get("minimumHealthyPercent", 100)),
            maximum_percent=int(configuration.get("maximumPercent", 200)),
        )

    def _start_missing(self, key: str, service: Record, primary: Record, count: int) -> None:
        group = f"service:{service['serviceName']}"
        wait = self._not_before.get(group, 0) - time.monotonic()
        if count and wait > 0:
            asyncio.get_running_loop().call_later(wait + 0.01, self.reconcile, key)
            return
        definition = self._stores.definitions.get(primary["taskDefinition"].rpartition("/")[2])
        if definition is None:
            log.error("task definition %s of service %s is gone", primary["taskDefinition"], key)
            return
        for _ in range(count):
            self.start_task(
                definition,
                cluster_arn=service["clusterArn"],
                group=group,
                started_by=primary["id"],
                launch_type=service.get("launchType") or "FARGATE",
                network=service.get("networkConfiguration"),
                deployment=primary["id"],
                execute_command=bool(service.get("enableExecuteCommand")),
            )

    def _tasks_of(self, service: Record) -> list[Record]:
        group = f"service:{service['serviceName']}"
        return [
            task
            for task in self._stores.tasks.values()
            if task["group"] == group
            and task["clusterArn"] == service["clusterArn"]
            and task["lastStatus"] != records.STOPPED
        ]

    def _is_steady(self, service: Record, task: Record) -> bool:
        definition = self._stores.definitions.get(task["taskDefinitionArn"].rpartition("/")[2]) or {}
        checked = any(container.get("healthCheck") for container in definition.get("containerDefinitions", ()))
        return bool(
            task["lastStatus"] == records.RUNNING
            and (not checked or task["healthStatus"] == "HEALTHY")
            and self._targets.takes_in(service, task["_address"])
        )

    def _register_targets(self, service: Record) -> None:
        if service.get("loadBalancers"):
            self._targets.register(service, self._tasks_of(service))

    def _deregistration_seconds(self, task: Record) -> float:
        key = f"{task['clusterArn'].rpartition('/')[2]}/{task['group'].partition(':')[2]}"
        service = self._stores.services.get(key)
        if service is None or not service.get("loadBalancers"):
            return 0
        return min(DEREGISTRATION_SECONDS_AT_MOST, self._targets.deregistration_seconds(service))

    def reconcile_all(self) -> None:
        for key in list(self._stores.services):
            self.reconcile(key)


def _stop_reason(task: Record, primary: Record) -> str:
    cause = "(deployment " + str(primary["id"]) + ")"
    return (
        f"Scaling activity initiated by {cause}" if task["_deployment_id"] == primary["id"] else f"Replaced by {cause}"
    )
