"""The task of a service: made of an image, or given whole."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.service.containers import Serving, serving_container
from cdk_grpc_lb.validation import MAX_STOP_SECONDS, Props

_CONTAINER = "App"
# From SIGTERM until no balancer sends a call any more takes about two seconds; the rest is for slow days.
_CALLS_STOP_SECONDS = 15


@dataclass(frozen=True, slots=True)
class Made:
    """A service's task definition, its container that takes the calls, and the log group where one is made."""

    definition: ecs.TaskDefinition
    serving: Serving
    log_group: logs.LogGroup | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class OwnTask:
    """The props of a service that say what its task is made of; None stands for the default."""

    image: ecs.ContainerImage | None
    port: int | None
    cpu: int | None
    memory_limit_mib: int | None
    runtime_platform: ecs.RuntimePlatform | None
    environment: Mapping[str, str] | None
    secrets: Mapping[str, ecs.Secret] | None
    health_check: ecs.HealthCheck | None
    grpc_health_probe: str | None
    drain_time: cdk.Duration | None
    log_driver: ecs.LogDriver | None
    log_retention: logs.RetentionDays | None

    def check(self, props: Props, container_name: str | None) -> None:
        """Raise ValueError for what no deployment could take."""
        if container_name is not None:
            raise props.error("container_name", "left out, or given with a task_definition", repr(container_name))
        if self.image is None:
            raise props.error("image", "given, or a task_definition instead of it", None)
        if self.port is None:
            raise props.error("port", "given with image: the port on which the container takes gRPC calls", None)
        props.whole_number("port", self.port, 1, 65_535)
        props.fargate_size(self._cpu, self._memory)
        props.seconds("drain_time", self._drain_time, 0, MAX_STOP_SECONDS - _CALLS_STOP_SECONDS)
        twice = sorted({*(self.environment or ())} & {*(self.secrets or ())})
        if twice:
            raise props.conflict(f"environment {twice[0]}", f"secrets {twice[0]}", "a variable has one value")
        if self.log_driver is not None and self.log_retention is not None:
            raise props.conflict("log_driver", "log_retention", "set the retention where the log driver writes to")
        if self.health_check is not None and self.grpc_health_probe is not None:
            raise props.conflict("health_check", "grpc_health_probe", "a container has one health check")
        probe = self.grpc_health_probe
        if probe is not None and not cdk.Token.is_unresolved(probe) and not probe.startswith("/"):
            raise props.error("grpc_health_probe", "the absolute path of grpc_health_probe in the image", repr(probe))

    def make(self, service: Construct) -> Made:
        assert self.image is not None  # noqa: S101 - checked before
        assert self.port is not None  # noqa: S101 - likewise
        log_group = None
        log_driver = self.log_driver
        if log_driver is None:
            retention = self.log_retention if self.log_retention is not None else logs.RetentionDays.ONE_MONTH
            log_group = logs.LogGroup(service, "Logs", retention=retention)
            log_driver = calm_log_driver(log_group, "app")
        definition = ecs.FargateTaskDefinition(
            service,
            "TaskDefinition",
            cpu=self._cpu,
            memory_limit_mib=self._memory,
            runtime_platform=self.runtime_platform,
        )
        container = definition.add_container(
            _CONTAINER,
            image=self.image,
            environment=dict(self.environment or {}),
            secrets=dict(self.secrets or {}),
            health_check=self._health_check,
            logging=log_driver,
            port_mappings=[ecs.PortMapping(container_port=self.port)],
            stop_timeout=self._stop_timeout,
        )
        return Made(definition, Serving(container, self.port), log_group)

    @property
    def _cpu(self) -> int:
        return self.cpu if self.cpu is not None else 256

    @property
    def _memory(self) -> int:
        return self.memory_limit_mib if self.memory_limit_mib is not None else 512

    @property
    def _drain_time(self) -> cdk.Duration:
        return self.drain_time if self.drain_time is not None else cdk.Duration.seconds(45)

    @property
    def _stop_timeout(self) -> cdk.Duration:
        """The drain time and what comes before it, or the most there is for a time not known at synth."""
        if self._drain_time.is_unresolved():
            return cdk.Duration.seconds(MAX_STOP_SECONDS)
        return self._drain_time.plus(cdk.Duration.seconds(_CALLS_STOP_SECONDS))

    @property
    def _health_check(self) -> ecs.HealthCheck | None:
        if self.grpc_health_probe is None:
            return self.health_check
        port = cdk.Token.as_string(self.port) if cdk.Token.is_unresolved(self.port) else str(self.port)
        return ecs.HealthCheck(
            command=["CMD", self.grpc_health_probe, f"-addr=localhost:{port}", "-rpc-timeout=2s"],
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
    for prop in beside.__dataclass_fields__:
        if prop != "port" and getattr(beside, prop) is not None:
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
    return Made(definition, serving_container(props, definition, port=beside.port, container_name=container_name))
