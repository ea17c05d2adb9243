"""No call comes to a container that Traefik's rule would not route to it: rules and calls by chance."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from hypothesis import event, given, settings
from hypothesis import strategies as st

from grpc_lb_contract import Match, Route, read_labels
from tests.traefik_labels.expressions import RULES, SAMPLES, Sample, Words
from traefik_labels import Container, Outcome, TraefikLabels, translate
from traefik_labels.grammar.parsing import read_expression, read_first_rule
from traefik_labels.grammar.syntax import And, Call, Expression, Not, Or


@dataclass(frozen=True)
class Read:
    """What came of a rule: its routes, and whether all of it was said."""

    routes: tuple[Route, ...]
    whole: bool


def read(labels: Mapping[str, str]) -> Read:
    translation = translate(Container(labels, ports=(50051,)), TraefikLabels())
    reading = read_labels(translation.labels, mapped_ports=[50051], default_service="rng", family="rng")
    assert reading.errors == ()
    whole = all(remark.outcome is Outcome.NOT_NEEDED for remark in translation.remarks)
    return Read(() if reading.registration is None else reading.registration.routes, whole)


@settings(max_examples=3 * settings().max_examples)
@given(st.lists(RULES, min_size=1, max_size=2), SAMPLES)
def test_a_call_that_comes_is_one_that_a_rule_takes(rules: list[Expression], sample: Sample) -> None:
    # GIVEN routers with rules of version 3, and what comes of them
    routers = {f"traefik.http.routers.r{number}.rule": str(rule) for number, rule in enumerate(rules)}
    second = read({**routers, "traefik.http.services.rng.loadbalancer.server.scheme": "h2c"})
    # THEN a call that a route takes is one that a rule takes
    by_route = any(takes(route, sample) for route in second.routes)
    by_rule = any(holds(rule, sample) for rule in rules)
    assert by_rule or not by_route
    # AND where nothing is said to be left out, those are all
    assert by_route or not by_rule or not second.whole
    event(f"whole {second.whole}, routes {min(len(second.routes), 2)}, taken {by_route}")


@given(st.lists(Words.FIRST, min_size=1, max_size=4), SAMPLES)
def test_so_it_is_with_version_1(matchers: list[str], sample: Sample) -> None:
    text = ";".join(matchers)
    first = read({"traefik.protocol": "h2c", "traefik.frontend.rule": text})
    by_route = any(takes(route, sample) for route in first.routes)
    by_rule = all(holds(call, sample) for call in read_first_rule(text))
    assert by_rule or not by_route
    assert by_route or not by_rule or not first.whole


@given(RULES)
def test_a_rule_that_is_written_is_read_as_it_was(rule: Expression) -> None:
    assert read_expression(str(rule)) == rule


def takes(route: Route, sample: Sample) -> bool:
    """What a route says: grpc_lb_contract.document.model.Route."""
    host = route.host in ("*", sample.host) or (route.host[:1] == "*" and sample.host.endswith(route.host[1:]))
    called = route.grpc_service in ("*", sample.grpc_service) and route.method in ("*", sample.method)
    return (
        host
        and called
        and all(
            _fits(condition.match, condition.value, sample.metadata.get(condition.key)) for condition in route.metadata
        )
    )


def _fits(match: Match, value: str, got: str | None) -> bool:
    if match is Match.EXACT:
        return got == value
    if match is Match.NOT_EXACT:
        return got != value
    if match is Match.PREFIX:
        return got is not None and got.startswith(value)
    return (got is not None) is (match is Match.PRESENT)


def holds(expression: Expression, sample: Sample) -> bool:
    """What Traefik says of a rule: https://doc.traefik.io/traefik/v3.6/routing/routers/#rule"""
    if isinstance(expression, Not):
        return not holds(expression.what, sample)
    if isinstance(expression, And):
        return all(holds(part, sample) for part in expression.all)
    if isinstance(expression, Or):
        return any(holds(part, sample) for part in expression.any)
    assert isinstance(expression, Call)
    return _call_holds(expression, sample)


def _call_holds(call: Call, sample: Sample) -> bool:
    path = f"/{sample.grpc_service}/{sample.method}"
    first, *others = call.arguments
    match call.name:
        case "Host":
            return sample.host in [host.lower() for host in call.arguments]
        case "HostRegexp":
            return _host_fits(first, sample.host)
        case "Path":
            return path in call.arguments
        case "PathPrefix":
            return path.startswith(call.arguments)
        case "PathRegexp":
            return re.search(first, path) is not None
        case "Header" | "Headers":
            return sample.metadata.get(first.lower()) == others[0]
        case "HeaderRegexp" | "HeadersRegexp":
            return first in sample.metadata and re.search(others[0], sample.metadata[first]) is not None
        case "Method":
            return "POST" in call.arguments
        case "ClientIP":
            return sample.known_client
        case "Query":
            return False
    raise AssertionError(call)


def _host_fits(pattern: str, host: str) -> bool:
    # {name:pattern} is what versions 1 and 2 have, where the rest is text and the whole must fit.
    if "{" in pattern:
        parts = re.split(r"\{[^:}]*:([^}]*)\}", pattern)
        regex = "".join(part if number % 2 else re.escape(part) for number, part in enumerate(parts))
        return re.fullmatch(regex, host) is not None
    return re.search(pattern, host) is not None
