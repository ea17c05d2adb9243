"""Props of a service that no deployment could take fail at synth; the error says which, why, and what would do."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_logs as logs

from cdk_grpc_lb import (
    Condition,
    Deadline,
    GrpcBalancedService,
    Match,
    OutlierDetection,
    Overrides,
    Retry,
    RetryStatus,
    RouteRule,
    TrafficPolicy,
)
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.validation import cases
from tests.cdk_grpc_lb.validation.cases import SERVICE, contradiction, existing_cluster, provider, refused, resources
from tests.cdk_grpc_lb.ways import IMAGE

NAME = "1 to 63 of a-z, 0-9 and -, starting and ending with a letter or digit"
A_LIST = "a list that names at least one (leave it out for all)"
RULES = 'a list such as [RouteRule("reads", methods=("orders.v1.Orders/Get",))]'
CONDITIONS = 'a list such as [Condition("x-canary", Match.EXACT, "yes")]'
STRATEGIES = "capacity_provider_strategies"

MISUSE: list[tuple[dict[str, Any], str, str, str]] = [
    ({"port": 0}, "port", "1..65535", "0"),
    ({"port": 65_536}, "port", "1..65535", "65536"),
    ({"port": "50051"}, "port", "a whole number 1..65535", "'50051'"),
    ({"port": True}, "port", "a whole number 1..65535", "True"),
    ({"port": None}, "port", "given with image: the port on which the container takes gRPC calls", "None"),
    ({"image": None}, "image", "given, or a task_definition instead of it", "None"),
    ({"container_name": "App"}, "container_name", "left out, or given with a task_definition", "'App'"),
    ({"desired_count": -1}, "desired_count", "0..5000", "-1"),
    ({"desired_count": 1.5}, "desired_count", "a whole number 0..5000", "1.5"),
    ({"desired_count": 5001}, "desired_count", "0..5000", "5001"),
    ({"cpu": 300}, "cpu", "one of 256, 512, 1024, 2048, 4096, 8192, 16384 CPU units", "300"),
    ({"memory_limit_mib": 256}, "memory_limit_mib", "512, 1024, 2048 MiB where cpu is 256", "256"),
    (
        {"cpu": 4096, "memory_limit_mib": 8000},
        "memory_limit_mib",
        "8192, 9216 … 30720 MiB where cpu is 4096",
        "8000",
    ),
    ({"hosts": "rng.internal"}, "hosts", A_LIST, "'rng.internal'"),
    ({"hosts": []}, "hosts", A_LIST, "[]"),
    ({"grpc_services": []}, "grpc_services", A_LIST, "[]"),
    ({"drain_time": cdk.Duration.seconds(106)}, "drain_time", "0 to 105 whole seconds", "1 minute 46 seconds"),
    ({"drain_time": cdk.Duration.millis(2500)}, "drain_time", "0 to 105 whole seconds", "2 seconds 500 millis"),
    (
        {"grpc_health_probe": "grpc_health_probe"},
        "grpc_health_probe",
        "the absolute path of grpc_health_probe in the image",
        "'grpc_health_probe'",
    ),
    (
        {"security_groups": []},
        "security_groups",
        "a list that names at least one (leave it out for one of its own)",
        "[]",
    ),
    ({"min_healthy_percent": 101}, "min_healthy_percent", "0..100", "101"),
    ({"max_healthy_percent": 99}, "max_healthy_percent", "100..200", "99"),
    (
        {"max_healthy_percent": 100},
        "max_healthy_percent",
        "enough for one task more than the 2 that min_healthy_percent 100 keeps of 2",
        "100",
    ),
    (
        {"max_healthy_percent": 150, "desired_count": 1},
        "max_healthy_percent",
        "enough for one task more than the 1 that min_healthy_percent 100 keeps of 1",
        "150",
    ),
    (
        {"deployment_alarms": ecs.DeploymentAlarmConfig(alarm_names=[])},
        "deployment_alarms",
        "a configuration with at least one alarm (leave it out for none)",
        "[]",
    ),
    ({STRATEGIES: []}, STRATEGIES, "a list that names at least one (leave it out for FARGATE)", "[]"),
    (
        {STRATEGIES: [provider("my-instances", weight=1)]},
        STRATEGIES,
        "of FARGATE and FARGATE_SPOT, because the tasks are Fargate's",
        "'my-instances'",
    ),
    (
        {STRATEGIES: [provider("FARGATE", weight=1), provider("FARGATE", weight=2)]},
        STRATEGIES,
        "one for each provider",
        "FARGATE, FARGATE",
    ),
    (
        {STRATEGIES: [provider("FARGATE", base=1, weight=1), provider("FARGATE_SPOT", base=1)]},
        STRATEGIES,
        "at most one with a base",
        "2",
    ),
    (
        {STRATEGIES: [provider("FARGATE", weight=0), provider("FARGATE_SPOT")]},
        STRATEGIES,
        "strategies at least one of which has a weight above 0",
        "[0, None]",
    ),
    (
        {"balancer": "Balancer"},
        "balancer",
        "a GrpcBalancer, or one of GrpcBalancer.from_attributes",
        "'Balancer'",
    ),
    ({"metadata": "x-canary=yes"}, "metadata", CONDITIONS, "'x-canary=yes'"),
    ({"metadata": ["x-canary=yes"]}, "metadata", CONDITIONS, "['x-canary=yes']"),
    (
        {"methods": []},
        "methods",
        "a list that names at least one (leave it out for those of grpc_services)",
        "[]",
    ),
    ({"routes": "slow"}, "routes", RULES, "'slow'"),
    ({"priority": cdk.Token.as_number({"Ref": "Priority"})}, "priority", "known at synth", "a token"),
    ({"weight": cdk.Token.as_number({"Ref": "Weight"})}, "weight", "known at synth", "a token"),
    (
        {"policy": "least-request"},
        "policy",
        "a TrafficPolicy, such as TrafficPolicy(deadline=Deadline(...))",
        "'least-request'",
    ),
]

# Sentences about what stands in a prop, most of them the contract's own, which the Lambda says too.
LABELS: list[tuple[dict[str, Any], str]] = [
    ({"service_name": "Random_Numbers"}, f"service must be {NAME}, got 'Random_Numbers' (prop service_name"),
    ({"service_name": ""}, f"service must be {NAME}, got '' (prop service_name"),
    (
        {"hosts": ["rng.internal:50051"]},
        "each of hosts must be a host name without a port, *.a-domain, or *, got 'rng.internal:50051' (prop hosts",
    ),
    (
        {"hosts": [f"host-{number}" for number in range(65)]},
        "hosts times grpc-services must be at most 64, with methods and rules, got 65 (prop hosts",
    ),
    (
        {"grpc_services": ["/rng.v1.RandomNumber/"]},
        "each of grpc-services must be a full gRPC service name such as rng.v1.RandomNumber, or *, "
        "got '/rng.v1.RandomNumber/' (prop grpc_services",
    ),
    (
        {"methods": ["Get"]},
        "each of methods must be a full method name such as rng.v1.RandomNumber/Get, got 'Get' (prop methods",
    ),
    ({"priority": -1}, "priority must be 0..1000000, got -1 (prop priority"),
    (
        {"routes": [RouteRule("a", methods=("a.A/B",)), RouteRule("a", methods=("a.A/C",))]},
        "rules must have names of their own, got a, a (prop routes",
    ),
    (
        {"routes": [RouteRule("many", methods=tuple(f"a.A/M{number}" for number in range(64)))]},
        "hosts times grpc-services must be at most 64, with methods and rules, got 65 (prop routes",
    ),
    (
        {"routes": [RouteRule("none", hosts=())]},
        "grpc-lb.routes.none.hosts must be a comma-separated list, each a host name without a port, *.a-domain, or *; "
        "'' is not, got '' (prop routes",
    ),
    (
        {
            "policy": TrafficPolicy(deadline=Deadline(max=timedelta(seconds=5))),
            "routes": [RouteRule("slow", overrides=Overrides(deadline=Deadline(default=timedelta(seconds=6))))],
        },
        "grpc-lb.routes.slow.deadline.default must be at most deadline.max (prop routes",
    ),
    (
        {
            "policy": TrafficPolicy(deadline=Deadline(max=timedelta(seconds=5))),
            "routes": [RouteRule("slow", overrides=Overrides(retry=Retry(per_try_timeout=timedelta(seconds=6))))],
        },
        "retry.per_try_timeout must be below deadline.max, 5s, or no call is retried, got 6s (route slow) (prop routes",
    ),
    ({"weight": -1}, "weight must be 0..1000, got -1 (prop weight"),
    ({"weight": 1001}, "weight must be 0..1000, got 1001 (prop weight"),
    ({"weight": 2.5}, "weight must be a whole number 0..1000, got 2.5 (prop weight"),
    (
        {"metadata": [Condition(f"x-{number}", Match.EXACT, "y" * 125) for number in range(2)]},
        "metadata must be at most 256 characters in all, got 259 (prop metadata",
    ),
    (
        {
            "policy": TrafficPolicy(
                retry=Retry(per_try_timeout=timedelta(seconds=5)), deadline=Deadline(max=timedelta(seconds=5))
            )
        },
        "retry.per_try_timeout must be below deadline.max, 5s, or no call is retried, got 5s (prop policy",
    ),
    (
        {
            "policy": TrafficPolicy(
                retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}), budget_percent=0, budget_min_concurrency=0)
            )
        },
        "retry.budget_percent must be above 0 where retry.on or a time for each try asks for retries, got 0 "
        "(prop policy",
    ),
    (
        {"policy": TrafficPolicy(outlier_detection=OutlierDetection(success_rate=True, max_ejection_percent=0))},
        "outlier_detection.max_ejection_percent must be above 0 where failures are to eject targets, got 0 "
        "(prop policy",
    ),
]

CONTRADICTIONS: list[tuple[dict[str, Any], str, str, str]] = [
    (
        {"methods": ["a.A/B"], "grpc_services": ["*"]},
        "methods",
        "grpc_services *",
        "a gRPC service has all its methods; leave out either",
    ),
    (
        {"environment": {"TOKEN": "a"}, "secrets": {"TOKEN": cdk.Aws.REGION}},
        "environment TOKEN",
        "secrets TOKEN",
        "a variable has one value",
    ),
    (
        {"log_driver": ecs.LogDrivers.firelens(), "log_retention": logs.RetentionDays.ONE_DAY},
        "log_driver",
        "log_retention",
        "set the retention where the log driver writes to",
    ),
    (
        {"health_check": ecs.HealthCheck(command=["CMD", "probe"]), "grpc_health_probe": "/bin/probe"},
        "health_check",
        "grpc_health_probe",
        "a container has one health check",
    ),
]


@pytest.mark.parametrize(("props", "prop", "allowed", "got"), MISUSE, ids=cases.name)
def test_a_service_refuses(stack: cdk.Stack, props: dict[str, Any], prop: str, allowed: str, got: str) -> None:
    with refused(SERVICE, prop, allowed, got):
        GrpcBalancedService(stack, "RandomNumbers", **{"image": IMAGE, "port": 50051, **props})
    assert not resources(stack)


@pytest.mark.parametrize(("props", "sentence"), LABELS, ids=cases.name)
def test_a_service_refuses_labels_that_cannot_be_obeyed(stack: cdk.Stack, props: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match="must") as caught:
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=50051, **props)
    assert str(caught.value) == f"{sentence} of {SERVICE})"
    assert not resources(stack)


@pytest.mark.parametrize(("props", "first", "second", "fix"), CONTRADICTIONS, ids=cases.name)
def test_a_service_refuses_what_contradicts_itself(
    stack: cdk.Stack, props: dict[str, Any], first: str, second: str, fix: str
) -> None:
    with contradiction(SERVICE, first, second, fix):
        GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=50051, **props)
    assert not resources(stack)


def service_in(stack: cdk.Stack, **props: Any) -> GrpcBalancedService:
    cluster = existing_cluster(stack)
    return GrpcBalancedService(stack, "RandomNumbers", image=IMAGE, port=50051, cluster=cluster, **props)


@pytest.fixture(scope="module")
def unscaled() -> GrpcBalancedService:
    """One for all calls that are refused before they make anything of it."""
    return service_in(cdk.Stack(template_app(), "Stack"))


@pytest.mark.parametrize(
    ("props", "prop", "allowed", "got"),
    [
        ({"max_capacity": 0}, "max_capacity", "1..5000", "0"),
        ({"min_capacity": -1, "max_capacity": 2}, "min_capacity", "0..5000", "-1"),
        ({"min_capacity": 3, "max_capacity": 2}, "max_capacity", "at least min_capacity, 3", "2"),
        ({"max_capacity": 2, "cpu_percent": 0}, "cpu_percent", "1..100", "0"),
        (
            {"max_capacity": 2, "calls_metric": cloudwatch.Metric(namespace="Rng", metric_name="Calls")},
            "calls_per_target",
            "given together with calls_metric (or leave out both)",
            "None",
        ),
        (
            {
                "max_capacity": 2,
                "calls_metric": cloudwatch.Metric(namespace="Rng", metric_name="Calls"),
                "calls_per_target": 0,
            },
            "calls_per_target",
            "more than 0",
            "0",
        ),
    ],
    ids=cases.name,
)
def test_autoscaling_refuses(
    unscaled: GrpcBalancedService, props: dict[str, Any], prop: str, allowed: str, got: str
) -> None:
    with refused(SERVICE, prop, allowed, got):
        unscaled.auto_scale_task_count(**props)


def test_autoscaling_refuses_a_fixed_count(stack: cdk.Stack) -> None:
    service = service_in(stack, desired_count=2)
    fix = "a deployment would set the number of tasks back; leave out the count"
    with contradiction(SERVICE, "desired_count", "auto_scale_task_count", fix):
        service.auto_scale_task_count(max_capacity=4)


def test_autoscaling_is_set_up_once(stack: cdk.Stack) -> None:
    service = service_in(stack)
    service.auto_scale_task_count(max_capacity=4)
    with refused(SERVICE, "auto_scale_task_count", "called once (add policies to what it returns)", "a second call"):
        service.auto_scale_task_count(max_capacity=5)


def test_subnets_that_the_vpc_has_not_are_refused(stack: cdk.Stack) -> None:
    missing = ec2.SubnetSelection(subnet_group_name="Orders")
    with pytest.raises(ValueError, match=r"^task_subnets must be subnets that the VPC Stack/Vpc has, got .*Orders"):
        GrpcBalancedService(
            stack,
            "RandomNumbers",
            image=IMAGE,
            port=50051,
            cluster=existing_cluster(stack),
            task_subnets=missing,
        )
