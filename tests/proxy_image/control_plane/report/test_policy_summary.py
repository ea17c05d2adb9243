"""A policy in words: every choice is said, and nothing else."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given

from grpc_lb_contract import Condition, Deadline, Match, Overrides, Retry, Route, TrafficPolicy
from grpc_lb_contract.policy.traffic_policy import TABLE
from grpc_lb_contract.policy.value_types import ConflictError
from proxy_image.control_plane.report import policy_summary
from proxy_image.control_plane.report.policy_summary import policy_words, route_words, span
from tests.grpc_lb_contract.strategies import policies


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, ()),
        ({"balancing": "least-request"}, ("least request: the less busy of two targets",)),
        (
            {"balancing": "maglev", "balancing.metadata-key": "x-user"},
            ("calls with the same x-user go to the same target (maglev)",),
        ),
        ({"balancing.slow-start": "30s"}, ("new targets come to their full share within 30 s",)),
        ({"limits.requests": "2000"}, ("at most 2,000 calls at once",)),
        (
            {"retry.on": "UNAVAILABLE", "retry.max-retries": "1"},
            ("retries UNAVAILABLE and what no server has seen, up to 1 time",),
        ),
        ({"retry.max-retries": "0"}, ("never retried",)),
        (
            {"deadline.max": "5s", "deadline.default": "250ms"},
            ("deadlines: the caller's, at most 5 s", "250 ms for calls without a deadline"),
        ),
        (
            {"rate-limit.calls-per-second": "100"},
            ("at most 100 calls/s to each route; beyond that RESOURCE_EXHAUSTED",),
        ),
        (
            {"fault.abort": "UNAVAILABLE", "fault.abort-percent": "5"},
            ("on purpose 5 % of the calls are answered UNAVAILABLE",),
        ),
        (
            {"outlier.consecutive-errors": "5", "outlier.base-ejection-time": "1m"},
            (
                "a target is ejected for 1 min or more after 2 failures to reach it or 5 error "
                "answers in a row; at most 50 % at once",
            ),
        ),
        (
            {"mirror.service": "shadow", "mirror.percent": "10"},
            ("10 % of the calls are copied to shadow, whose answers are dropped",),
        ),
        ({"tls": "true"}, ("TLS to the targets; certificates are not verified",)),
        ({"web": "true", "web.allow-origins": "*"}, ("gRPC-Web from pages of any origin",)),
    ],
)
def test_a_choice_is_said_in_words(settings: dict[str, str], words: tuple[str, ...]) -> None:
    policy, refused = TrafficPolicy.from_settings(settings)
    assert not refused
    assert policy_words(policy) == words


@given(policies)
def test_every_policy_has_words_where_it_differs_from_the_default(policy: TrafficPolicy) -> None:
    words = policy_words(policy)
    assert bool(words) == (policy != TrafficPolicy())
    assert all(phrase and "None" not in phrase for phrase in words)


@given(policies)
def test_every_setting_of_the_contract_is_told(policy: TrafficPolicy) -> None:
    """GIVEN any policy WHEN one of its choices goes back to the default THEN the page says something else."""
    for row in TABLE:
        section = getattr(policy, row.part)
        if getattr(section, row.name) == row.default:
            continue
        with suppress(ConflictError):
            without = replace(policy, **{row.part: replace(section, **{row.name: row.default})})
            assert policy_words(policy) != policy_words(without), row.label


@pytest.mark.parametrize(
    "settings",
    [
        {"web": "true", "web.allow-origins": "*", "web.allow-headers": "x-tenant"},
        {"web": "true", "web.allow-origins": "*", "web.expose-headers": "x-tenant"},
        {"web": "true", "web.allow-origins": "*", "web.max-age": "10m"},
    ],
)
def test_a_setting_without_words_of_its_own_is_told_by_its_label(settings: dict[str, str]) -> None:
    policy, rejected = TrafficPolicy.from_settings(settings)
    assert not rejected
    *_, (label, text) = settings.items()
    assert f"{label} {text}" in policy_words(policy)


def test_a_setting_that_the_words_do_not_know_yet_is_told_by_its_label(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN words about ejection that were written before a setting was added
    monkeypatch.setitem(policy_summary._WORDS, "outlier_detection", lambda _: iter(["targets are ejected"]))
    # WHEN it is the only choice
    policy, _ = TrafficPolicy.from_settings({"outlier.max-ejection-percent": "20"})
    # THEN the page tells it
    assert policy_words(policy) == ("targets are ejected", "outlier.max-ejection-percent 20")


@pytest.mark.parametrize(
    ("time", "said"),
    [
        (timedelta(milliseconds=1500), "1,500 ms"),
        (timedelta(seconds=90), "90 s"),
        (timedelta(minutes=90), "90 min"),
        (timedelta(days=2), "48 h"),
    ],
)
def test_times_are_said_in_their_largest_whole_unit(time: timedelta, said: str) -> None:
    assert span(time) == said


@pytest.mark.parametrize(
    ("route", "words"),
    [
        (Route(), "any host / any gRPC service"),
        (Route("a.test", "a.B", method="C"), "a.test / a.B / C"),
        (
            Route("a.test", "a.B", (Condition("k", Match.NOT_EXACT, "v"), Condition("l"))),
            "a.test / a.B if k!=v and l",
        ),
        (
            Route(priority=5, overrides=Overrides(Deadline(timedelta(seconds=2)), Retry(max_retries=0))),
            "any host / any gRPC service (priority 5, retry.max-retries 0, deadline.max 2s)",
        ),
    ],
)
def test_a_route_says_which_calls_it_takes_and_what_is_its_own(route: Route, words: str) -> None:
    assert route_words(route) == words
