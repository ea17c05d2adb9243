"""Traefik's labels of one container, said in ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from grpc_lb_contract import LabelError
from grpc_lb_contract.labels.names import ENABLE, PORT, SERVICE
from grpc_lb_contract.labels.registration import MAX_ROUTES
from grpc_lb_contract.policy.traffic_policy import PREFIX as OURS
from traefik_labels.cluster.conflicts import keep_out_conflicts
from traefik_labels.cluster.names import name_services
from traefik_labels.cluster.order import settle
from traefik_labels.cluster.parts import Part, Router, Served
from traefik_labels.configuration.decode import CannotDecode, enabled
from traefik_labels.model import PREFIX, Container, Draft, Translation
from traefik_labels.policies import STRIP_FORWARDED
from traefik_labels.routes import put_routes
from traefik_labels.rules.constraints import constraint
from traefik_labels.settings import TraefikLabels
from traefik_labels.versions.v1 import is_v1, read_v1
from traefik_labels.versions.v2_and_v3 import is_v2, read_v2


def translate(container: Container, settings: TraefikLabels) -> Translation:
    """What a container's Traefik labels say where no other container has any: see `translate_all`."""
    return translate_all([container], settings)[0]


def translate_all(containers: Sequence[Container], settings: TraefikLabels) -> tuple[Translation, ...]:
    """What the Traefik labels of a cluster's containers say, in labels of ours, to be read as if they had been written
    by hand; in the order of the containers.

    Never raises: labels are untrusted. What they ask for and do not get is in the remarks. Nothing that comes of it
    takes a call that Traefik would not route to the container: which of two routers takes a call, and what a name
    stands for, is told by the labels of all containers together. Labels of ours that a container has come first:
    `grpc-lb.enable` turns the translation off, and any other stands in place of what it would be translated to.
    """
    read = [_read(container, settings) for container in containers]
    parts = [one for one in read if isinstance(one, Part)]
    keep_out_conflicts(parts)
    for part in parts:
        _keep_out_what_is_rejected(part)
    settle([router for part in parts for router in part.routers])
    for part in parts:
        part.served = [one for one in part.served if _routers_of(part, one)]
    name_services(parts)
    return tuple(one if isinstance(one, Translation) else _put(one) for one in read)


def _read(container: Container, settings: TraefikLabels) -> Part | Translation:
    written = container.labels
    # ECS gives labels in no order, and what comes of them must not depend on it.
    draft = Draft(dict(sorted(written.items())))
    theirs = [label for label in draft.written if label.lower().startswith(PREFIX)]
    if ENABLE in written:
        for label in theirs:
            draft.not_needed(label, f"{ENABLE} is there, so that only labels of {OURS}* are read")
    if ENABLE in written or not theirs:
        return Translation(remarks=tuple(draft.remarks))
    is_v1 = _is_v1(draft, settings)
    if not _is_enabled(draft, settings, is_v1=is_v1) or not _is_let_in(written, settings):
        return draft.passed_over()
    part = read_v1(container, settings, draft) if is_v1 else read_v2(container, settings, draft)
    return draft.passed_over() if part is None else part


def _keep_out_what_is_rejected(part: Part) -> None:
    """What a registration could not hold: its calls are no other router's."""
    for served in part.served:
        routers = _routers_of(part, served)
        number = sum(len(router.calls) for router in routers)
        ports = part.container.ports
        if ports and served.port not in map(str, ports):
            mapped = ", ".join(map(str, ports))
            why = f"must be one of the mapped ports {mapped} (read as {PORT}={served.port})"
            part.draft.reject(served.port_label, why)
        elif number > MAX_ROUTES:
            why = f"must leave the container at most {MAX_ROUTES} routes, got {number}"
            for label in dict.fromkeys(router.label for router in routers):
                part.draft.reject(label, why)
        else:
            continue
        for router in routers:
            router.keep_out(checks=False)


def _routers_of(part: Part, served: Served) -> list[Router]:
    return [
        router
        for router in part.routers
        if router.service == served.service and router.calls and not router.is_kept_out
    ]


def _put(part: Part) -> Translation:
    """The labels of each service that the container is; that of the first router comes first."""
    found: list[Translation] = []
    for served in part.served:
        draft = part.draft.beside()
        routers = _routers_of(part, served)
        if not put_routes(draft, routers):
            continue
        draft.put(ENABLE, "true", PREFIX + "enable")
        if served.name is not None:
            draft.put(SERVICE, served.name, served.label)
        draft.put(PORT, served.port, served.port_label)
        served.put(draft, routers)
        found.append(draft.finished())
    if not found:
        return part.draft.passed_over()
    written = part.container.labels
    first, *others = (
        replace(one, labels={ours: text for ours, text in one.labels.items() if ours not in written}) for one in found
    )
    remarks = tuple(part.draft.remarks)
    return replace(first, remarks=remarks, others=tuple(replace(one, remarks=()) for one in others))


def with_own(written: Mapping[str, str], translation: Translation) -> dict[str, str]:
    """The labels to read: the container's own, and beside them the translated ones."""
    return {**translation.labels, **written}


def as_behind_traefik(labels: Mapping[str, str], translation: Translation) -> Mapping[str, str]:
    """What else holds where a container takes part by Traefik's labels: servers behind Traefik see no x-forwarded-*
    that a caller has written, and may believe what they see.
    """
    return {STRIP_FORWARDED: "true", **labels} if translation.labels.get(ENABLE) == "true" else labels


def in_their_words(error: LabelError, written: Mapping[str, str], translation: Translation) -> LabelError:
    """An error about a label of ours that nobody wrote, as one about the Traefik label that it comes from."""
    origin = translation.origins.get(error.label)
    if origin is None or error.label in written:
        return error
    value = written.get(origin, "")
    return replace(error, label=origin, value=value, problem=f"{error.problem} (read as {error.label}={error.value})")


def _is_let_in(written: Mapping[str, str], settings: TraefikLabels) -> bool:
    return settings.constraints is None or constraint(settings.constraints)(written)


def _is_enabled(draft: Draft, settings: TraefikLabels, *, is_v1: bool) -> bool:
    try:
        said = enabled(draft.written)
    except CannotDecode as error:
        # Version 1 knows no other label there, and takes what it cannot read for false.
        draft.reject(error.label, f"must be {error}" if is_v1 else f"must be {error}, or the container is left out")
        return False
    return settings.exposed_by_default if said is None else said


def _is_v1(draft: Draft, settings: TraefikLabels) -> bool:
    """Whether to read labels of version 1. Where a container has those of both, the newer ones count."""
    if settings.version is not None:
        return settings.version == 1
    return not any(map(is_v2, draft.written)) and any(map(is_v1, draft.written))
