"""The task of a service: made of an image, or given whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.service.containers import Serving, serving_container
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import MAX_STOP_SECONDS, Props

if TYPE_CHECKING:
    from cdk_grpc_lb.service.props import TaskProps

_CONTAINER = "App"
# From SIGTERM until no balancer sends a call any more takes about two seconds; the rest is for slow days.
_CALLS_STOP_SECONDS = 15
_DRAIN_SECONDS = 45


@dataclass(frozen=True, slots=True)
class Made:
    """A service's task definition, its container that takes the calls, and the log group where one is made."""

    definition: ecs.TaskDefinition
    serving: Serving
    log_group: logs.LogGroup | None = None


@dataclass(frozen=True, slots=True)
class OwnTask:
    """A task made of the props of a service."""

    given: TaskProps

    def check(self, props: Props, container_name: str | None) -> None:
        """Raise ValueError for what no deployment could take."""
        if container_name is not None:
            raise props.error("container_name", "left out, or given with a task_definition", repr(container_name))
        given = self.given
        if given.get("image") is None:
            raise props.error("image", "given, or a task_definition instead of it", None)
        if given.get("port") is None:
            raise props.error("port", "given with image: the port on which the container takes gRPC calls", None)
        props.whole_number("port", given.get("port"), 1, 65_535)
        props.fargate_size(self._cpu, self._memory)
        drain_time = given.get("drain_time")
        if drain_time is not None:
            props.seconds("drain_time", drain_time, 0, MAX_STOP_SECONDS - _CALLS_STOP_SECONDS)
        twice = sorted({*(given.get("environment") or ())} & {*(given.get("secrets") or ())})
        if twice:
            raise props.conflict(f"environment {twice[0]}", f"secrets {twice[0]}", "a variable has one value")
        if given.get("log_driver") is not None and given.get("log_retention") is not None:
            raise props.conflict("log_driver", "log_retention", "set the retention where the log driver writes to")
        if given.get("health_check") is not None and given.get("grpc_health_probe") is not None:
            raise props.conflict("health_check", "grpc_health_probe", "a container has one health check")
        probe = given.get("grpc_health_probe")
        if probe is not None and not is_unresolved(probe) and not probe.startswith("/"):
            raise props.error("grpc_health_probe", "the absolute path of grpc_health_probe in the image", repr(probe))

    def make(self, service: Construct) -> Made:
        image, port = self.given.get("image"), self.given.get("port")
        assert image is not None  # noqa: S101 - checked before
        assert port is not None  # noqa: S101 - likewise
        log_group = None
        log_driver = self.given.get("log_driver")
        if log_driver is None:
            retention = self.given.get("log_retention")
            log_group = logs.LogGroup(
                service, "Logs", retention=retention if retention is not None else logs.RetentionDays.ONE_MONTH
            )
            log_driver = calm_log_driver(log_group, "app")
        definition = ecs.FargateTaskDefinition(
            service,
            "TaskDefinition",
            cpu=self._cpu,
            memory_limit_mib=self._memory,
            runtime_platform=self.given.get("runtime_platform"),
        )
        container = definition.add_container(
            _CONTAINER,
            image=image,
            environment=dict(self.given.get("environment") or {}),
            secrets=dict(self.given.get("secrets") or {}),
            health_check=self._health_check,
            logging=log_driver,
            port_mappings=[ecs.PortMapping(container_port=port)],
            stop_timeout=self._stop_timeout,
        )
        return Made(definition, Serving(container, port), log_group)

    @property
    def _cpu(self) -> int:
        cpu = self.given.get("cpu")
        return cpu if cpu is not None else 256

    @property
    def _memory(self) -> int:
        memory = self.given.get("memory_limit_mib")
        return memory if memory is not None else 512

    @property
    def _stop_timeout(self) -> cdk.Duration:
        """The drain time and what comes before it, or the most there is for a time not known at synth."""
        drain_time = self.given.get("drain_time")
        if drain_time is None:
            return cdk.Duration.seconds(_DRAIN_SECONDS + _CALLS_STOP_SECONDS)
        if drain_time.is_unresolved():
            return cdk.Duration.seconds(MAX_STOP_SECONDS)
        return drain_time.plus(cdk.Duration.seconds(_CALLS_STOP_SECONDS))

    @property
    def _health_check(self) -> ecs.HealthCheck | None:
        probe, port = self.given.get("grpc_health_probe"), self.given.get("port")
        if probe is None:
            return self.given.get("health_check")
        port_text = cdk.Token.as_string(port) if is_unresolved(port) else str(port)
        return ecs.HealthCheck(
            command=["CMD", probe, f"-addr=localhost:{port_text}", "-rpc-timeout=2s"],
            # The shortest that ECS allows: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_HealthCheck.html
            interval=cdk.Duration.seconds(5),
            timeout=cdk.Duration.seconds(3),
            retries=3,
            start_period=cdk.Duration.seconds(30),
        )


def given_task(
    props: Props,
    definition: ecs.TaskDefinition,
    *,
    beside: OwnTask,
    container_name: str | None,
) -> Made:
    """A task definition that the user has made. Raises ValueError for one that cannot serve, and for props that say
    again what it says already.
    """
    for prop, value in beside.given.items():
        if prop != "port" and value is not None:
            fix = "a task definition says all about its containers; leave out either"
            raise props.conflict(prop, "task_definition", fix)
    if not isinstance(definition, ecs.TaskDefinition):
        raise props.error(
            "task_definition", "one made in this app, because its container gets labels", repr(definition)
        )
    if not definition.is_fargate_compatible:
        raise props.error(
            "task_definition", "one for Fargate (compatibility FARGATE or EC2_AND_FARGATE)", definition.node.path
        )
    return Made(
        definition, serving_container(props, definition, port=beside.given.get("port"), container_name=container_name)
    )
