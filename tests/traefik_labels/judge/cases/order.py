"""Which of two routers takes a call."""

from __future__ import annotations

from itertools import product

from tests.traefik_labels.judge.sets import Call, Job, LabelSet
from tests.traefik_labels.judge.words import A, R, box, other, two

_CANARY = (Call("a.~", "/rng.~.R/Get", (("x-canary", "yes"),)), Call("a.~", "/rng.~.S/Get", (("x-canary", "yes"),)))
_ANY = "HostRegexp(`^.+\\.~$`)"

_PAIRS = (
    (A, f"{A} && {R}"),
    (A, f"{A} && Header(`x-canary`, `yes`)"),
    (f"{A} && {R}", f"{A} && Header(`x-canary`, `yes`)"),
    (_ANY, A),
    (_ANY, f"{A} && {R}"),
    (f"{_ANY} && {R}", A),
    (f"{_ANY} && Header(`x-canary`, `yes`)", A),
    (f"{A} && Path(`/rng.~.R/Get`)", f"{A} && {R}"),
    (A, A),
    (f"{A} || Host(`b.~`)", "Host(`b.~`) || Host(`c.~`)"),
    (f"{A} && !Header(`x-canary`, `yes`)", A),
)
_PRIORITIES = (("", ""), ("1", ""), ("", "1"), ("1000", ""), ("", "1000"), ("-1", ""), ("20", "10"))


def _priority(router: str, priority: str) -> dict[str, str]:
    return {f"routers.{router}.priority": priority} if priority else {}


SETS: list[LabelSet] = [
    *(
        two(
            f"{first!r} {p or '-'} and {second!r} {q or '-'}",
            box(first, _priority("r~", p)),
            other(second, _priority("q~", q)),
            calls=_CANARY,
        )
        # Of equal ones Traefik takes either, by chance.
        for (first, second), (p, q) in product(_PAIRS, _PRIORITIES)
        if p != q or len(first) != len(second)
    ),
    LabelSet(
        "a stable service with priority 10 beside a canary by a header",
        (
            Job((box(A, {"routers.r~.priority": "10"}),), service="one~"),
            Job((other(f"{A} && Header(`x-canary`, `yes`)"),), service="two~"),
        ),
        _CANARY,
    ),
    LabelSet(
        "three services, one above the other",
        (
            Job((box(_ANY, {"routers.r~.priority": "50"}),), service="one~"),
            Job((other(f"{A} && {R}", {"routers.q~.priority": "60"}),), service="two~"),
            Job((box(A, {"routers.p~.priority": "40"}, router="p~", service="u~"),), service="three~"),
        ),
        _CANARY,
    ),
    LabelSet(
        "three services, the middle one first",
        (
            Job((box(f"{_ANY} && {R}", {"routers.r~.priority": "50"}),), service="one~"),
            Job((other(f"{A}", {"routers.q~.priority": "10"}),), service="two~"),
            Job(
                (
                    box(
                        f"{_ANY} && Header(`x-canary`, `yes`)", {"routers.p~.priority": "60"}, router="p~", service="u~"
                    ),
                ),
                service="three~",
            ),
        ),
        _CANARY,
    ),
]
