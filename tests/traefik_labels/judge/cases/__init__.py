"""The label sets of our own, over what Traefik's documentation names."""

from __future__ import annotations

from tests.traefik_labels.judge.cases import (
    containers,
    decoding,
    middlewares,
    names,
    order,
    rollouts,
    routers,
    rules,
    services,
)
from tests.traefik_labels.judge.sets import LabelSet

_KINDS = {
    "rules": rules,
    "routers": routers,
    "services": services,
    "middlewares": middlewares,
    "order": order,
    "names": names,
    "decoding": decoding,
    "containers": containers,
    "rollouts": rollouts,
}

SETS: dict[str, tuple[LabelSet, ...]] = {kind: tuple(module.SETS) for kind, module in _KINDS.items()}
"""By the kind of what they are about."""
