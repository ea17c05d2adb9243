"""The parts of the template that say what a balancer tells of its calls: access log and statistics."""

from __future__ import annotations

import aws_cdk as cdk
import pytest

from cdk_grpc_lb import AccessLog
from proxy_image.settings import from_environment
from proxy_image.telemetry import AccessLogSettings as Told
from proxy_image.telemetry import CallStatistics, Logged
from tests.cdk_grpc_lb.template import Synthesised, synthesise
from tests.cdk_grpc_lb.validation.cases import BALANCER, balancer_in, refused, resources


@pytest.mark.parametrize(
    ("access_log", "told"),
    [
        (AccessLog.failures(), Told(Logged.FAILURES, 1)),
        (AccessLog.sampled(0.5), Told(Logged.SAMPLED, 0.5)),
        (AccessLog.all(), Told(Logged.ALL, 1)),
    ],
)
def test_the_image_understands_what_the_construct_tells_it(stack: cdk.Stack, access_log: AccessLog, told: Told) -> None:
    balancer_in(stack, access_log=access_log)
    environment = synthesise(stack).environment("Balancer")
    known = {name: value for name, value in environment.items() if "ACCESS_LOG" in name}
    assert from_environment({"GRPC_LB_TARGETS_FILE": "x.json", **known}).telemetry.access_log == told


def test_by_default_no_call_is_logged(example: Synthesised) -> None:
    assert not [name for name in example.environment("Balancer") if "ACCESS_LOG" in name]


def test_methods_are_counted_where_that_is_asked_for(stack: cdk.Stack) -> None:
    balancer_in(stack, call_statistics="methods")
    told = {"GRPC_LB_CALL_STATISTICS": synthesise(stack).environment("Balancer")["GRPC_LB_CALL_STATISTICS"]}
    statistics = from_environment({"GRPC_LB_TARGETS_FILE": "x.json", **told}).telemetry.statistics
    assert statistics is CallStatistics.METHODS


def test_statistics_that_there_are_none_of_are_refused(stack: cdk.Stack) -> None:
    with refused(BALANCER, "call_statistics", "one of services, methods, off", "'all'"):
        balancer_in(stack, call_statistics="all")


@pytest.mark.parametrize(
    ("access_log", "prop", "allowed", "got"),
    [
        (AccessLog(calls="some"), "access_log.calls", "one of failures, sampled, all", "'some'"),
        (AccessLog.sampled(100.1), "access_log.percent", "0..100", "100.1"),
    ],
)
def test_what_no_balancer_could_be_told_is_refused_before_anything_is_made(
    stack: cdk.Stack, access_log: AccessLog, prop: str, allowed: str, got: str
) -> None:
    with refused(BALANCER, prop, allowed, got):
        balancer_in(stack, access_log=access_log)
    assert not resources(stack)
