"""Names that are much alike, and are not the same."""

from __future__ import annotations

from tests.traefik_labels.judge.sets import Job, LabelSet
from tests.traefik_labels.judge.words import box

_LONG = "s" * 64
_PAIRS = (
    ("s-~", "s_~"),
    ("s~", "S~"),
    (f"{_LONG}~a", f"{_LONG}~b"),
    ("s~x", "s~x_"),
    ("s.~"[:1] + "~", "s~-"),
    ("ü~", "u~"),
    ("s~", "s~"),
)


def _alike(first: str, second: str) -> LabelSet:
    return LabelSet(
        f"services {first} and {second}",
        (
            Job((box("Host(`a.~`)", service=first, router="r~"),), service="one~"),
            Job((box("Host(`b.~`)", service=second, router="q~"),), service="two~"),
        ),
    )


SETS: list[LabelSet] = [
    *(_alike(first, second) for first, second in _PAIRS),
    LabelSet(
        "a service named as another's ECS service",
        (
            Job((box("Host(`a.~`)", service="two~", router="r~"),), service="one~"),
            Job(
                (
                    box(
                        "Host(`b.~`)",
                        {
                            "services.s~.loadbalancer.server.scheme": "(none)",
                            "routers.q~.service": "(none)",
                            "services.x~.loadbalancer.server.scheme": "h2c",
                        },
                        router="q~",
                    ),
                ),
                service="two~",
            ),
        ),
    ),
    LabelSet(
        "routers that differ by case, in two tasks",
        (
            Job((box("Host(`a.~`)", router="r~"),), service="one~"),
            Job((box("Host(`b.~`)", router="R~", service="t~"),), service="two~"),
        ),
    ),
    LabelSet(
        "names that differ by case, in one container",
        (Job((box("Host(`a.~`)", {"routers.R~.priority": "5", "services.S~.loadbalancer.server.port": "50051"}),)),),
    ),
    LabelSet(
        "two containers of a task with services of one name",
        (Job((box("Host(`a.~`)"), box("Host(`b.~`)", router="q~", name="web", ports=(50052,)))),),
    ),
    LabelSet(
        "two containers of a task",
        (Job((box("Host(`a.~`)"), box("Host(`b.~`)", router="q~", service="t~", name="web", ports=(50052,)))),),
    ),
]
