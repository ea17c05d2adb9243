"""Label sets by chance: rules, priorities and settings that meet in ways that nobody thought of."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.traefik_labels.judge.sets import Box, Call, Job, LabelSet
from tests.traefik_labels.judge.words import AUTH, full

_HOSTS = st.sampled_from(["Host(`a.~`)", "Host(`b.~`)", "Host(`a.~`) || Host(`b.~`)", "HostRegexp(`^.+\\.~$`)"])
_MATCHERS = st.sampled_from(
    [
        "PathPrefix(`/`)",
        "PathPrefix(`/rng.~.R/`)",
        "PathPrefix(`/rng.~.R`)",
        "Path(`/rng.~.R/Get`)",
        "PathRegexp(`^/rng\\.~\\.R/`)",
        "PathRegexp(`Get$`)",
        "Header(`x-canary`, `yes`)",
        "!Header(`x-canary`, `yes`)",
        "HeaderRegexp(`x-canary`, `^y`)",
        "Method(`POST`)",
        "!Method(`GET`)",
        "ClientIP(`127.0.0.0/8`)",
        "Query(`a`)",
        "!PathPrefix(`/rng.~.S/`)",
    ]
)
_PARTS = st.recursive(
    _MATCHERS,
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]} && {two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]} || {two[1]})"),
        inner.map(lambda one: f"!({one})"),
    ),
    max_leaves=4,
)
# Each alternative has a host of the set's own, so that no set takes another's calls.
_RULES = st.lists(st.tuples(_HOSTS, _PARTS).map(lambda two: f"({two[0]}) && {two[1]}"), min_size=1, max_size=2).map(
    " || ".join
)
_PRIORITIES = st.sampled_from(["", "", "1", "50", "60", "1000", "-7"])
_MORE = st.sampled_from(
    [
        {},
        {},
        {},
        {"routers.N.middlewares": "auth~", **AUTH},
        {"routers.N.entrypoints": "admin"},
        {"routers.N.tls": "true"},
        {"services.N.loadbalancer.server.scheme": "http"},
        {"services.N.loadbalancer.strategy": "p2c"},
        {"routers.N.middlewares": "m~", "middlewares.m~.compress": "true"},
        {"routers.N.priority": "high"},
    ]
)


def _box(name: str) -> st.SearchStrategy[Box]:
    def made(rule: str, priority: str, more: dict[str, str]) -> Box:
        labels = {f"services.{name}.loadbalancer.server.scheme": "h2c", f"routers.{name}.rule": rule}
        if priority:
            labels[f"routers.{name}.priority"] = priority
        return Box(full(labels | {label.replace(".N.", f".{name}."): text for label, text in more.items()}))

    return st.builds(made, _RULES, _PRIORITIES, _MORE)


_NAMES = ("r~", "q~", "p~")
_CALLS = tuple(
    Call(host, path, metadata)
    for host in ("a.~", "b.~", "c.~")
    for path in ("/rng.~.R/Get", "/rng.~.S/Get", "/rng.~.R/List")
    for metadata in ((), (("x-canary", "yes"),), (("x-canary", "no"),))
)


def _set(boxes: tuple[Box, ...]) -> LabelSet:
    jobs = tuple(Job((box,), service=f"{name[0]}-~") for name, box in zip(_NAMES, boxes, strict=False))
    return LabelSet("by chance", jobs, _CALLS)


_BOXES = st.integers(1, 3).flatmap(lambda number: st.tuples(*(_box(name) for name in _NAMES[:number])))
SETS_BY_CHANCE = st.lists(_BOXES.map(_set), min_size=30, max_size=30)
"""Batches: one Traefik and one Envoy judge all sets of one at once."""
