"""Transform: tasks and what their labels ask for become the target document. Pure functions."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Set
from dataclasses import dataclass, field

from grpc_lb_contract import (
    Diagnostics,
    Document,
    LabelError,
    Registration,
    RejectedLabel,
    RouteConflict,
    ShadowedRoute,
    TargetState,
    resolve_conflicts,
)
from grpc_lb_contract.document.per_service import PerService
from grpc_lb_contract.labels.names import SERVICE
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, Task, TaskDefinition
from lambda_src.transform import default_names
from lambda_src.transform.balancers import balancers_of
from lambda_src.transform.default_names import Named
from lambda_src.transform.expected_changes import Observed, expects_changes
from lambda_src.transform.health import DoubtedHealth, TargetPlace, TargetStage, stage_of, still_serving
from lambda_src.transform.label_parsing import LabelCache, LabelRejection, Readings, TraefikRemark
from lambda_src.transform.missing_tasks import kept_as_they_were
from lambda_src.transform.scaled_to_zero import carried_on, with_groups
from lambda_src.transform.services import Member, ServiceCache, SkippedTask
from lambda_src.transform.size_budget import OverBudget, sizes_of_settings, within_budget

YOUNG_SECONDS = 300.0
"""A task that is not healthy this long after its start is not about to be: ECS replaces it, or a later event tells."""

EVERYTHING_LABELLED = Selection()


@dataclass(frozen=True, slots=True)
class Transformed:
    """`pending` are young tasks that wait for their health checks; `rejected` names each label of a revision once;
    `carried` are services that have no task, `remarks` what Traefik's labels ask for and do not get as it stands;
    `expects_changes` says that targets are about to change.
    """

    document: Document
    rejected: tuple[LabelRejection, ...] = ()
    conflicts: tuple[RouteConflict, ...] = ()
    skipped: tuple[SkippedTask, ...] = ()
    pending: tuple[str, ...] = ()
    doubted: tuple[DoubtedHealth, ...] = ()
    carried: tuple[str, ...] = ()
    remarks: tuple[TraefikRemark, ...] = ()
    expects_changes: bool = False

    def count(self, state: TargetState) -> int:
        return sum(target.state is state for service in self.document.services for target in service.targets)


@dataclass(frozen=True, slots=True)
class TransformCache:
    """What a process remembers from one listing to the next."""

    labels: LabelCache = field(default_factory=LabelCache)
    services: ServiceCache = field(default_factory=ServiceCache)
    sizes: PerService[int] = field(default_factory=sizes_of_settings)


@dataclass(frozen=True, slots=True)
class Asking:
    """A container that asks to take part, as far as its task is."""

    task: Task
    definition: TaskDefinition
    container: Container
    registration: Registration
    stage: TargetStage
    made_of: str | None = None

    @property
    def named(self) -> Named:
        return Named(self.registration.service, self.made_of, self.task.service or self.definition.family)

    @property
    def place(self) -> TargetPlace:
        return TargetPlace(self.registration.service, self.task.id, self.registration.port)


def transform(
    tasks: Iterable[Task],
    definitions: Mapping[str, TaskDefinition],
    *,
    previous: Document | None,
    told_to_stop: frozenset[str],
    now: float,
    selection: Selection = EVERYTHING_LABELLED,
    active: Set[str] = frozenset(),
    cache: TransformCache | None = None,
    in_doubt: Set[str] = frozenset(),
) -> Transformed:
    """Make the document of these tasks. `previous` says who holds which route, and who served; of the services
    that are in it alone, those stay that one of the `active` ECS services backs. What is in the cache is not
    made again. Of tasks without a definition nothing is known; those `in_doubt` keep the targets that they had.
    """
    tasks = tuple(tasks)
    cache = TransformCache() if cache is None else cache
    known = ((task, definitions[task.definition]) for task in tasks if task.definition in definitions)
    taking_part = (pair for pair in known if _takes_part(*pair, told_to_stop))
    readings = Readings(selection, cache.labels, taking_part)
    asking, apart = _kept_apart(_asking(tasks, definitions, readings, told_to_stop), previous, readings)
    stay, doubted = _still_serving(asking, previous)
    members: list[Member] = []
    pending: set[str] = set()
    for one in asking:
        stage = TargetStage.SERVING if one.stage is TargetStage.UNHEALTHY and one.place in stay else one.stage
        if stage is TargetStage.UNHEALTHY and _is_young(one.task, now):
            pending.add(one.task.id)
        members.append(Member(one.task, one.definition, one.registration, stage))
    built, skipped = cache.services.build(members)
    present = with_groups(built, _backing(asking))
    present = kept_as_they_were(previous, present, in_doubt, told_to_stop, selection)
    carried = carried_on(previous, present, active, selection)
    affordable, over_budget = within_budget((*present, *carried), previous, cache.sizes)
    services, conflicts = resolve_conflicts(affordable, previous)
    rejected = tuple(sorted(readings.rejected | apart | set(_refusals(asking, over_budget, readings))))
    return Transformed(
        document=Document(services, _notes(rejected, conflicts), balancers_of(tasks, definitions)),
        rejected=rejected,
        conflicts=conflicts,
        skipped=tuple(sorted(skipped)),
        pending=tuple(sorted(pending)),
        doubted=doubted,
        carried=tuple(service.name for service in carried),
        remarks=tuple(sorted(readings.remarks)),
        expects_changes=bool(pending) or expects_changes(map(_observed, asking), now),
    )


def _observed(one: Asking) -> Observed:
    return Observed(one.task, starting=one.stage is TargetStage.STARTING, stopping=one.stage is TargetStage.DRAINING)


def _takes_part(task: Task, definition: TaskDefinition, told_to_stop: frozenset[str]) -> bool:
    return any(stage_of(task, container, told_to_stop) is not None for container in definition.containers)


def _asking(
    tasks: Iterable[Task],
    definitions: Mapping[str, TaskDefinition],
    readings: Readings,
    told_to_stop: frozenset[str],
) -> Iterator[Asking]:
    for task in sorted(tasks, key=lambda task: task.id):
        definition = definitions.get(task.definition)
        if definition is None or not _takes_part(task, definition, told_to_stop):
            continue  # labels of a task that is over are nobody's trouble any more
        for one in readings.participants(task, definition):
            stage = stage_of(task, one.container, told_to_stop)
            if stage is not None:
                yield Asking(task, definition, one.container, one.registration, stage, one.made_of)


def _kept_apart(
    asking: Iterable[Asking], previous: Document | None, readings: Readings
) -> tuple[tuple[Asking, ...], set[LabelRejection]]:
    """Those that take part, and the labels that others lack who would be taken for one of them."""
    everyone = tuple(asking)
    holders = default_names.holders({one.named for one in everyone}, previous)
    if not holders:
        return everyone, set()
    kept: list[Asking] = []
    rejected: set[LabelRejection] = set()
    for one in everyone:
        service, made_of = one.registration.service, one.made_of
        if made_of is None or holders.get(service, made_of) == made_of:
            kept.append(one)
        else:
            problem = default_names.problem_beside(service, made_of, holders[service])
            error = LabelError(one.definition.family, SERVICE, "", problem)
            rejected.add(readings.rejected_label(one.task, one.definition, one.container, error, one.registration))
    return tuple(kept), rejected


def _notes(rejected: Iterable[LabelRejection], conflicts: Iterable[RouteConflict]) -> Diagnostics:
    errors = ((label.error, label.revision) for label in rejected)
    return Diagnostics.of(
        (RejectedLabel(error.family, revision, error.label, error.value, error.problem) for error, revision in errors),
        (ShadowedRoute(str(conflict.route), conflict.holder, conflict.loser) for conflict in conflicts),
    )


def _backing(asking: Iterable[Asking]) -> Mapping[str, Set[str]]:
    backing: defaultdict[str, set[str]] = defaultdict(set)
    for one in asking:
        if one.task.service is not None:
            backing[one.registration.service].add(one.task.service)
    return backing


def _refusals(
    asking: Iterable[Asking], over_budget: Iterable[OverBudget], readings: Readings
) -> Iterator[LabelRejection]:
    over = {one.service: one for one in over_budget}
    for one in asking:
        registration = one.registration
        if registration.service in over and registration.routes:
            refusal = over[registration.service]
            error = LabelError(
                family=one.definition.family,
                label=registration.max_list,
                value=f"{refusal.asked} for the service {refusal.service}",
                problem=f"must ask for at most {refusal.allowed} (the new routes are rejected, its targets stay)",
            )
            yield readings.rejected_label(one.task, one.definition, one.container, error, one.registration)


def _still_serving(
    asking: Iterable[Asking], previous: Document | None
) -> tuple[frozenset[TargetPlace], tuple[DoubtedHealth, ...]]:
    well, unsure, sick = set[TargetPlace](), set[TargetPlace](), set[TargetPlace]()
    for one in asking:
        if one.stage is TargetStage.SERVING and one.task.address is not None:
            well.add(one.place)
        elif one.stage is TargetStage.UNHEALTHY:
            (sick if one.container.name in one.task.unhealthy else unsure).add(one.place)
    return still_serving(previous, well=well, unsure=unsure, sick=sick)


def _is_young(task: Task, now: float) -> bool:
    return task.started_at is not None and now - task.started_at < YOUNG_SECONDS
