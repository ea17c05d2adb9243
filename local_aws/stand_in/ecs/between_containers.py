"""What containers of one task have to do with each other: who starts after whom, and the volumes that they share."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from local_aws.errors import LocalAwsError

Definition = Mapping[str, Any]


def in_start_order(definitions: Iterable[Definition]) -> list[Definition]:
    """As written, but each after those that it depends on. Raises LocalAwsError where that cannot be."""
    left, ordered = [*definitions], list[Definition]()
    while left:
        started = {each["name"] for each in ordered}
        ready = next((each for each in left if {name for name, _ in dependencies(each)} <= started), None)
        if ready is None:
            names = ", ".join(str(each["name"]) for each in left)
            raise LocalAwsError(f"dependsOn must name other containers of the task, in no circle, got one at {names}")
        ordered.append(ready)
        left.remove(ready)
    return ordered


def dependencies(definition: Definition) -> list[tuple[str, str]]:
    """The names of containers, and what must be true of each: START, COMPLETE, SUCCESS or HEALTHY."""
    return [(each["containerName"], each["condition"]) for each in definition.get("dependsOn") or ()]


def with_volumes(definition: Definition, folder: Path) -> Definition:
    """The same with paths of volumes in its command and environment as paths of this machine, below `folder`.

    A process has no file system of its own that something could be mounted in.
    """
    places = {
        str(each["containerPath"]): folder / "volumes" / each["sourceVolume"]
        for each in definition.get("mountPoints") or ()
    }
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)

    def here(text: str) -> str:
        for path, place in places.items():
            if text == path or text.startswith(f"{path}/"):
                return f"{place}{text.removeprefix(path)}"
        return text

    variables = [{**each, "value": here(str(each["value"]))} for each in definition.get("environment") or ()]
    return {**definition, "command": [*map(here, definition.get("command") or ())], "environment": variables}
