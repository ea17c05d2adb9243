"""Arguments of the wrong type: the error names the prop, the construct, what was passed and how to write it."""

from __future__ import annotations

import inspect
import pydoc
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import Deadline, GrpcAlarms, GrpcBalancedService, GrpcBalancer, Retry, RetryStatus, TargetSync
from tests.cdk_grpc_lb.validation.cases import BALANCER, SERVICE, balancer_in, existing_cluster
from tests.cdk_grpc_lb.ways import IMAGE, existing_vpc

OF_A_SERVICE: list[tuple[dict[str, Any], str]] = [
    ({"drain_time": 30}, r"drain_time must be a cdk\.Duration such as cdk\.Duration\.seconds\(45\), got 30"),
    ({"drain_time": timedelta(seconds=3)}, r"drain_time must be a cdk\.Duration .*, got datetime\.timedelta"),
    (
        {"capacity_provider_strategies": ["FARGATE_SPOT"]},
        r"capacity_provider_strategies\[0\] must be an ecs\.CapacityProviderStrategy such as .*, got 'FARGATE_SPOT'",
    ),
    ({"environment": {"A": 1}}, r"environment\['A'\] must be a string, got 1"),
    ({"secrets": {"A": "b"}}, r"secrets\['A'\] must be an ecs\.Secret such as .*, got 'b'"),
    ({"weight": 0.05}, r"weight must be a whole number 0\.\.1000, got 0\.05"),
    ({"port": "50051"}, r"port must be a whole number 1\.\.65535, got '50051'"),
    ({"image": "nginx"}, r"image must be an ecs\.ContainerImage such as .*from_registry.*, got 'nginx'"),
    ({"hosts": "orders.internal"}, r"hosts must be a list that names at least one .*, got 'orders\.internal'"),
    ({"hosts": [1]}, r"hosts\[0\] must be a string, got 1"),
    ({"security_groups": ["sg-1"]}, r"security_groups\[0\] must be an ec2\.ISecurityGroup, got 'sg-1'"),
    ({"security_groups": "sg-1"}, r"security_groups must be a list of ec2\.ISecurityGroup, got 'sg-1'"),
    ({"task_subnets": "private"}, r"task_subnets must be an ec2\.SubnetSelection such as .*, got 'private'"),
    ({"enable_execute_command": "yes"}, "enable_execute_command must be True or False, got 'yes'"),
    ({"policy": Deadline()}, "policy must be a TrafficPolicy, such as .*, got Deadline"),
]


@pytest.mark.parametrize(("props", "sentence"), OF_A_SERVICE, ids=lambda value: str(value)[:40])
def test_a_service_says_what_type_a_prop_has(stack: cdk.Stack, props: dict[str, Any], sentence: str) -> None:
    given: dict[str, Any] = {"image": IMAGE, "port": 50051, "cluster": existing_cluster(stack), **props}
    with pytest.raises(ValueError, match=rf"^{sentence}.* \(prop \w+ of {SERVICE}\)$"):
        GrpcBalancedService(stack, "RandomNumbers", **given)


@pytest.mark.parametrize(
    ("props", "sentence"),
    [
        ({"certificate": "arn:aws:acm:x"}, r"certificate must be an acm\.ICertificate such as .*, got 'arn:aws:acm:x'"),
        ({"poll_interval": 1}, r"poll_interval must be a cdk\.Duration such as .*, got 1"),
        ({"open_listener": "no"}, "open_listener must be True or False, got 'no'"),
        ({"domain_name": "a.b", "domain_zone": "b"}, r"domain_zone must be a\w* route53\.IHostedZone .*, got 'b'"),
        ({"tracing": 5}, "tracing must be a Tracing, got 5"),
        ({"web_hosts": "page"}, "web_hosts must be a list of host names such as .*, got 'page'"),
        ({"cluster": "shared"}, r"cluster must be an ecs\.ICluster, got 'shared'"),
    ],
)
def test_a_balancer_says_what_type_a_prop_has(stack: cdk.Stack, props: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValueError, match=rf"^{sentence} \(prop \w+ of {BALANCER}\)$"):
        GrpcBalancer(stack, "Balancer", **{"cluster": existing_cluster(stack), **props})


def test_a_vpc_is_no_cluster(stack: cdk.Stack) -> None:
    with pytest.raises(ValueError, match=r"^cluster must be an ecs\.ICluster"):
        GrpcBalancer(stack, "Balancer", cluster=existing_vpc(stack))  # type: ignore[arg-type]


def test_who_may_call_is_no_text(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    with pytest.raises(ValueError, match=r"other must be .*ec2\.Peer\.ipv4\(.*got '10\.0\.0\.0/8'"):
        balancer.allow_from("10.0.0.0/8")  # type: ignore[arg-type]
    balancer.allow_from(ec2.Peer.ipv4("10.0.0.0/8"))


def test_a_prop_that_there_is_not_is_told_with_the_one_that_was_meant(stack: cdk.Stack) -> None:
    with pytest.raises(TypeError, match="unexpected prop 'imge': did you mean image"):
        GrpcBalancedService(stack, "RandomNumbers", imge=IMAGE, port=1)  # type: ignore[call-arg]


def test_tokens_are_taken_for_what_they_become(stack: cdk.Stack) -> None:
    """GIVEN references and imported resources, THEN nothing is refused that a deployment may take."""
    service = GrpcBalancedService(
        stack,
        "RandomNumbers",
        image=IMAGE,
        port=50051,
        cluster=existing_cluster(stack),
        environment={"REGION": cdk.Aws.REGION},
        security_groups=[ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")],
        memory_limit_mib=cdk.CfnParameter(stack, "Memory", type="Number").value_as_number,  # type: ignore[arg-type]
    )
    assert isinstance(service.service, ecs.FargateService)


def test_a_part_of_a_policy_is_named_with_its_class() -> None:
    with pytest.raises(ValueError, match=r"^Deadline\.default must be a time .*, got 5$"):
        Deadline(default=5)  # type: ignore[arg-type]


def test_a_setting_that_another_contradicts_is_named_with_its_class() -> None:
    with pytest.raises(ValueError, match=r"^Deadline\.default must be at most deadline\.max, got .*seconds=9"):
        Deadline(max=timedelta(seconds=5), default=timedelta(seconds=9))


def test_statuses_may_be_a_list() -> None:
    """GIVEN a list, THEN neither type checkers (there is no ignore here) nor the class refuse it."""
    retried = Retry(on=[RetryStatus.UNAVAILABLE])
    assert retried == Retry(on=frozenset({RetryStatus.UNAVAILABLE}))
    assert hash(retried) == hash(Retry(on={RetryStatus.UNAVAILABLE}))


def test_an_empty_list_or_set_is_none() -> None:
    assert {Retry(on=[]), Retry(on=()), Retry(on=set())} == {Retry()}


@pytest.mark.parametrize("construct", [GrpcBalancedService, GrpcBalancer, TargetSync, GrpcAlarms])
def test_help_shows_the_props(construct: Any) -> None:
    shown = inspect.signature(construct).parameters
    assert list(shown)[:2] == ["scope", "id"]
    assert len(shown) > 5
    assert not any(each.kind in (each.VAR_KEYWORD, each.VAR_POSITIONAL) for each in shown.values())
    assert f"{construct.__name__}(scope" in pydoc.plain(pydoc.render_doc(construct))


def test_the_methods_show_the_props_too() -> None:
    whole: Mapping[str, inspect.Parameter] = inspect.signature(GrpcBalancedService).parameters
    added = inspect.signature(GrpcBalancer.add_service).parameters
    assert whole.keys() - added.keys() == {"scope", "vpc", "balancer"}
    assert whole["min_healthy_percent"].default == 100
    assert {"hosts", "policy", "weight"} <= inspect.signature(GrpcBalancer.register).parameters.keys()


def test_an_imported_balancer_says_where_to_watch_it(stack: cdk.Stack) -> None:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-1")
    imported = GrpcBalancer.from_attributes(
        stack,
        "Balancer",
        host="balancer.internal",
        cluster=existing_cluster(stack),
        load_balancer_security_group=group,
        task_security_group=group,
    )
    for call in (imported.add_alarms, imported.add_dashboard, lambda: imported.auto_scale_task_count(max_capacity=3)):
        with pytest.raises(ValueError, match="must be called where the balancer is made, got the imported one"):
            call()
    for name in ("connect", "allow_xds_from", "add_cluster", "load_balancer", "parameter_prefix"):
        with pytest.raises(AttributeError, match=f"{name} must be called where the balancer is made, got the imported"):
            getattr(imported, name)
    with pytest.raises(AttributeError, match="an imported balancer has no attribute 'conect'"):
        getattr(imported, "conect")  # noqa: B009 - a type checker knows better
