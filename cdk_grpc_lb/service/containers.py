"""Which container of a task takes the calls."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props


@dataclass(frozen=True, slots=True)
class Serving:
    """A container, and its port for gRPC calls."""

    container: ecs.ContainerDefinition
    port: int


def serving_container(
    props: Props, definition: ecs.TaskDefinition, *, port: int | None, container_name: str | None
) -> Serving:
    """The only container that maps the port; without a port, the only port that any container maps.

    Raises ValueError where there is none or a choice, and where the tasks have no address of their own.
    """
    if definition.network_mode != ecs.NetworkMode.AWS_VPC:
        raise props.error(
            "task_definition",
            "one with the network mode awsvpc, because calls go to the task's own address",
            f"{definition.network_mode.name.lower()} ({definition.node.path})",
        )
    if port is not None:
        props.whole_number("port", port, 1, 65_535)
    mapped = list(_mapped(definition, container_name))
    found = [serving for serving in mapped if _may_be(serving.port, port)]
    if container_name is not None and container_name not in [each.container_name for each in _containers(definition)]:
        names = ", ".join(each.container_name for each in _containers(definition))
        raise props.error("container_name", f"one of {names} ({definition.node.path})", repr(container_name))
    if not found:
        raise props.error("port", f"a mapped port of {definition.node.path}: {_listed(mapped)}", port)
    if len(found) > 1:
        raise props.error("port", f"one of those that {definition.node.path} maps: {_listed(mapped)}", port)
    container = found[0].container
    if not container.essential:
        raise props.error(
            "container_name",
            "an essential container, or ECS keeps a task whose server has ended",
            container.container_name,
        )
    return Serving(container, found[0].port if port is None else port)


def labels_of(container: ecs.ContainerDefinition) -> Mapping[str, str]:
    """What its labels say so far. Each prop of the container is a call to Node then: ask once."""
    return cast("Mapping[str, str]", container.render_container_definition().docker_labels or {})


def refuse_other_labels(
    props: Props, container: ecs.ContainerDefinition, said: Mapping[str, str], labels: Mapping[str, str]
) -> None:
    """Raise ValueError where the container says otherwise already, by hand or because it is registered already."""
    for label, value in labels.items():
        if said.get(label, value) != value:
            raise props.error(
                "container_name",
                f"a container whose label {label} is {value}, or that has none yet",
                f"{container.container_name}, where it is {said[label]}",
            )


def _containers(definition: ecs.TaskDefinition) -> list[ecs.ContainerDefinition]:
    return [child for child in definition.node.children if isinstance(child, ecs.ContainerDefinition)]


def _mapped(definition: ecs.TaskDefinition, container_name: str | None) -> Iterator[Serving]:
    for container in _containers(definition):
        if container_name is None or container.container_name == container_name:
            for mapping in container.port_mappings:
                if mapping.protocol in (None, ecs.Protocol.TCP) and mapping.container_port is not None:
                    yield Serving(container, cast(int, mapping.container_port))


def _may_be(mapped: int, port: int | None) -> bool:
    return port is None or mapped == port or is_unresolved(port) or is_unresolved(mapped)


def _listed(mapped: Sequence[Serving]) -> str:
    ports = [f"{serving.port} of {serving.container.container_name}" for serving in mapped]
    return ", ".join(ports) or "none (add a port mapping)"
