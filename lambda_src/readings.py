"""What labels ask for, and which of them are refused."""

from __future__ import annotations

from dataclasses import dataclass

from grpc_lb_contract import LabelError, LabelReading, Registration, read_labels
from lambda_src.selection import Selection
from lambda_src.tasks import Container, Task, TaskDefinition


@dataclass(frozen=True, slots=True, order=True)
class RefusedLabel:
    revision: int
    error: LabelError


class Readings:
    """The labels of each task definition, read once."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.refused: set[RefusedLabel] = set()
        self._readings: dict[tuple[str, str, str], LabelReading] = {}

    def read(self, task: Task, definition: TaskDefinition, container: Container) -> Registration | None:
        default_service = task.service or definition.family
        key = task.definition, container.name, default_service
        if key not in self._readings:
            labels = self._selection.labels_of(container, default_service)
            reading = LabelReading(None)
            if labels is not None:
                reading = read_labels(
                    labels, mapped_ports=container.ports, default_service=default_service, family=definition.family
                )
            self._readings[key] = reading
            self.refused |= {RefusedLabel(definition.revision, error) for error in reading.errors}
        return self._readings[key].registration
