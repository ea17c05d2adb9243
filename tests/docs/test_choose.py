"""docs/choose.md: what each way costs is computed from its prices, and the small balancer is what it says."""

from __future__ import annotations

import ast
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancer
from grpc_lb_contract import cloudwatch
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import synthesise
from tests.docs.pages import code_blocks, page, section, tables
from tests.docs.test_operate import value_of

PAGE = page("choose")
SMALLEST = section(PAGE, "## Without a load balancer")
SMALL = section(PAGE, "## A balancer at less than half the price")
(COSTS,) = tables(section(PAGE, "## What each way costs"))
MILLION = {row[0]: float(row[2]) for row in COSTS}
WITHOUT = "small, and [without a load balancer](#without-a-load-balancer)"
BALANCER, SMALLER = "this library's balancer", "the same, [small](#a-balancer-at-less-than-half-the-price)"
OPERATE, _ = tables(page("operate/costs").partition("\n## ")[0])


def paid(written: str) -> float:
    return value_of(ast.parse(written.replace(",", "").replace("×", "*"), mode="eval").body)


def fixed(*, without: tuple[str, ...]) -> float:
    """What operate/costs.md has for a balancer, without its sum and some of its rows."""
    kept = [figure for what, _, figure in OPERATE[:-1] if not what.startswith(without)]
    assert len(kept) == len(OPERATE) - 1 - len(without)
    return sum(map(float, kept))


@pytest.mark.parametrize("row", COSTS, ids=[row[0] for row in COSTS])
def test_each_sum_makes_the_figure_beside_it(row: list[str]) -> None:
    _, million, its_price, billion, its_other_price = row
    assert paid(million) == pytest.approx(float(its_price), abs=0.0051)
    assert paid(billion) == pytest.approx(float(its_other_price), abs=0.0051)
    # THEN the billion is a thousand times the traffic, and nothing else is changed
    assert billion == million.replace("+ 2 ×", "+ 2,000 ×")


def test_the_balancers_sums_start_from_those_of_the_page_about_operation() -> None:
    written = {row[0]: row[1] for row in COSTS}
    traffic_and_metrics = ("its capacity units", "traffic between zones", "CloudWatch, ")
    without = fixed(without=traffic_and_metrics)
    assert written[BALANCER].startswith(f"{without:.2f} + ")
    assert f"+ {fixed(without=(*traffic_and_metrics, 'Fargate')):.2f} +" in written[SMALLER]
    least = fixed(without=(*traffic_and_metrics, "Fargate", "Network Load Balancer"))
    assert f"+ {least:.2f} + 0.50 +" in written[WITHOUT]
    of_balancer = len(cloudwatch.PER_SERVICE) + len(cloudwatch.PER_BALANCER) + len(cloudwatch.PER_DOCUMENT)
    of_service = len(cloudwatch.PER_SERVICE) + 1
    assert f"+ {of_balancer + of_service} × 0.30 +" in written[BALANCER]


def test_the_page_says_what_the_table_has() -> None:
    assert f"It costs {MILLION[SMALLER]:.2f} a month at a million calls instead of {MILLION[BALANCER]:.2f}" in SMALL
    assert MILLION[SMALLER] < MILLION[BALANCER] / 2
    assert f"It costs {MILLION[WITHOUT]:.2f} a month at a million calls, or" in SMALLEST
    on_demand = MILLION[WITHOUT] + 0.7 * paid("730 × (0.5 × 0.03238 + 1 × 0.00356)")
    assert f"{on_demand:.2f}" in " ".join(SMALLEST.split())
    assert on_demand < MILLION["ALB"]
    on_demand = MILLION[SMALLER] + 0.7 * paid("730 × (0.5 × 0.03238 + 1 × 0.00356)")
    assert f"{on_demand:.2f}" in " ".join(SMALL.split())
    assert 3.5 < MILLION[BALANCER] / MILLION["ALB"] < 4.5
    saved = paid("1,000 × (0.006 + 3 × 0.5 × 0.02)") - paid("1,000 × 0.5 × 0.02")
    assert f"save {saved:.0f} for each 1,000 GB" in PAGE
    assert 3.5 < float(COSTS[3][4]) / float(COSTS[1][4]) < 4.5


@pytest.mark.parametrize("page", [SMALL, SMALLEST], ids=["small", "smallest"])
def test_the_small_balancer_is_one_task_on_arm_and_spot_without_metrics(page: str) -> None:
    """GIVEN the page's snippet in a stack, THEN the template has what the price stands on."""
    stack = cdk.Stack(template_app(), "Stack")
    cluster = ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc", restrict_default_security_group=False))
    names: dict[str, Any] = {"self": stack, "cluster": cluster, "GrpcBalancer": GrpcBalancer}
    (snippet,) = code_blocks(page)
    exec(snippet, names)  # noqa: S102 - it is a page of ours
    template = synthesise(stack)
    assert bool(template.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer")) is (page == SMALL)
    assert bool(template.of_type("AWS::ServiceDiscovery::Service")) is (page == SMALLEST)
    service, task = template.the("AWS::ECS::Service"), template.the("AWS::ECS::TaskDefinition")
    assert service["DesiredCount"] == 1
    assert service["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]
    assert (task["Cpu"], task["Memory"]) == ("512", "1024")
    assert task["RuntimePlatform"]["CpuArchitecture"] == "ARM64"
    told = template.environment("Balancer")
    assert told["GRPC_LB_IDLE_POLL_SECONDS"] == "20"
    assert not [name for name in told if "CLOUDWATCH" in name]
    # THEN a deployment starts the new task before the old one goes
    assert service["DeploymentConfiguration"]["MinimumHealthyPercent"] == 100
    assert service["DeploymentConfiguration"]["MaximumPercent"] == 200
