"""Traefik's labels of one container, said in ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from grpc_lb_contract import LabelError
from grpc_lb_contract.labels.names import ENABLE
from grpc_lb_contract.policy.traffic_policy import PREFIX as OURS
from traefik_labels.constraints import constraint
from traefik_labels.model import ENABLE as TRAEFIK_ENABLE
from traefik_labels.model import PREFIX, Container, Draft, Translation
from traefik_labels.policies import is_true
from traefik_labels.settings import TraefikLabels
from traefik_labels.v1 import is_first, translate_first
from traefik_labels.v2 import is_second, translate_second


def translate(container: Container, settings: TraefikLabels) -> Translation:
    """What a container's Traefik labels say, in labels of ours, to be read as if they had been written by hand.

    Never raises: labels are untrusted. What they ask for and do not get is in the remarks. Nothing that comes of it
    takes a call that Traefik would not route to the container. Labels of ours that the container has come first:
    `grpc-lb.enable` turns the translation off, and any other stands in place of what it would be translated to.
    """
    written = container.labels
    # ECS gives labels in no order, and what comes of them must not depend on it.
    draft = Draft(dict(sorted(written.items())))
    theirs = [label for label in draft.written if label.lower().startswith(PREFIX)]
    if ENABLE in written:
        for label in theirs:
            draft.not_needed(label, f"{ENABLE} is there, so that only labels of {OURS}* are read")
    if ENABLE in written or not theirs:
        return Translation(remarks=tuple(draft.remarks))
    if not _is_enabled(draft, settings) or not _is_let_in(written, settings):
        return draft.passed_over()
    first = _is_first(draft, settings)
    took_part = (translate_first if first else translate_second)(container, settings, draft)
    if not took_part:
        return draft.passed_over()
    found = draft.finished()
    return replace(found, labels={ours: text for ours, text in found.labels.items() if ours not in written})


def with_own(written: Mapping[str, str], translation: Translation) -> dict[str, str]:
    """The labels to read: the container's own, and beside them the translated ones."""
    return {**translation.labels, **written}


def in_their_words(error: LabelError, written: Mapping[str, str], translation: Translation) -> LabelError:
    """An error about a label of ours that nobody wrote, as one about the Traefik label that it comes from."""
    origin = translation.origins.get(error.label)
    if origin is None or error.label in written:
        return error
    value = written.get(origin, "")
    return replace(error, label=origin, value=value, problem=f"{error.problem} (read as {error.label}={error.value})")


def _is_let_in(written: Mapping[str, str], settings: TraefikLabels) -> bool:
    return settings.constraints is None or constraint(settings.constraints)(written)


def _is_enabled(draft: Draft, settings: TraefikLabels) -> bool:
    label = next((label for label in draft.written if label.lower() == TRAEFIK_ENABLE), None)
    if label is None:
        return settings.exposed_by_default
    said = is_true(draft.written[label].strip())
    if said is None:
        draft.refuse(label, "must be true or false")
    return said is True


def _is_first(draft: Draft, settings: TraefikLabels) -> bool:
    """Whether to read labels of version 1. Where a container has those of both, the newer ones count."""
    if settings.version is not None:
        return settings.version == 1
    if any(map(is_second, draft.written)):
        return False
    return any(map(is_first, draft.written))
