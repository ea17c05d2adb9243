"""ECS's services: each kept at its desired count, rolled over to new deployments, registered with its load balancers.

All of it on the ECS thread.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Iterable
from typing import Any, Protocol

from local_aws.behaviour.timings import DOCUMENTED
from local_aws.stand_in.ecs import records
from local_aws.stand_in.ecs.plan import Plan, TaskView, plan, restart_delay
from local_aws.stand_in.ecs.records import Record
from local_aws.stand_in.ecs.tasks import Tasks

log = logging.getLogger("local_aws")

EARLY_DEATH_SECONDS = 10


class ServiceStores(Protocol):
    """ministack's own stores, as far as services need them. All are of the calling account and region."""

    tasks: Any
    services: Any
    definitions: Any

    def refresh_counts(self, cluster: str, group: str) -> None: ...


class TargetGroups(Protocol):
    def register(self, service: Record, tasks: Iterable[Record]) -> None: ...
    def takes_in(self, service: Record, address: str) -> bool: ...
    def patience_seconds(self, service: Record) -> float: ...
    def deregistration_seconds(self, service: Record) -> float: ...


class Services:
    def __init__(self, stores: ServiceStores, tasks: Tasks, targets: TargetGroups) -> None:
        self._stores = stores
        self._tasks = tasks
        self._targets = targets
        self._failures: dict[str, int] = {}
        self._not_before: dict[str, float] = {}

    def task_changed(self, task: Record) -> None:
        """A change of a service's task may ask for another: looked at as soon as this change is done."""
        cluster = task["clusterArn"].rpartition("/")[2]
        self._stores.refresh_counts(cluster, task["group"])
        if task["lastStatus"] == records.STOPPED:
            self._count_failures(task)
        if (key := service_key(task)) in self._stores.services:
            self._register_targets(self._stores.services[key])
            asyncio.get_running_loop().call_soon(self.reconcile, key)

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
            self._tasks.stop(by_arn[arn], _stop_reason(by_arn[arn], primary), "ServiceSchedulerInitiated")
        self._start_missing(key, service, primary, next_step.start)
        self._stores.refresh_counts(key.partition("/")[0], f"service:{service['serviceName']}")

    def reconcile_all(self) -> None:
        for key in list(self._stores.services):
            self.reconcile(key)

    def show(self) -> list[dict[str, Any]]:
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

    def deregistration_seconds(self, task: Record) -> float:
        service = self._stores.services.get(service_key(task))
        if service is None or not service.get("loadBalancers"):
            return 0
        return DOCUMENTED.deregistration_share * self._targets.deregistration_seconds(service)

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
                    self._tasks.stop(task, "Task failed ELB health checks", "ServiceSchedulerInitiated")
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
            self._tasks.start(
                definition,
                cluster_arn=service["clusterArn"],
                group=group,
                started_by=primary["id"],
                launch_type=service.get("launchType") or "FARGATE",
                network=service.get("networkConfiguration"),
                deployment=primary["id"],
                execute_command=bool(service.get("enableExecuteCommand")),
            )

    def _count_failures(self, task: Record) -> None:
        if task["stopCode"] in ("EssentialContainerExited", "TaskFailedToStart"):
            lived = time.time() - (task["startedAt"] or time.time())
            failures = self._failures.get(task["group"], 0) + 1 if lived < EARLY_DEATH_SECONDS else 0
            self._failures[task["group"]] = failures
            self._not_before[task["group"]] = time.monotonic() + restart_delay(failures)

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


def service_key(task: Record) -> str:
    """CLUSTER/NAME, as ministack keeps services; of a task of no service, one that no service has."""
    kind, _, name = str(task["group"]).partition(":")
    return f"{task['clusterArn'].rpartition('/')[2]}/{name}" if kind == "service" else ""


def _stop_reason(task: Record, primary: Record) -> str:
    cause = "(deployment " + str(primary["id"]) + ")"
    return (
        f"Scaling activity initiated by {cause}" if task["_deployment_id"] == primary["id"] else f"Replaced by {cause}"
    )
