"""What labels ask for, and which of them are refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from grpc_lb_contract import LabelError, LabelReading, Registration, read_labels
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, Task, TaskDefinition
from traefik_labels import Container as TraefikContainer
from traefik_labels import Outcome, Remark, Translation, in_their_words, translate, with_own


@dataclass(frozen=True, slots=True, order=True)
class RefusedLabel:
    revision: int
    error: LabelError


@dataclass(frozen=True, slots=True, order=True)
class TraefikRemark:
    """Something that a Traefik label of a task definition asks for and does not get as it stands."""

    family: str
    revision: int
    container: str
    remark: Remark


@dataclass(frozen=True, slots=True)
class _Read:
    reading: LabelReading
    translation: Translation


class Readings:
    """The labels of each task definition, read once."""

    def __init__(self, selection: Selection) -> None:
        self._selection = selection
        self.refused: set[RefusedLabel] = set()
        self.remarks: set[TraefikRemark] = set()
        self._read: dict[tuple[str, str, str], _Read] = {}

    def read(self, task: Task, definition: TaskDefinition, container: Container) -> Registration | None:
        default_service = task.service or definition.family
        key = task.definition, container.name, default_service
        if key not in self._read:
            translation = self._translation(task, definition, container)
            translated = replace(container, labels=with_own(container.labels, translation))
            labels = self._selection.labels_of(translated, default_service)
            if labels is None:
                self._read[key] = _Read(LabelReading(None), translation)
                return None
            reading = read_labels(
                labels, mapped_ports=container.ports, default_service=default_service, family=definition.family
            )
            self._read[key] = _Read(reading, translation)
            errors = (*reading.errors, *_refusals(definition, translation))
            self.refused |= {self.refused_label(task, definition, container, error) for error in errors}
            self._note(definition, container, translation)
        return self._read[key].reading.registration

    def refused_label(
        self, task: Task, definition: TaskDefinition, container: Container, error: LabelError
    ) -> RefusedLabel:
        """In the words of whoever wrote the label, of a container that was read."""
        read = self._read[task.definition, container.name, task.service or definition.family]
        return RefusedLabel(definition.revision, in_their_words(error, container.labels, read.translation))

    def _translation(self, task: Task, definition: TaskDefinition, container: Container) -> Translation:
        if self._selection.traefik is None:
            return Translation()
        seen = TraefikContainer(container.labels, container.name, task.service, definition.family, container.ports)
        return translate(seen, self._selection.traefik)

    def _note(self, definition: TaskDefinition, container: Container, translation: Translation) -> None:
        self.remarks |= {
            TraefikRemark(definition.family, definition.revision, container.name, remark)
            for remark in translation.remarks
            if remark.outcome is not Outcome.REFUSED
        }


def _refusals(definition: TaskDefinition, translation: Translation) -> Iterator[LabelError]:
    for remark in translation.remarks:
        if remark.outcome is Outcome.REFUSED:
            yield LabelError(definition.family, remark.label, remark.value, remark.why)
