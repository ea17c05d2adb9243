"""Which container of a task takes the calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from aws_cdk import aws_ecs as ecs
from constructs import IConstruct

from cdk_grpc_lb.synth_checks import check_at_synth
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props
from grpc_lb_contract import read_labels
from grpc_lb_contract.labels.names import PORT, is_ours


@dataclass(frozen=True, slots=True)
class Serving:
    """A container, and its port for gRPC calls."""

    container: ecs.ContainerDefinition
    port: int


@dataclass(frozen=True, slots=True)
class _Mapped:
    """A port that a container maps, or a range of them."""

    container: ecs.ContainerDefinition
    first: int
    last: int

    def has(self, port: int | None) -> bool:
        """Whether the port may be one of these, as far as they are known."""
        if port is None or is_unresolved(port) or is_unresolved(self.first):
            return True
        return self.first <= port <= self.last

    def __str__(self) -> str:
        ports = f"{self.first}" if self.first == self.last else f"{self.first}-{self.last}"
        return f"{ports} of {self.container.container_name}"


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
    found = [one for one in mapped if one.has(port)]
    if container_name is not None and container_name not in [each.container_name for each in _containers(definition)]:
        names = ", ".join(each.container_name for each in _containers(definition))
        raise props.error("container_name", f"one of {names} ({definition.node.path})", repr(container_name))
    if not found:
        raise props.error("port", f"a mapped port of {definition.node.path}: {_listed(mapped)}", port)
    if len(found) > 1 or (port is None and found[0].first != found[0].last):
        raise props.error("port", f"one of those that {definition.node.path} maps: {_listed(mapped)}", port)
    container = found[0].container
    if not container.essential:
        raise props.error(
            "container_name",
            "an essential container, or ECS keeps a task whose server has ended",
            container.container_name,
        )
    return Serving(container, found[0].first if port is None else port)


def labels_of(container: ecs.ContainerDefinition) -> Mapping[str, str]:
    """What its labels say so far. Each prop of the container is a call to Node then: ask once."""
    return cast("Mapping[str, str]", container.render_container_definition().docker_labels or {})


def refuse_other_labels(
    props: Props, container: ecs.ContainerDefinition, said: Mapping[str, str], labels: Mapping[str, str]
) -> None:
    """Raise ValueError where the container says otherwise already, by hand or because it is registered already.

    So for a label by hand that the Lambda would reject.
    """
    for label, value in labels.items():
        if said.get(label, value) != value:
            raise props.error(
                "container_name",
                f"a container whose label {label} is {value}, or that has none yet",
                f"{container.container_name}, where it is {said[label]}",
            )
    by_hand = {
        label: text
        for label, text in said.items()
        if is_ours(label) and label not in labels and not is_unresolved(text)
    }
    if not by_hand:
        return
    port = labels[PORT]
    ports = [int(port)] if port.isdecimal() else []
    for error in read_labels({**by_hand, **labels}, mapped_ports=ports, default_service="", family="").errors:
        if error.label in by_hand:
            whose = f"{container.container_name}, for {props.construct} {props.path}"
            raise ValueError(f"docker label {error.label} {error.problem}, got {error.value!r} (container {whose})")


def watch_labels(
    props: Props,
    service: IConstruct,
    container: ecs.ContainerDefinition,
    labels_for: Callable[[Mapping[str, str]], Mapping[str, str]],
) -> None:
    """Have synth fail at the service where labels were added that `refuse_other_labels` would not have taken.

    :param labels_for: The labels that the container needs, of those that it has.
    """

    def check() -> list[str]:
        said = labels_of(container)
        try:
            refuse_other_labels(props, container, said, labels_for(said))
        except ValueError as problem:
            return [str(problem)]
        return []

    check_at_synth(service, check)


def _containers(definition: ecs.TaskDefinition) -> list[ecs.ContainerDefinition]:
    return [child for child in definition.node.children if isinstance(child, ecs.ContainerDefinition)]


def _mapped(definition: ecs.TaskDefinition, container_name: str | None) -> Iterator[_Mapped]:
    for container in _containers(definition):
        if container_name is None or container.container_name == container_name:
            for mapping in container.port_mappings:
                if mapping.protocol not in (None, ecs.Protocol.TCP):
                    continue
                first, dash, last = (mapping.container_port_range or "").partition("-")
                if dash and first.isdecimal() and last.isdecimal():
                    yield _Mapped(container, int(first), int(last))
                elif mapping.container_port is not None:
                    port = cast(int, mapping.container_port)
                    yield _Mapped(container, port, port)


def _listed(mapped: Sequence[_Mapped]) -> str:
    return ", ".join(map(str, mapped)) or "none (add a port mapping)"
