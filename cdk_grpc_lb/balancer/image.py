"""The balancer's task: its image, and what the image is told."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.nag import ANY_RESOURCE, acknowledge
from cdk_grpc_lb.staging import stage
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props

# What the image listens on; `proxy_image/settings/variables.py` has the same numbers as defaults.
CALLS_PORT = 50051
READY_PORT = 8081
WEB_PORT = 8080
XDS_PORT = 18000

CONTAINER = "Balancer"
IMAGE_FOLDERS = ("proxy_image", "grpc_lb_contract")
DOCKERFILE = "proxy_image/Dockerfile"
PARAMETER_PREFIX = "GRPC_LB_PARAMETER_PREFIX"
STATE_DIR = "/var/lib/grpc-lb"
_USER = "10001:10001"
_PLATFORMS = {"X86_64": ecr_assets.Platform.LINUX_AMD64, "ARM64": ecr_assets.Platform.LINUX_ARM64}


def balancer_task(
    balancer: Construct, *, cpu: int, memory_limit_mib: int, architecture: ecs.CpuArchitecture | None
) -> ecs.FargateTaskDefinition:
    definition = ecs.FargateTaskDefinition(
        balancer,
        "TaskDefinition",
        cpu=cpu,
        memory_limit_mib=memory_limit_mib,
        runtime_platform=ecs.RuntimePlatform(
            cpu_architecture=architecture if architecture is not None else ecs.CpuArchitecture.X86_64,
            operating_system_family=ecs.OperatingSystemFamily.LINUX,
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


def balancer_container(
    balancer: Construct,
    definition: ecs.FargateTaskDefinition,
    *,
    image: ecs.ContainerImage,
    environment: Mapping[str, str],
    stop_timeout: cdk.Duration,
    log_group: logs.ILogGroup,
    ports: Sequence[int],
    cpu: int | None = None,
    memory_limit_mib: int | None = None,
    is_asked_for_readiness: bool = False,
) -> ecs.ContainerDefinition:
    """The hardened container: not root, no capabilities, a read-only file system but for its state (invariant 12)."""
    linux = ecs.LinuxParameters(balancer, "LinuxParameters")
    linux.drop_capabilities(ecs.Capability.ALL)
    container = definition.add_container(
        CONTAINER,
        image=image,
        environment=dict(environment),
        cpu=cpu,
        memory_limit_mib=memory_limit_mib,
        logging=calm_log_driver(log_group, "balancer"),
        user=_USER,
        readonly_root_filesystem=True,
        linux_parameters=linux,
        stop_timeout=stop_timeout,
        # It asks the image's first process and Envoy, never the control plane (invariant 6).
        health_check=ecs.HealthCheck(
            # Where no load balancer asks whether a task is ready yet, it is ECS that has to know.
            command=["CMD", "python", "-m", "proxy_image.health", *["--ready"] * is_asked_for_readiness],
            interval=cdk.Duration.seconds(10),
            timeout=cdk.Duration.seconds(5),
            retries=3,
            start_period=cdk.Duration.seconds(180 if is_asked_for_readiness else 30),
        ),
        port_mappings=[ecs.PortMapping(container_port=port) for port in ports],
        # A caller's connection and the one to its target are a descriptor each. 65,535 is Fargate's own limit,
        # written down: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Ulimit.html
        ulimits=[ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=65_535, hard_limit=65_535)],
    )
    container.add_mount_points(ecs.MountPoint(container_path=STATE_DIR, source_volume="state", read_only=False))
    return container


def check_image(props: Props, image: ecs.ContainerImage | None, build_args: Mapping[str, str] | None) -> None:
    """Raise ValueError for arguments that no build takes."""
    if image is not None and build_args is not None:
        raise props.conflict("image", "image_build_args", "an image that is given is not built; leave out either")
    for name, value in (build_args or {}).items():
        # Docker is called when assets are published, where a reference has no value yet.
        if is_unresolved(name) or is_unresolved(value):
            raise props.error("image_build_args", "known at synth", f"a token for {name}")


def built_image(
    balancer: Construct,
    props: Props,
    definition: ecs.FargateTaskDefinition,
    build_args: Mapping[str, str] | None,
    architecture: ecs.CpuArchitecture | None,
) -> ecs.ContainerImage:
    """The image for the CPU of the balancer's task, which is X86_64 by default."""
    platform = ecr_assets.Platform.LINUX_AMD64 if architecture is None else _platform_of(props, definition)
    return ecs.ContainerImage.from_asset(
        stage(balancer, *IMAGE_FOLDERS),
        file=DOCKERFILE,
        platform=platform,
        build_args=dict(build_args) if build_args is not None else None,
    )


def _platform_of(props: Props, definition: ecs.FargateTaskDefinition) -> ecr_assets.Platform:
    resource = definition.node.find_child("Resource")
    assert isinstance(resource, ecs.CfnTaskDefinition)  # noqa: S101 - what the CDK calls its child
    platform = resource.runtime_platform
    assert isinstance(platform, ecs.CfnTaskDefinition.RuntimePlatformProperty)  # noqa: S101 - given above
    architecture = platform.cpu_architecture
    if architecture not in _PLATFORMS:
        raise props.error("cpu_architecture", " or ".join(_PLATFORMS), architecture)
    return _PLATFORMS[architecture]
