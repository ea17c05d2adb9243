"""The balancer's task: how large it is, what it runs, and what that is told."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.balancer.draining import Drain
from cdk_grpc_lb.balancer.image import (
    CALLS_PORT,
    CONTAINER,
    PARAMETER_PREFIX,
    READY_PORT,
    STATE_DIR,
    USER,
    WEB_PORT,
    XDS_PORT,
    built_image,
    check_image,
)
from cdk_grpc_lb.balancer.task_settings import DEFAULT_CPU, DEFAULT_MEMORY_MIB, PROXYLESS_MEMORY_MIB, Running
from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.monitoring.access_log import AccessLog, access_log_environment, check_access_log
from cdk_grpc_lb.monitoring.call_metrics import MetricsSource
from cdk_grpc_lb.monitoring.call_statistics import call_statistics_environment, check_call_statistics
from cdk_grpc_lb.monitoring.tracing import Tracing, balancer_cpu, balancer_memory, check_tracing, tracing_environment
from cdk_grpc_lb.nag import ANY_RESOURCE, acknowledge
from cdk_grpc_lb.validation import Props

_PROXYLESS_CPU = 256
_HEALTH_INTERVAL, _HEALTH_TIMEOUT = cdk.Duration.seconds(10), cdk.Duration.seconds(5)
_X86_64, _LINUX = ecs.CpuArchitecture.X86_64, ecs.OperatingSystemFamily.LINUX


@dataclass(frozen=True, slots=True, kw_only=True)
class BalancerTask:
    """The props of a balancer that say how its tasks are made, None standing for the default."""

    has_envoy: bool
    cpu: int | None
    memory_limit_mib: int | None
    architecture: ecs.CpuArchitecture | None
    image: ecs.ContainerImage | None
    image_build_args: Mapping[str, str] | None
    drain: Drain
    polling: Mapping[str, str]
    """The image's own settings for it."""
    tracing: Tracing | None
    access_log: AccessLog | None
    call_statistics: str | None
    published: MetricsSource
    client_addresses: bool
    running: Running

    def check(self, props: Props) -> None:
        """Raise ValueError for what Fargate does not run, or the image would refuse when it starts."""
        props.fargate_size(self.resolved_cpu, self.resolved_memory_mib)
        if self.tracing is not None:
            check_tracing(props, self.tracing, self.resolved_memory_mib)
        if self.access_log is not None:
            check_access_log(props, self.access_log)
        check_call_statistics(props, self.call_statistics)
        self.running.check(props)
        check_image(props, self.image, self.image_build_args)

    @property
    def resolved_cpu(self) -> int:
        if self.cpu is not None:
            return self.cpu
        return DEFAULT_CPU if self.has_envoy else _PROXYLESS_CPU

    @property
    def resolved_memory_mib(self) -> int:
        if self.memory_limit_mib is not None:
            return self.memory_limit_mib
        return DEFAULT_MEMORY_MIB if self.has_envoy else PROXYLESS_MEMORY_MIB

    def make_definition(self, balancer: Construct) -> ecs.FargateTaskDefinition:
        definition = ecs.FargateTaskDefinition(
            balancer,
            "TaskDefinition",
            cpu=self.resolved_cpu,
            memory_limit_mib=self.resolved_memory_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=self.architecture if self.architecture is not None else _X86_64,
                operating_system_family=_LINUX,
            ),
            volumes=[ecs.Volume(name="state")],
        )
        acknowledge(
            definition,
            {
                "ECS2": "the balancer's settings are no secrets",
                ANY_RESOURCE: "the token to pull images with belongs to no repository",
            },
        )
        return definition

    def image_for(self, balancer: Construct, props: Props, definition: ecs.FargateTaskDefinition) -> ecs.ContainerImage:
        """The image that is given, or one that is built."""
        if self.image is not None:
            return self.image
        return built_image(balancer, props, definition, self.image_build_args, self.architecture)

    def make_container(
        self,
        balancer: Construct,
        definition: ecs.FargateTaskDefinition,
        *,
        image: ecs.ContainerImage,
        parameter_prefix: str,
        log_group: logs.ILogGroup,
        is_asked_for_readiness: bool,
    ) -> ecs.ContainerDefinition:
        """The hardened container: not root, no capabilities, a read-only file system but for its state (invariant 12).

        :param parameter_prefix: Where the target document is.
        :param is_asked_for_readiness: Whether ECS has to know that a task is ready, as no load balancer asks.
        """
        linux = ecs.LinuxParameters(balancer, "LinuxParameters")
        linux.drop_capabilities(ecs.Capability.ALL)
        container = definition.add_container(
            CONTAINER,
            image=image,
            environment={PARAMETER_PREFIX: parameter_prefix, **self._environment},
            cpu=balancer_cpu(self.tracing, self.resolved_cpu),
            memory_limit_mib=balancer_memory(self.tracing, self.resolved_memory_mib),
            logging=calm_log_driver(log_group, "balancer"),
            user=USER,
            readonly_root_filesystem=True,
            linux_parameters=linux,
            stop_timeout=self.drain.stop_timeout,
            # It asks the image's first process and Envoy, never the control plane (invariant 6).
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-m", "proxy_image.health", *["--ready"] * is_asked_for_readiness],
                interval=_HEALTH_INTERVAL,
                timeout=_HEALTH_TIMEOUT,
                retries=3,
                start_period=cdk.Duration.seconds(180 if is_asked_for_readiness else 30),
            ),
            port_mappings=[ecs.PortMapping(container_port=port) for port in self._ports],
            # A caller's connection and the one to its target are a descriptor each. 65,535 is Fargate's own limit,
            # written down: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Ulimit.html
            ulimits=[ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=65_535, hard_limit=65_535)],
        )
        container.add_mount_points(ecs.MountPoint(container_path=STATE_DIR, source_volume="state", read_only=False))
        return container

    @property
    def _environment(self) -> dict[str, str]:
        return {
            **self.drain.environment,
            **self.polling,
            **tracing_environment(self.tracing),
            **access_log_environment(self.access_log),
            **call_statistics_environment(self.call_statistics),
            **self.published.environment,
            **self.running.environment(self.resolved_cpu, has_envoy=self.has_envoy),
            **({"GRPC_LB_PROXY_PROTOCOL": "true"} if self.client_addresses else {}),
        }

    @property
    def _ports(self) -> tuple[int, ...]:
        return (*((CALLS_PORT,) if self.has_envoy else ()), READY_PORT, WEB_PORT, XDS_PORT)
