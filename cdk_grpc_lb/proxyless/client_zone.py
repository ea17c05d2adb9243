"""A container that starts before a client without a proxy, and writes its bootstrap with the task's zone."""

from __future__ import annotations

from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs

from cdk_grpc_lb.balancer.image import STATE_DIR
from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.nag import acknowledge
from cdk_grpc_lb.validation import Props
from grpc_lb_contract.labels.names import ENABLE
from grpc_lb_contract.proxyless import BOOTSTRAP, BOOTSTRAP_FILE, BOOTSTRAP_NAME

CONTAINER = "GrpcXdsBootstrap"
_VOLUME = "grpc-xds"
_CLIENTS_FOLDER = "/etc/grpc-xds"
# On EC2 a container must say how much memory it takes.
_MEMORY_MIB = 64


def write_bootstrap_first(
    props: Props,
    definition: ecs.TaskDefinition,
    client: ecs.ContainerDefinition,
    text: str,
    *,
    image: ecs.ContainerImage,
    balancer: ecs.FargateTaskDefinition,
    log_group: logs.ILogGroup,
) -> None:
    """`text` is the bootstrap without a zone, `balancer` the task that the image is built for."""
    ours, theirs = _architecture(balancer), _architecture(definition)
    if ours != theirs:
        raise props.error("own_zone", f"left out where client and balancer have different CPUs ({ours})", theirs)
    definition.add_volume(name=_VOLUME)
    writer = definition.add_container(
        CONTAINER,
        image=image,
        # The image's own entry point starts a balancer.
        entry_point=["python", "-m", "proxy_image.client_bootstrap"],
        command=[f"{STATE_DIR}/{BOOTSTRAP_NAME}"],
        environment={BOOTSTRAP: text},
        docker_labels={ENABLE: "false"},
        essential=False,
        readonly_root_filesystem=True,
        memory_reservation_mib=_MEMORY_MIB,
        logging=calm_log_driver(log_group, "bootstrap"),
    )
    # The image owns this folder, so that its user may write what is mounted there.
    writer.add_mount_points(ecs.MountPoint(container_path=STATE_DIR, source_volume=_VOLUME, read_only=False))
    client.add_mount_points(ecs.MountPoint(container_path=_CLIENTS_FOLDER, source_volume=_VOLUME, read_only=True))
    client.add_environment(BOOTSTRAP_FILE, f"{_CLIENTS_FOLDER}/{BOOTSTRAP_NAME}")
    client.add_container_dependencies(
        ecs.ContainerDependency(container=writer, condition=ecs.ContainerDependencyCondition.SUCCESS)
    )
    acknowledge(definition, {"ECS2": "the address of the control plane is no secret"})


def _architecture(definition: ecs.TaskDefinition) -> str:
    resource = definition.node.find_child("Resource")
    platform = resource.runtime_platform if isinstance(resource, ecs.CfnTaskDefinition) else None
    if isinstance(platform, ecs.CfnTaskDefinition.RuntimePlatformProperty) and platform.cpu_architecture is not None:
        return platform.cpu_architecture
    return "X86_64"
