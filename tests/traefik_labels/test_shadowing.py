"""What a router that is left out would have checked, or sent elsewhere, comes through no other router."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from tests.growth import assert_takes_at_most
from tests.traefik_labels.expressions import RULES, SAMPLES, Sample, mixes_syntaxes
from tests.traefik_labels.test_never_wider import holds, read, takes
from traefik_labels import Container, Outcome, TraefikLabels, translate
from traefik_labels.grammar.syntax import Expression

H2C = {"traefik.http.services.rng.loadbalancer.server.scheme": "h2c"}
AUTH = {
    "traefik.http.routers.checked.middlewares": "auth",
    "traefik.http.middlewares.auth.basicauth.users": "joe:$apr1$x",
}
ELSEWHERE = {"traefik.http.routers.checked.service": "other@file", "traefik.http.routers.open.service": "rng"}
HOST, ADMIN = "Host(`a.test`)", "Host(`a.test`) && PathPrefix(`/admin.v1.Admin/`)"


def second(**labels: str) -> dict[str, str]:
    return H2C | {f"traefik.http.routers.{name.replace('_', '.')}": text for name, text in labels.items()}


def hosts_of(labels: dict[str, str], entry_points: Sequence[str] = ()) -> str | None:
    found = translate(Container(labels, ports=(50051,)), TraefikLabels(entry_points=entry_points))
    assert found.labels.get("grpc-lb.grpc-services") is None
    return found.labels.get("grpc-lb.hosts")


@settings(max_examples=2 * settings().max_examples)
@given(RULES, RULES, st.sampled_from([AUTH, ELSEWHERE]), st.sampled_from(["", "1", "1000", "-1"]), SAMPLES)
def test_a_call_that_comes_is_one_that_traefik_does_not_send_through_the_other(
    rule: Expression, other: Expression, kept_out: dict[str, str], priority: str, sample: Sample
) -> None:
    # GIVEN a router, and another one that is left out
    labels = second(open_rule=str(rule), checked_rule=str(other), checked_priority=priority) | kept_out
    routes = read(labels).routes
    # THEN a call that comes is one of the first, and none for which Traefik may ask the other first
    came = any(takes(route, sample) for route in routes)
    asked_first = not mixes_syntaxes(other) and (int(priority or 0) or len(str(other))) >= len(str(rule))
    assert not came or (holds(rule, sample) and not (asked_first and holds(other, sample)))
    event(f"came {came}, left out first {asked_first and holds(other, sample)}")


@pytest.mark.parametrize("kept_out", [AUTH, ELSEWHERE])
def test_a_router_is_left_out_with_one_that_would_check_some_of_its_calls(kept_out: dict[str, str]) -> None:
    labels = second(open_rule=HOST, checked_rule=ADMIN) | kept_out
    assert hosts_of(labels) is None
    [why] = [
        remark.why
        for remark in translate(Container(labels, ports=(50051,)), TraefikLabels()).remarks
        if remark.label == "traefik.http.routers.open.rule"
    ]
    assert why.startswith("Traefik asks the router checked first, which is left out")


@pytest.mark.parametrize(
    "labels",
    [
        second(open_rule=HOST, checked_rule="Host(`b.test`) && PathPrefix(`/admin.v1.Admin/`)"),
        second(open_rule=HOST, checked_rule=ADMIN, open_priority="100"),
        second(open_rule=HOST, checked_rule=ADMIN, checked_priority="1"),
        second(open_rule=f"{HOST} && !Header(`x-canary`, `yes`)", checked_rule=f"{HOST} && Header(`x-canary`, `yes`)"),
        second(open_rule=HOST, checked_rule=f"{HOST} && Path(`/`)"),
    ],
)
def test_a_router_stays_whose_calls_are_its_own(labels: dict[str, str]) -> None:
    assert hosts_of(labels | AUTH) == "a.test"


@pytest.mark.parametrize(
    "rule",
    [
        "Host(`shop.test `)",
        "Host(`https://shop.test`)",
        "Host(`[2001:db8::1]:50051`)",
        "HostRegexp(`^[[:lower:]]{4}\\.test`)",
        "HostRegexp(`^shop\\-[a-z]\\.test`)",
    ],
)
def test_an_odd_host_of_one_router_takes_no_calls_of_another(rule: str) -> None:
    assert hosts_of(second(open_rule=HOST, checked_rule=rule, checked_priority="1000") | AUTH) == "a.test"


def test_a_router_stays_beside_one_for_other_callers() -> None:
    labels = second(open_rule=HOST, checked_rule=HOST, open_entrypoints="grpc", checked_entrypoints="web") | AUTH
    assert hosts_of(labels, entry_points=["grpc"]) == "a.test"
    # WHERE nothing is known of the callers, neither is served
    assert hosts_of(labels) is None


def test_the_alternatives_that_no_other_router_checks_stay() -> None:
    rule = "Host(`a.test`) || Host(`b.test`)"
    assert hosts_of(second(open_rule=rule, checked_rule=ADMIN) | AUTH) == "b.test"


def test_hostile_labels_take_no_more_time_than_others() -> None:
    """GIVEN 15 routers of 441 alternatives each that are left out, beside 30 that are not."""
    keys = " && ".join(f"({' || '.join(f'Header(`k{key}`, `{value}`)' for value in range(21))})" for key in range(2))
    routers = {f"open{number}_rule": keys for number in range(30)}
    others = {f"open{number}_rule": keys for number in range(45)}
    rivals = {f"x{number}_rule": keys for number in range(15)} | {f"x{n}_middlewares": "auth@file" for n in range(15)}
    assert hosts_of(second(**routers, **rivals)) is None
    assert_takes_at_most(3, lambda: hosts_of(second(**routers, **rivals)), times=lambda: hosts_of(second(**others)))


@pytest.mark.parametrize("chain", ["c", "c,c,c,c,c,c,c,c,c,c,c,c", "d"])
def test_a_chain_that_holds_itself_takes_no_time_and_its_router_with_it(chain: str) -> None:
    """Nor does Traefik take it. Followed to a depth, 12 names in a chain were 12 to the power of that."""
    chains = {
        "traefik.http.routers.open.middlewares": "c",
        "traefik.http.middlewares.c.chain.middlewares": chain,
        "traefik.http.middlewares.d.chain.middlewares": "c",
    }
    assert hosts_of(second(open_rule=HOST) | chains) is None
    # THEN it takes no longer than a chain that holds one middleware
    single = {name: value for name, value in chains.items() if "routers" in name} | {
        "traefik.http.middlewares.c.chain.middlewares": "e",
        "traefik.http.middlewares.e.compress": "true",
    }
    assert_takes_at_most(
        20, lambda: hosts_of(second(open_rule=HOST) | chains), times=lambda: hosts_of(second(open_rule=HOST) | single)
    )


def test_a_middleware_in_two_chains_of_a_router_is_none_that_holds_itself() -> None:
    chains = {
        "traefik.http.routers.open.middlewares": "c,d",
        "traefik.http.middlewares.c.chain.middlewares": "d,e",
        "traefik.http.middlewares.d.chain.middlewares": "e,e",
        "traefik.http.middlewares.e.compress": "true",
    }
    assert hosts_of(second(open_rule=HOST) | chains) == "a.test"


@pytest.mark.parametrize("matcher", ["Header(`Host`, `a.test`)", "HeaderRegexp(`host`, `^a`)"])
def test_no_request_has_a_header_host(matcher: str) -> None:
    """As Go has it: https://pkg.go.dev/net/http#Request"""
    assert read(second(open_rule=matcher)).routes == ()
    negated = read(second(open_rule="Host(`b.test`) && !Header(`Host`, `a.test`)"))
    assert [str(route) for route in negated.routes] == ["host b.test and gRPC service *"]


def test_so_it_is_with_version_1() -> None:
    labels = {
        "traefik.protocol": "h2c",
        "traefik.open.frontend.rule": "Host:a.test,b.test",
        "traefik.checked.frontend.rule": "Host:a.test;PathPrefix:/admin.v1.Admin/",
        "traefik.checked.frontend.auth.basic.users": "joe:$apr1$x",
    }
    assert hosts_of(labels) == "b.test"
    assert hosts_of(labels | {"traefik.open.frontend.priority": "100"}) == "a.test,b.test"
    found = translate(Container(labels, ports=(50051,)), TraefikLabels())
    assert ("traefik.open.frontend.rule", Outcome.LEFT_OUT) in [(one.label, one.outcome) for one in found.remarks]
