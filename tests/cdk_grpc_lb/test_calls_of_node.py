"""How often the constructs call the CDK, which runs in a Node: every synth of every app pays for each call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import aws_cdk as cdk
import pytest
from jsii._kernel.providers.process import _NodeProcess

from app import GrpcRandomNumbers
from cdk_grpc_lb import GrpcBalancer
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.validation.cases import existing_cluster
from tests.cdk_grpc_lb.ways import IMAGE

# 219 with aws-cdk-lib 2.275. Each prop of a struct that the CDK returns is a call.
MAX_CALLS = 240


CallsOf = Callable[[Callable[[], object]], int]


@pytest.fixture
def calls_of(monkeypatch: pytest.MonkeyPatch) -> CallsOf:
    count = 0
    send = _NodeProcess.send

    def counted(self: _NodeProcess, *request: Any) -> Any:
        nonlocal count
        count += 1
        return send(self, *request)

    def during(make: Callable[[], object]) -> int:
        before = count
        make()
        return count - before

    monkeypatch.setattr(_NodeProcess, "send", counted)
    return during


def test_the_example_makes_no_more_calls_than_it_needs(calls_of: CallsOf) -> None:
    assert 0 < calls_of(lambda: GrpcRandomNumbers(template_app(), "GrpcRandomNumbers")) <= MAX_CALLS


def test_a_further_service_of_a_balancer_makes_as_many_calls_as_those_before(calls_of: CallsOf) -> None:
    stack = cdk.Stack(template_app(), "Stack")
    balancer = GrpcBalancer(stack, "Balancer", cluster=existing_cluster(stack))

    def add(number: int) -> int:
        hosts = [f"{number}.internal"]
        return calls_of(lambda: balancer.add_service(f"Service{number}", image=IMAGE, port=7000, hosts=hosts))

    _, second, *_, last = [add(number) for number in range(8)]
    assert 0 < last <= 1.1 * second
