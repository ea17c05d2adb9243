"""Labels as people have them: `name=value`, a JSON object, a list of docker compose, a task definition of ECS."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from grpc_lb_contract.names import MAX_PORT
from traefik_labels.model import Container

_PORT_RANGE = r"([0-9]{1,5})-([0-9]{1,5})"


class NoLabels(ValueError):  # noqa: N818 - the name says what is the matter
    """What holds no labels."""


def labels_from_words(words: Iterable[str]) -> dict[str, str]:
    """`name=value`, as `docker run --label` takes them. Raises NoLabels."""
    labels = {}
    for word in words:
        name, separator, value = word.partition("=")
        if not separator or not name.strip():
            raise NoLabels(f"a label must be name=value, got {word!r}")
        labels[name.strip()] = value
    return labels


def containers_from_json(text: str, like: Container) -> list[Container]:
    """The containers of a JSON text. What it does not tell of them is as in `like`. Raises NoLabels."""
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise NoLabels(f"labels must be JSON, got {error}") from None
    if isinstance(found, dict) and isinstance(found.get("taskDefinition"), dict):
        found = found["taskDefinition"]  # as `aws ecs describe-task-definition` prints it
    if isinstance(found, list) and found and all(map(_is_container_definition, found)):
        found = {"containerDefinitions": found}  # as Terraform has them
    if isinstance(found, dict) and isinstance(found.get("containerDefinitions"), list):
        containers = list(_of_task_definition(found, like))
        if not containers:
            raise NoLabels("containerDefinitions must have at least one container, got none")
        return containers
    if isinstance(found, dict) and isinstance(found.get("labels"), list | dict):
        found = found["labels"]  # a service of a compose file
    return [_with(like, labels=_labels(found))]


def _is_container_definition(found: object) -> bool:
    return isinstance(found, dict) and ("dockerLabels" in found or {"name", "image"} <= found.keys())


def _of_task_definition(definition: Mapping[str, Any], like: Container) -> Iterator[Container]:
    family = definition.get("family")
    for container in definition["containerDefinitions"]:
        if not isinstance(container, dict):
            raise NoLabels(f"each of containerDefinitions must be an object, got {container!r}")
        mappings = container.get("portMappings") or []
        if not isinstance(mappings, list):
            raise NoLabels(f"portMappings must be a list, got {mappings!r}")
        yield Container(
            labels=_labels(container.get("dockerLabels") or {}),
            name=str(container.get("name", like.name)),
            ecs_service=like.ecs_service,
            family=family if isinstance(family, str) else like.family,
            group=like.group,
            ports=tuple(port for mapping in mappings for port in _ports(mapping)),
        )


def _ports(mapping: Any) -> Iterable[int]:
    """Those of TCP, as the Lambda reads them."""
    if not isinstance(mapping, dict) or mapping.get("protocol", "tcp") != "tcp":
        return ()
    port, ports = mapping.get("containerPort"), re.fullmatch(_PORT_RANGE, str(mapping.get("containerPortRange")))
    if ports is not None and int(ports[2]) <= MAX_PORT:
        return range(int(ports[1]), int(ports[2]) + 1)
    return (port,) if isinstance(port, int) and not isinstance(port, bool) else ()


def _labels(found: Any) -> dict[str, str]:
    if isinstance(found, list) and all(isinstance(word, str) for word in found):
        return labels_from_words(found)
    if isinstance(found, dict) and all(isinstance(value, str | int | bool) for value in found.values()):
        return {str(name): _text(value) for name, value in found.items()}
    raise NoLabels("labels must be an object of texts, a list of name=value, or a task definition")


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _with(like: Container, *, labels: Mapping[str, str]) -> Container:
    return Container(labels, like.name, like.ecs_service, like.family, like.ports, like.group)
