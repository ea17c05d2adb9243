"""The balancer's image: what it listens on, and how it is built."""

from __future__ import annotations

from collections.abc import Mapping

from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from cdk_grpc_lb.staging import stage
from cdk_grpc_lb.tokens import is_token
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
USER = "10001:10001"
_PLATFORMS = {"X86_64": ecr_assets.Platform.LINUX_AMD64, "ARM64": ecr_assets.Platform.LINUX_ARM64}


def check_image(props: Props, image: ecs.ContainerImage | None, build_args: Mapping[str, str] | None) -> None:
    """Raise ValueError for arguments that no build takes."""
    if image is not None and build_args is not None:
        raise props.conflict("image", "image_build_args", "an image that is given is not built; leave out either")
    for name, value in (build_args or {}).items():
        # Docker is called when assets are published, where a reference has no value yet.
        if is_token(name) or is_token(value):
            raise props.error("image_build_args", "known at synth", f"a token for {name}")


def built_image(
    balancer: Construct,
    props: Props,
    definition: ecs.FargateTaskDefinition,
    build_args: Mapping[str, str] | None,
    architecture: ecs.CpuArchitecture | None,
) -> ecs.ContainerImage:
    """The image for the CPU of the balancer's task, which is X86_64 by default."""
    platform = _PLATFORMS["X86_64"] if architecture is None else _platform_of(props, definition)
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
