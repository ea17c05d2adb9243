"""Policies and their labels, one to one."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from dev.label_reference import label_reference
from grpc_lb_contract import (
    Balancing,
    Deadline,
    Document,
    Fault,
    HealthCheck,
    Method,
    OutlierDetection,
    RateLimit,
    Registration,
    Retry,
    RetryStatus,
    Service,
    Status,
    TrafficPolicy,
    encode_document,
    read_labels,
)
from grpc_lb_contract.labels.names import ALL_LABELS, ROUTE_SETTINGS
from grpc_lb_contract.labels.names import LABELS as LABELS_OF_EVERY_SERVICE
from grpc_lb_contract.policy.traffic_policy import POLICY_LABELS, TABLE
from tests.grpc_lb_contract.strategies import policies, setting_texts

POLICY = TrafficPolicy(
    balancing=Balancing(method=Method.MAGLEV, metadata_key="session"),
    retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}), max_retries=2, per_try_timeout=timedelta(milliseconds=250)),
    deadline=Deadline(max=timedelta(minutes=2)),
    fault=Fault(abort=Status.ABORTED, abort_percent=0.5),
)
LABELS = {
    "grpc-lb.balancing": "maglev",
    "grpc-lb.balancing.metadata-key": "session",
    "grpc-lb.retry.on": "UNAVAILABLE",
    "grpc-lb.retry.max-retries": "2",
    "grpc-lb.retry.per-try-timeout": "250ms",
    "grpc-lb.deadline.max": "2m",
    "grpc-lb.fault.abort": "ABORTED",
    "grpc-lb.fault.abort-percent": "0.5",
}


def read(labels: dict[str, str]) -> tuple[TrafficPolicy, list[str]]:
    reading = read_labels({"grpc-lb.enable": "true", **labels}, mapped_ports=[1], default_service="rng", family="fam")
    assert reading.registration is not None
    return reading.registration.policy, [str(error) for error in reading.errors]


def test_a_policy_is_its_labels() -> None:
    assert POLICY.to_labels() == LABELS
    assert read(LABELS) == (POLICY, [])


@given(policies)
@example(POLICY)
def test_labels_written_are_the_policy_read(policy: TrafficPolicy) -> None:
    assert TrafficPolicy.from_labels(policy.to_labels()) == (policy, ())
    assert read(policy.to_labels()) == (policy, [])


def test_what_is_at_its_default_is_in_no_label_and_no_document() -> None:
    assert TrafficPolicy().to_labels() == {}
    assert encode_document(Document((Service("rng"),))) == '{"service":"rng"}\n{"route":["*","*"]}\n'


def test_texts_may_be_written_in_several_ways() -> None:
    labels = {"grpc-lb.retry.on": " unavailable , INTERNAL,internal", "grpc-lb.deadline.default": " 60s "}
    policy, errors = read({**labels, "grpc-lb.fault.abort": "not_found"})
    assert errors == []
    assert policy.retry.on == {RetryStatus.UNAVAILABLE, RetryStatus.INTERNAL}
    assert policy.deadline.default == timedelta(minutes=1)
    assert policy.fault.abort is Status.NOT_FOUND
    assert policy.to_labels()["grpc-lb.deadline.default"] == "1m"


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"retry.max-retries": "11"}, "max-retries must be a whole number 0..10, got '11'"),
        ({"retry.max-retries": "-1"}, "max-retries must be a whole number 0..10, got '-1'"),
        ({"retry.max-retries": "٣"}, "max-retries must be a whole number 0..10"),
        ({"retry.on": "UNAVAILABLE,NOT_FOUND"}, "on must be a comma-separated list of CANCELLED, "),
        ({"retry.budget-percent": "1e3"}, "budget-percent must be a number 0..100 with at most 4 decimals"),
        ({"deadline.default": "5"}, "default must be a time 1ms..24h such as 250ms, 2s, 5m or 1h, got '5'"),
        ({"deadline.default": "9" * 9 + "h"}, "default must be a time 1ms..24h"),
        ({"balancing": "fastest"}, "balancing must be one of round-robin, least-request, random, ring-hash, maglev"),
        ({"balancing.metadata-key": "Session"}, "metadata-key must be a metadata key: 1 to 64 of a-z"),
        ({"health-check": "yes"}, "health-check must be true or false"),
        ({"health-check.service": "*"}, "service must be a full gRPC service name"),
        # Alone each of these is allowed
        ({"balancing": "ring-hash"}, "balancing needs balancing.metadata-key to be ring-hash or maglev"),
        ({"balancing.metadata-key": "a"}, "metadata-key needs balancing ring-hash or maglev"),
        ({"balancing.active-request-bias": "2"}, "active-request-bias needs balancing least-request"),
        ({"balancing": "random", "balancing.slow-start": "9s"}, "slow-start needs balancing round-robin"),
        ({"deadline.max": "1s", "deadline.default": "2s"}, "default must be at most deadline.max, got '2s'"),
        ({"rate-limit.burst": "3"}, "burst needs rate-limit.calls-per-second"),
        ({"fault.delay-percent": "3"}, "delay-percent needs fault.delay"),
        ({"fault.abort-percent": "3"}, "abort-percent needs fault.abort"),
        ({"health-check.interval": "9s"}, "interval needs health-check true"),
        ({"outlier.success-rate-min-calls": "9"}, "success-rate-min-calls needs outlier.success-rate true"),
        ({"mirror.service": "Other"}, "service must be the name of a service: 1 to 63 of a-z, 0-9 and -"),
        ({"mirror.percent": "5"}, "percent needs mirror.service"),
        ({"tls.server-name": "a.test"}, "server-name needs tls true"),
        ({"tls.verify": "system"}, "verify needs tls true"),
        ({"tls": "true", "tls.verify": "system"}, "verify needs tls.server-name to be system"),
        ({"tls": "true", "tls.server-name": "*.test"}, "server-name must be a host name without a port"),
        ({"tls": "true", "tls.pin": "abc"}, "pin must be a comma-separated list of at most 256 characters, each the "),
        ({"tls": "true", "tls.pin": ",".join("A" * 42 + last + "=" for last in "AEIMQU")}, "pin must be a comma-sep"),
        ({"web.allow-origins": "*"}, "allow-origins needs web true"),
        ({"web": "true", "web.max-age": "1m"}, "max-age needs web.allow-origins"),
        (
            {"web": "true", "web.allow-origins": "https://a.test/"},
            "allow-origins must be a comma-separated list of at ",
        ),
        ({"web": "true", "web.allow-origins": "https://a.test:443"}, "allow-origins must be a comma-separated list"),
        ({"web": "true", "web.allow-origins": "*.a.test"}, "allow-origins must be a comma-separated list"),
        # Another section makes them useless
        (
            {"deadline.max": "5s", "retry.per-try-timeout": "5s"},
            "per-try-timeout must be below deadline.max, 5s, or no call is retried, got '5s'",
        ),
        (
            {"retry.on": "INTERNAL", "retry.budget-min-concurrency": "0", "retry.budget-percent": "0"},
            "budget-percent must be above 0 where retry.on",
        ),
        (
            {"outlier.consecutive-errors": "5", "outlier.max-ejection-percent": "0"},
            "max-ejection-percent must be above 0 where failures are to eject targets, got '0'",
        ),
        ({"retry.max-retries": "0", "retry.on": "INTERNAL"}, "on needs retry.max-retries of 1 or more"),
    ],
)
def test_invariant_11_a_bad_setting_takes_out_only_itself(labels: dict[str, str], message: str) -> None:
    """GIVEN a bad setting WHEN good ones stand beside it THEN its default stays, and the error names the label."""
    good = {"grpc-lb.limits.requests": "7", "grpc-lb.weight": "5"}
    policy, (error,) = read({**{f"grpc-lb.{name}": text for name, text in labels.items()}, **good})
    assert error.startswith(message)
    *others, refused = labels
    assert f"(label grpc-lb.{refused} of task family fam)" in error
    expected, none_refused = TrafficPolicy.from_settings(
        {name: labels[name] for name in others} | {"limits.requests": "7"}
    )
    assert (policy, none_refused) == (expected, ())


def test_a_setting_that_stood_on_a_refused_one_is_refused_too() -> None:
    policy, errors = read({"grpc-lb.balancing": "maglev", "grpc-lb.balancing.metadata-key": "No Key"})
    assert policy == TrafficPolicy()
    assert [error.split()[0] for error in errors] == ["metadata-key", "balancing"]


def test_an_unknown_label_is_told_which_there_are_about_the_same() -> None:
    _, (error,) = read({"grpc-lb.deadline.maximum": "5s"})
    assert error == (
        "maximum must be one of the labels grpc-lb.deadline.max, grpc-lb.deadline.default "
        "(grpc-lb.deadline.max?), got '5s' (label grpc-lb.deadline.maximum of task family fam)"
    )


@pytest.mark.parametrize("text", ["", "-1", "1001", "five"])
def test_a_bad_weight_is_refused_alone(text: str) -> None:
    reading = read_labels(
        {"grpc-lb.enable": "true", "grpc-lb.weight": text}, mapped_ports=[1], default_service="rng", family="fam"
    )
    assert reading.registration == Registration("rng", 1)
    (error,) = map(str, reading.errors)
    assert error == f"weight must be a whole number 0..1000, got {text!r} (label grpc-lb.weight of task family fam)"


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda: Retry(max_retries=True), "max_retries must be a whole number 0..10, got True"),
        (lambda: Retry(per_try_timeout=timedelta(microseconds=1)), "per_try_timeout must be a time 10ms..1h"),
        (lambda: Retry(base_backoff=5), "base_backoff must be a time"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: Balancing(method="random"), "method must be one of"),  # type: ignore[arg-type]  # wrong on purpose
        (lambda: Balancing(method=Method.MAGLEV), "method needs balancing.metadata-key"),
        (lambda: Fault(abort=Status.INTERNAL, abort_percent=float("nan")), "abort_percent must be a number 0..100"),
        (lambda: RateLimit(burst=1), "burst needs rate-limit.calls-per-second"),
        (lambda: HealthCheck(enabled=True, service="a/b"), "service must be a full gRPC service name"),
        (
            lambda: OutlierDetection(max_ejection_percent=101),
            r"max_ejection_percent must be a whole number 0\.\.100, got 101",
        ),
    ],
)
def test_a_policy_that_no_label_could_say_is_not_made(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        wrong()


@given(st.dictionaries(st.sampled_from([*POLICY_LABELS, "grpc-lb.weight"]), setting_texts | st.text(max_size=8)))
def test_no_label_crashes_the_reader_and_every_error_names_a_label_that_is_there(labels: dict[str, str]) -> None:
    reading = read_labels({"grpc-lb.enable": "true", **labels}, mapped_ports=[1], default_service="rng", family="fam")
    assert reading.registration is not None
    for error in reading.errors:
        assert error.label in labels
        assert error.value == labels[error.label]
    # AND without the refused ones the rest reads the same
    refused = {error.label for error in reading.errors}
    again = read({label: text for label, text in labels.items() if label not in refused})
    assert again == (reading.registration.policy, [])


@given(policies)
def test_a_policys_record_fits_beside_others_in_one_parameter(policy: TrafficPolicy) -> None:
    assert len(encode_document(Document((Service("rng", policy=policy),)))) < 2048


def test_the_reference_has_a_row_for_each_label() -> None:
    rows = label_reference().splitlines()[2:]
    of_routes = [f"grpc-lb.routes.NAME.{setting}" for setting in ROUTE_SETTINGS]
    assert [*LABELS_OF_EVERY_SERVICE, *(row.split("`")[1] for row in rows)] == [*ALL_LABELS, *of_routes]
    assert all(row.count(" | ") == 3 for row in rows)
    assert "| `grpc-lb.retry.max-retries` | a whole number 0..10 | `3` | Maximum retries of a call. |" in rows
    assert len(set(POLICY_LABELS)) == len(TABLE)
