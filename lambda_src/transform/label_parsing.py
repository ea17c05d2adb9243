"""What labels ask for, and which of them are rejected."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, replace

from grpc_lb_contract import LabelError, LabelReading, Registration, read_labels
from grpc_lb_contract.labels.names import SERVICE
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, Task, TaskDefinition
from lambda_src.transform import default_names
from traefik_labels import Container as TraefikContainer
from traefik_labels import (
    Outcome,
    Remark,
    TraefikLabels,
    Translation,
    as_behind_traefik,
    in_their_words,
    translate,
    translate_all,
    with_own,
)


@dataclass(frozen=True, slots=True, order=True)
class LabelRejection:
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
class Participant:
    """A container that asks to take part. `made_of` is the name that its service's name was made of, None where a label
    of ours says it.
    """

    container: Container
    registration: Registration
    made_of: str | None


@dataclass(frozen=True, slots=True)
class _Read:
    """`others` are the further services that Traefik's labels make of the container."""

    reading: LabelReading
    translation: Translation
    rejected: frozenset[LabelRejection] = frozenset()
    remarks: frozenset[TraefikRemark] = frozenset()
    others: tuple[_Read, ...] = ()

    @property
    def all(self) -> tuple[_Read, ...]:
        return (self, *self.others)


@dataclass(frozen=True, slots=True)
class _Together:
    """The containers of one definition."""

    participants: tuple[Participant, ...]
    rejected: frozenset[LabelRejection]
    remarks: frozenset[TraefikRemark]


_Key = tuple[str, str, str]


class LabelCache:
    """What was read of the labels of each task definition, which never change, for as long as it is in use.

    What Traefik's labels of one container say is told by those of all: another set of definitions is read again.
    """

    def __init__(self) -> None:
        self.containers: dict[_Key, _Read] = {}
        self.definitions: dict[tuple[str, str], _Together] = {}
        self._translated: frozenset[_Key] = frozenset()
        self.translations: Mapping[_Key, Translation] = {}

    def translate(self, containers: Mapping[_Key, TraefikContainer], settings: TraefikLabels) -> None:
        if containers.keys() == self._translated:
            return
        found = translate_all(tuple(containers.values()), settings)
        translations = dict(zip(containers, found, strict=True))
        changed = {key for key in containers if self.translations.get(key) != translations[key]}
        self.containers = {key: read for key, read in self.containers.items() if key not in changed}
        stale = {(definition, owner) for definition, _, owner in changed}
        self.definitions = {key: read for key, read in self.definitions.items() if key not in stale}
        self._translated, self.translations = frozenset(containers), translations

    def keep(self, definitions: Set[str]) -> None:
        """Forget all others, once there are many."""
        if len(self.definitions) <= 2 * len(definitions) + 100:
            return
        self.containers = {key: read for key, read in self.containers.items() if key[0] in definitions}
        self.definitions = {key: read for key, read in self.definitions.items() if key[0] in definitions}


class Readings:
    """The labels of the task definitions of one listing. `rejected` and `remarks` are about all that were asked for.

    `tasks` are all that take part, with their definitions: together they tell what Traefik's labels say.
    """

    def __init__(
        self,
        selection: Selection,
        cache: LabelCache | None = None,
        tasks: Iterable[tuple[Task, TaskDefinition]] = (),
    ) -> None:
        self._selection = selection
        self._cache = LabelCache() if cache is None else cache
        if selection.traefik is not None:
            seen = {
                _key(task, definition, container): _seen(task, definition, container)
                for task, definition in tasks
                for container in definition.containers
            }
            self._cache.translate(seen, selection.traefik)
        self._asked: set[tuple[str, str]] = set()
        self.rejected: set[LabelRejection] = set()
        self.remarks: set[TraefikRemark] = set()

    def participants(self, task: Task, definition: TaskDefinition) -> tuple[Participant, ...]:
        """Those containers of a task that take part, each as a service of its own or by its label."""
        key = task.definition, _owner(task, definition)
        together = self._cache.definitions.get(key)
        if together is None:
            together = self._cache.definitions[key] = self._read_together(task, definition)
        if key not in self._asked:
            self._asked.add(key)
            self.rejected |= together.rejected
            self.remarks |= together.remarks
        return together.participants

    def read(self, task: Task, definition: TaskDefinition, container: Container) -> Registration | None:
        """What one container asks for, whatever the others of its task do."""
        read = self._read(task, definition, container)
        self.rejected |= read.rejected
        self.remarks |= read.remarks
        return read.reading.registration

    def rejected_label(
        self,
        task: Task,
        definition: TaskDefinition,
        container: Container,
        error: LabelError,
        registration: Registration | None = None,
    ) -> LabelRejection:
        """In the words of whoever wrote the label, of a container that was read."""
        read = self._read(task, definition, container)
        about = next((one for one in read.all if one.reading.registration is registration), read)
        return _in_their_words(definition, container, about.translation, error)

    def _read_together(self, task: Task, definition: TaskDefinition) -> _Together:
        reads = [(container, self._read(task, definition, container)) for container in definition.containers]
        found = [
            Participant(container, one.reading.registration, _made_of(task, definition, container, one.translation))
            for container, read in reads
            for one in read.all
            if one.reading.registration is not None
        ]
        shared = default_names.shared_in_task((one.registration.service, one.made_of) for one in found)
        errors = {
            self.rejected_label(task, definition, one.container, _in_task(definition, one), one.registration)
            for one in found
            if one.made_of is not None and one.registration.service in shared
        }
        return _Together(
            tuple(one for one in found if one.made_of is None or one.registration.service not in shared),
            frozenset(errors).union(*(one.rejected for _, read in reads for one in read.all)),
            frozenset[TraefikRemark]().union(*(read.remarks for _, read in reads)),
        )

    def _read(self, task: Task, definition: TaskDefinition, container: Container) -> _Read:
        default = default_service(task, definition)
        key = _key(task, definition, container)
        if key not in self._cache.containers:
            self._cache.containers[key] = self._read_container(task, definition, container, default)
        return self._cache.containers[key]

    def _read_container(self, task: Task, definition: TaskDefinition, container: Container, default: str) -> _Read:
        translation = self._translation(task, definition, container)
        others = (self._read_translated(definition, container, default, one) for one in translation.others)
        read = self._read_translated(definition, container, default, translation)
        return replace(read, others=tuple(others))

    def _read_translated(
        self, definition: TaskDefinition, container: Container, default: str, translation: Translation
    ) -> _Read:
        translated = replace(container, labels=with_own(container.labels, translation))
        labels = self._selection.labels_of(translated, default)
        if labels is None:
            return _Read(LabelReading(None), translation)
        labels = as_behind_traefik(labels, translation)
        reading = read_labels(labels, mapped_ports=container.ports, default_service=default, family=definition.family)
        errors = (*reading.errors, *_refusals(definition, translation))
        rejected = frozenset(_in_their_words(definition, container, translation, error) for error in errors)
        return _Read(reading, translation, rejected, frozenset(_remarks(definition, container, translation)))

    def _translation(self, task: Task, definition: TaskDefinition, container: Container) -> Translation:
        if self._selection.traefik is None:
            return Translation()
        together = self._cache.translations.get(_key(task, definition, container))
        if together is not None:
            return together
        return translate(_seen(task, definition, container), self._selection.traefik)


def _owner(task: Task, definition: TaskDefinition) -> str:
    # Tasks that RunTask started may be of one family and of several groups.
    return default_service(task, definition) if task.service is not None or not task.group else task.group


def _key(task: Task, definition: TaskDefinition, container: Container) -> _Key:
    return task.definition, container.name, _owner(task, definition)


def _seen(task: Task, definition: TaskDefinition, container: Container) -> TraefikContainer:
    return TraefikContainer(
        container.labels, container.name, task.service, definition.family, container.ports, task.group or None
    )


def default_service(task: Task, definition: TaskDefinition) -> str:
    """The name that a service is called after where no label names it."""
    return task.service or definition.family


def _made_of(task: Task, definition: TaskDefinition, container: Container, translation: Translation) -> str | None:
    if SERVICE in container.labels:
        return None
    origin = translation.origins.get(SERVICE)
    if origin is None:
        return default_service(task, definition)
    # Traefik's version 1 has the name as a label's value, later ones within the label.
    said = container.labels.get(origin, origin)
    return said if origin.endswith(".backend") else origin.split(".")[3]


def _in_task(definition: TaskDefinition, one: Participant) -> LabelError:
    value = one.container.labels.get(SERVICE, "")
    return LabelError(definition.family, SERVICE, value, default_names.problem_in_task(one.registration.service))


def _in_their_words(
    definition: TaskDefinition, container: Container, translation: Translation, error: LabelError
) -> LabelRejection:
    return LabelRejection(definition.revision, in_their_words(error, container.labels, translation))


def _remarks(definition: TaskDefinition, container: Container, translation: Translation) -> Iterator[TraefikRemark]:
    for remark in translation.remarks:
        if remark.outcome is not Outcome.REJECTED:
            yield TraefikRemark(definition.family, definition.revision, container.name, remark)


def _refusals(definition: TaskDefinition, translation: Translation) -> Iterator[LabelError]:
    for remark in translation.remarks:
        if remark.outcome is Outcome.REJECTED:
            yield LabelError(definition.family, remark.label, remark.value, remark.why)
