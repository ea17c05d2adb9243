"""Every valid document, and every set of labels, in the measure that the contract allows."""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase, digits

from hypothesis import strategies as st

from grpc_lb_contract import (
    Condition,
    Diagnostics,
    Document,
    Group,
    Match,
    Overrides,
    Registration,
    RejectedLabel,
    Route,
    RouteRule,
    Service,
    ShadowedRoute,
    Target,
    TargetState,
    TrafficPolicy,
)
from grpc_lb_contract.policy.overrides import OVERRIDES
from grpc_lb_contract.policy.traffic_policy import TABLE

_LABEL = st.text(ascii_lowercase + digits + "_", min_size=1, max_size=63)
hosts = st.just("*") | st.builds(
    lambda wildcard, labels: (wildcard + ".".join(labels))[:253].rstrip(".-"),
    st.sampled_from(["", "*."]),
    st.lists(_LABEL, min_size=1, max_size=4),
)
# Not from regular expressions, of which a draw takes several times as long.
_identifiers = st.text(ascii_letters + digits + "_", min_size=1, max_size=40).map(
    lambda text: f"_{text}" if text[0] in digits else text
)
_packages = st.lists(_identifiers, min_size=1, max_size=6).map(".".join)
grpc_services = st.just("*") | _packages
service_names = st.text(ascii_lowercase + digits + "-", min_size=1, max_size=63).map(
    lambda text: text.strip("-") or "a"
)
ports = st.integers(1, 65_535)
conditions = st.builds(
    lambda key, match, value: Condition(key, match, "" if match in (Match.PRESENT, Match.ABSENT) else value),
    st.text(ascii_lowercase + digits + "_.-", min_size=1, max_size=12),
    st.sampled_from(Match),
    st.text([chr(code) for code in range(ord("!"), ord("~") + 1) if chr(code) != ","], min_size=1, max_size=12),
)
metadata = st.lists(conditions, max_size=3).map(tuple)
full_methods = st.builds("{}/{}".format, _packages, _identifiers)
priorities = st.just(0) | st.integers(0, 1_000_000)

_TIMES = [f"{number}{unit}" for number in (0, 1, 20, 250, 1500) for unit in ("ms", "s", "m", "h")]
_WORDS = ["true", "false", "x-key", "rng.v1.RandomNumber", "UNAVAILABLE", "INTERNAL,CANCELLED", "round-robin"]
_METHODS = ["least-request", "random", "ring-hash", "maglev"]
_LISTS = ["*", "https://a.test,http://b.test:8080", "x-key,authorization", "A" * 43 + "=", "none", "system", "a.test"]
setting_texts = st.sampled_from(_TIMES + _WORDS + _METHODS + _LISTS) | st.integers(0, 1000).map(str) | st.just("0.25")
"""Texts of which each setting allows some."""
settings = st.dictionaries(st.sampled_from([row.setting.label for row in TABLE]), setting_texts, max_size=len(TABLE))
policies = settings.map(lambda texts: TrafficPolicy.from_settings(texts)[0])
overrides = st.just(Overrides()) | st.dictionaries(
    st.sampled_from([row.setting.label for row in OVERRIDES]), setting_texts
).map(lambda texts: Overrides.from_settings(texts)[0])


@st.composite
def _routes(draw: st.DrawFn) -> Route:
    grpc_service, _, method = draw(grpc_services | full_methods).partition("/")
    conditions = draw(st.just(()) | metadata)
    return Route(draw(hosts), grpc_service, conditions, method or "*", draw(priorities), draw(overrides))


routes = st.builds(Route, hosts, grpc_services, st.just(()) | metadata) | _routes()


@st.composite
def services(draw: st.DrawFn, *, max_targets: int = 60) -> Service:
    groups = draw(
        st.lists(
            st.builds(Group, st.text(ascii_letters + digits + "_-", min_size=1, max_size=255), st.integers(0, 1000)),
            max_size=3,
            unique_by=lambda group: group.name,
        )
    )
    targets = st.builds(
        Target,
        st.ip_addresses().map(str),
        ports,
        st.text(ascii_lowercase + digits + "-", max_size=63),
        st.sampled_from(TargetState),
        st.sampled_from([group.name for group in groups] or ["none"]),
        st.text(ascii_letters + digits + "_.:-", min_size=1, max_size=128),
    )
    return Service(
        draw(service_names),
        tuple(draw(st.lists(routes, max_size=5))),
        tuple(groups),
        tuple(draw(st.lists(targets, max_size=max_targets))) if groups else (),
        draw(st.just(TrafficPolicy()) | policies),
    )


rejected_labels = st.builds(
    RejectedLabel,
    st.text(),
    st.integers(0),
    st.text(),
    st.text(max_size=5_000) | st.text("{}", max_size=500),
    st.text(max_size=500),
)
shadowed_routes = st.builds(ShadowedRoute, st.text(max_size=1_000), service_names, service_names)
notes = st.just(Diagnostics()) | st.builds(
    Diagnostics.of, st.lists(rejected_labels, max_size=8), st.lists(shadowed_routes, max_size=8)
)
documents = st.builds(
    Document, st.lists(services(), max_size=6, unique_by=lambda service: service.name).map(tuple), notes
)


_route_names = st.text(ascii_lowercase + digits + "-", min_size=1, max_size=63)


def _listed(of: st.SearchStrategy[str]) -> st.SearchStrategy[tuple[str, ...]]:
    return st.lists(of, min_size=1, max_size=3).map(tuple)


@st.composite
def _rules(draw: st.DrawFn, policy: TrafficPolicy) -> tuple[RouteRule, ...]:
    found = []
    for name in draw(st.lists(_route_names, max_size=2, unique=True)):
        rule = RouteRule(
            name,
            draw(st.none() | _listed(hosts)),
            draw(st.none() | st.just(()) | _listed(grpc_services.filter(lambda each: each != "*"))),
            draw(st.none() | st.just(()) | _listed(full_methods)),
            draw(st.none() | metadata),
            draw(priorities),
            draw(overrides.filter(lambda each: not each.over(policy)[1])),
        )
        found.append(rule)
    return tuple(found)


@st.composite
def _registrations(draw: st.DrawFn) -> Registration:
    policy = draw(policies)
    return Registration(
        draw(service_names),
        draw(ports),
        draw(_listed(hosts)),
        draw(_listed(grpc_services)),
        draw(metadata),
        draw(st.none() | st.integers(0, 1000)),
        policy,
        draw(st.just(()) | _listed(full_methods)),
        draw(priorities),
        draw(_rules(policy)),
    )


registrations = _registrations()
