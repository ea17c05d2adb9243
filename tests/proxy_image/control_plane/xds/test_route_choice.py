"""Whichever routes there are, the one that the rule of docs/labels.md names takes a call."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from grpc_lb_contract import Condition, Document, Match, Route, Service, TrafficPolicy, Web, resolve_conflicts
from proxy_image.control_plane.xds.envoy.routes import route_configuration

HOSTS = ("*", "*.test", "*.b.test", "a.b.test", "b.test")
CALLED_HOSTS = ("a.b.test", "c.b.test", "d.a.b.test", "b.test", "x.test", "elsewhere", "b.test.evil", "test")
VALUES = ("one", "only")


@dataclass(frozen=True)
class Call:
    host: str
    grpc_service: str
    method: str
    metadata: Mapping[str, str]


conditions = st.builds(
    lambda key, match, value: Condition(key, match, "" if match in (Match.PRESENT, Match.ABSENT) else value),
    st.sampled_from(["x-k", "x-l"]),
    st.sampled_from(Match),
    st.sampled_from(["o", *VALUES]),
)
routes = st.builds(
    lambda host, called, metadata, priority: Route(host, called[0], tuple(metadata), called[1], priority),
    st.sampled_from(HOSTS),
    st.sampled_from([("*", "*"), ("a.A", "*"), ("a.A", "M"), ("a.A", "Mm"), ("a.Aa", "*"), ("a", "*")]),
    st.just(()) | st.lists(conditions, max_size=2),
    st.just(0) | st.sampled_from([1, 1_000_000]),
)
services = st.builds(
    lambda name, routes, web: Service(name, tuple(routes), policy=TrafficPolicy(web=Web(enabled=web))),
    st.sampled_from(["one", "two", "three", "four"]),
    st.lists(routes, max_size=8),
    st.booleans(),
)
documents = st.lists(services, max_size=4, unique_by=lambda one: one.name).map(
    lambda of: Document(resolve_conflicts(of, None)[0])
)
calls = st.builds(
    Call,
    st.sampled_from(CALLED_HOSTS),
    st.sampled_from(["a.A", "a.Aa", "a", "z.Z"]),
    st.sampled_from(["M", "Mm", "Z"]),
    st.dictionaries(st.sampled_from(["x-k", "x-l"]), st.sampled_from(VALUES)),
)


def by_the_rule(document: Document, call: Call) -> str | None:
    """The service that takes a call, said as docs/labels.md says it."""
    fitting = [
        (route, service.name)
        for service in document.services
        for route in service.routes
        if _host_fits(route.host, call.host)
        and route.grpc_service in ("*", call.grpc_service)
        and route.method in ("*", call.method)
        and all(_fits(condition, call.metadata) for condition in route.metadata)
    ]
    best = max(fitting, key=_rank, default=None)
    if best is None:
        return None
    # Of routes alike but for their conditions, the first by text.
    return min((one for one in fitting if _rank(one) == _rank(best)), key=lambda one: one[0].metadata)[1]


def _rank(found: tuple[Route, str]) -> tuple[Any, ...]:
    route, _ = found
    specific = (not route.host.startswith("*"), len(route.host))
    return specific, route.priority, len(route.metadata), route.method != "*", route.grpc_service != "*"


def _host_fits(pattern: str, host: str) -> bool:
    return pattern in ("*", host) or (pattern.startswith("*.") and host.endswith(pattern[1:]) and host != pattern[1:])


def _fits(condition: Condition, metadata: Mapping[str, str]) -> bool:
    value = metadata.get(condition.key)
    match condition.match:
        case Match.EXACT:
            return value == condition.value
        case Match.NOT_EXACT:
            return value != condition.value
        case Match.PREFIX:
            return value is not None and value.startswith(condition.value)
        case Match.PRESENT:
            return value is not None
        case Match.ABSENT:
            return value is None


def by_envoy(configuration: Any, call: Call) -> str | None:
    """As Envoy chooses: one virtual host, and of its routes the first that fits.

    https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/route/v3/route_components.proto
    """
    by_domain = {domain: host for host in configuration.virtual_hosts for domain in host.domains}
    domain = next(domain for domain in _domains(call.host) if domain in by_domain)
    headers = {":method": "POST", "content-type": "application/grpc", **call.metadata}
    path = f"/{call.grpc_service}/{call.method}"
    for route in by_domain[domain].routes:
        if _takes(route.match, path, headers):
            return str(route.route.cluster) if route.HasField("route") else None
    raise AssertionError("the last route of a virtual host takes all that is left")


def _domains(host: str) -> Iterator[str]:
    yield host
    yield from sorted((f"*{host[at:]}" for at in range(1, len(host))), key=len, reverse=True)
    yield "*"


def _takes(match: Any, path: str, headers: Mapping[str, str]) -> bool:
    way = match.WhichOneof("path_specifier")
    fits = {"path": path == match.path, "prefix": path.startswith(match.prefix)}[way]
    return fits and all(_header_fits(header, headers) for header in match.headers)


def _header_fits(matcher: Any, headers: Mapping[str, str]) -> bool:
    value = headers.get(matcher.name)
    if matcher.WhichOneof("header_match_specifier") == "present_match":
        return (value is not None) is (matcher.present_match is not matcher.invert_match)
    if value is None:
        if not matcher.treat_missing_header_as_empty:
            return False
        value = ""
    pattern = matcher.string_match
    fits = {
        "exact": value == pattern.exact,
        "prefix": value.startswith(pattern.prefix),
        "safe_regex": re.fullmatch(pattern.safe_regex.regex, value) is not None,
    }
    return bool(fits[pattern.WhichOneof("match_pattern")] is not matcher.invert_match)


@settings(max_examples=2 * settings().max_examples)
@given(documents, st.lists(calls, min_size=1, max_size=20))
def test_the_route_that_the_rule_names_takes_the_call(document: Document, asked: list[Call]) -> None:
    configuration = route_configuration(document, "calls")
    for call in asked:
        assert by_envoy(configuration, call) == by_the_rule(document, call), call
