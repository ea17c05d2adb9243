"""One name with two contents: in two ECS services, and in two revisions of one."""

from __future__ import annotations

from tests.traefik_labels.judge.sets import Box, Job, LabelSet
from tests.traefik_labels.judge.words import AUTH, A, R, box

_OTHERWISE: tuple[tuple[str, Box, Box], ...] = (
    ("a rule", box(A), box(f"{A} && {R}")),
    ("a priority", box(A), box(A, {"routers.r~.priority": "5"})),
    ("an auth", box(A), box(A, {"routers.r~.middlewares": "auth~", **AUTH})),
    ("an entry point", box(A), box(A, {"routers.r~.entrypoints": "web"})),
    ("a service's strategy", box(A), box(A, {"services.s~.loadbalancer.strategy": "p2c"})),
    ("a service's scheme", box(A), box(A, {"services.s~.loadbalancer.server.scheme": "(none)"})),
    ("a service's port", box(A), box(A, {"services.s~.loadbalancer.server.port": "50052"}, ports=(50051, 50052))),
    (
        "a middleware",
        box(A, {"routers.r~.middlewares": "m~", "middlewares.m~.compress": "true"}),
        box(
            A,
            {
                "routers.r~.middlewares": "m~",
                "middlewares.m~.basicauth.users": AUTH["middlewares.auth~.basicauth.users"],
            },
        ),
    ),
    (
        "a harmless middleware",
        box(A, {"routers.r~.middlewares": "m~", "middlewares.m~.retry.attempts": "2"}),
        box(A, {"routers.r~.middlewares": "m~", "middlewares.m~.retry.attempts": "3"}),
    ),
)

SETS: list[LabelSet] = [
    *(
        LabelSet(
            f"{what} that two ECS services say otherwise",
            (Job((first,), service="one~"), Job((second,), service="two~")),
        )
        for what, first, second in _OTHERWISE
    ),
    *(
        LabelSet(f"{what} that a rollout changes", (Job((first,), revision=1), Job((second,), revision=2)))
        for what, first, second in _OTHERWISE
    ),
]
