"""Props of a balancer that no deployment could take fail at synth; the error says which, why, and what would do."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_sns as sns

from cdk_grpc_lb import GrpcAlarms, GrpcBalancer, TargetSync, TraefikLabels
from tests.cdk_grpc_lb.validation import cases
from tests.cdk_grpc_lb.validation.cases import (
    BALANCER,
    balancer_in,
    contradiction,
    existing_cluster,
    isolated_vpc,
    refused,
    resources,
)

PATTERNS = "names of a-z, 0-9 and -, with * and ? as wildcards"
A_LABEL = "a label of your own whose name is known at synth, such as team=orders (not grpc-lb....)"

MISUSE: list[tuple[dict[str, Any], str, str, str]] = [
    ({"desired_count": 0}, "desired_count", "1..1000", "0"),
    ({"port": 70_000}, "port", "1..65535", "70000"),
    (
        {"capacity_provider_strategies": [cases.provider("my-instances", weight=1)]},
        "capacity_provider_strategies",
        "of FARGATE and FARGATE_SPOT, because the tasks are Fargate's",
        "'my-instances'",
    ),
    (
        {"cpu": 256, "memory_limit_mib": 4096},
        "memory_limit_mib",
        "512, 1024, 2048 MiB where cpu is 256",
        "4096",
    ),
    ({"drain_time": cdk.Duration.minutes(3)}, "drain_time", "0 to 120 whole seconds", "3 minutes"),
    ({"drain_delay": cdk.Duration.millis(1)}, "drain_delay", "0 to 120 whole seconds", "1 milli"),
    (
        {"drain_delay": cdk.Duration.seconds(60), "drain_time": cdk.Duration.seconds(50)},
        "drain_time",
        "at most 105 seconds together with drain_delay, because Fargate kills 120 seconds after SIGTERM",
        "110 seconds",
    ),
    (
        {"poll_interval": cdk.Duration.millis(10)},
        "poll_interval",
        "50 milliseconds to 20 seconds",
        "10 milliseconds",
    ),
    (
        {"idle_poll_interval": cdk.Duration.seconds(21)},
        "idle_poll_interval",
        "50 milliseconds to 20 seconds",
        "21000 milliseconds",
    ),
    (
        {"max_metadata": cdk.Size.mebibytes(9)},
        "max_metadata",
        "8 to 8192 whole KiB",
        "9216 KiB",
    ),
    (
        {"max_metadata_entries": 10},
        "max_metadata_entries",
        "50..20000",
        "10",
    ),
    (
        {"web_hosts": ["http://lb.example.com"]},
        "web_hosts",
        "host names such as lb.example.com, *.corp.example.com, or *",
        "'http://lb.example.com'",
    ),
    (
        {"poll_interval": cdk.Duration.seconds(2), "idle_poll_interval": cdk.Duration.seconds(1)},
        "idle_poll_interval",
        "at least poll_interval, 2000 milliseconds",
        "1000 milliseconds",
    ),
    (
        {"ssl_policy": elbv2.SslPolicy.RECOMMENDED_TLS},
        "certificate",
        "given with ssl_policy: there is no TLS without one",
        "None",
    ),
    (
        {"domain_name": "grpc.example.com"},
        "domain_zone",
        "given together with domain_name (or leave out both)",
        "None",
    ),
    (
        {"only_services": "orders-*"},
        "only_services",
        "a list of names, with * and ? as wildcards (leave it out for all)",
        "'orders-*'",
    ),
    (
        {"only_services": []},
        "only_services",
        "a list of names, with * and ? as wildcards (leave it out for all)",
        "[]",
    ),
    ({"only_services": ["Orders"]}, "only_services", PATTERNS, "'Orders'"),
    ({"only_label": "=orders"}, "only_label", A_LABEL, "'=orders'"),
    ({"only_label": "team: orders"}, "only_label", A_LABEL, "'team: orders'"),
    ({"only_label": "grpc-lb.enable=true"}, "only_label", A_LABEL, "'grpc-lb.enable=true'"),
    ({"only_label": "grpc_lb.weight=1"}, "only_label", A_LABEL, "'grpc_lb.weight=1'"),
    ({"cpu_architecture": ecs.CpuArchitecture.of("RISCV")}, "cpu_architecture", "X86_64 or ARM64", "RISCV"),
]


@pytest.mark.parametrize(("props", "prop", "allowed", "got"), MISUSE, ids=cases.name)
def test_a_balancer_refuses(stack: cdk.Stack, props: dict[str, Any], prop: str, allowed: str, got: str) -> None:
    with refused(BALANCER, prop, allowed, got):
        balancer_in(stack, **props)


def test_a_refused_balancer_leaves_nothing_behind(stack: cdk.Stack) -> None:
    cluster = existing_cluster(stack)
    with pytest.raises(ValueError, match="port must be"):
        GrpcBalancer(stack, "Balancer", cluster=cluster, port=0)
    assert not resources(stack)


def test_a_zone_whose_name_is_not_known_is_refused(stack: cdk.Stack) -> None:
    zone = route53.HostedZone.from_hosted_zone_id(stack, "Zone", "Z0123456789ABCDEFGHIJ")
    allowed = "one that knows its name (import it with HostedZone.from_hosted_zone_attributes and its zone_name)"
    with refused(BALANCER, "domain_zone", allowed, "Stack/Zone"):
        balancer_in(stack, domain_name="grpc.example.com", domain_zone=zone)


def test_a_name_outside_of_its_zone_is_refused(stack: cdk.Stack) -> None:
    zone = route53.HostedZone.from_hosted_zone_attributes(
        stack, "Zone", hosted_zone_id="Z0123456789ABCDEFGHIJ", zone_name="example.com"
    )
    with refused(BALANCER, "domain_name", "example.com or a name below it, as the zone is", "'grpc.example.org'"):
        balancer_in(stack, domain_name="grpc.example.org", domain_zone=zone)


def test_a_vpc_without_a_way_out_is_refused(stack: cdk.Stack) -> None:
    cluster = ecs.Cluster.from_cluster_attributes(stack, "Existing", cluster_name="a", vpc=isolated_vpc(stack))
    with pytest.raises(
        ValueError,
        match=r"^internet_facing must be left out in a VPC without public subnets .*, got True in the VPC Stack/Iso",
    ):
        GrpcBalancer(stack, "Balancer", cluster=cluster, internet_facing=True)
    public = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC)
    with pytest.raises(ValueError, match=r"^load_balancer_subnets must be subnets that the VPC Stack/Isolated has"):
        GrpcBalancer(stack, "Public", cluster=cluster, internet_facing=True, load_balancer_subnets=public)
    with pytest.raises(ValueError, match=r"^task_subnets must be subnets that the VPC Stack/Isolated has"):
        GrpcBalancer(stack, "Another", cluster=cluster, task_subnets=public)


def test_plain_text_on_the_internet_is_warned_of(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, internet_facing=True)
    assertions.Annotations.from_stack(stack).has_warning(
        f"/{balancer.node.path}", assertions.Match.string_like_regexp("calls cross the internet in plain text")
    )


def test_a_cluster_is_added_once(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    with refused(BALANCER, "cluster", "another one than those it has", "Stack/Existing"):
        balancer.add_cluster("Again", balancer.cluster)
    # Of names that only the deployment knows, none is known to be another's.
    vpc = balancer.cluster.vpc
    for name in ("Blue", "Green"):
        exported = cdk.Fn.import_value(f"{name}Cluster")
        cluster = ecs.Cluster.from_cluster_attributes(stack, name, cluster_name=exported, vpc=vpc)
        balancer.add_cluster(f"{name}Targets", cluster)
    assert len(balancer.clusters) == 3


def test_autoscaling_refuses_a_balancer_without_tasks(stack: cdk.Stack) -> None:
    with refused(BALANCER, "min_capacity", "1..5000", "0"):
        balancer_in(stack).auto_scale_task_count(min_capacity=0, max_capacity=3)


def test_autoscaling_refuses_a_fixed_count(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, desired_count=3)
    with contradiction(
        BALANCER,
        "desired_count",
        "auto_scale_task_count",
        "a deployment would set the number of tasks back; leave out the count",
    ):
        balancer.auto_scale_task_count(max_capacity=3)


def test_an_imported_balancer_refuses_a_port_and_patterns_that_none_has(stack: cdk.Stack) -> None:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0a1b2c3d4e5f60718")
    given: dict[str, Any] = {
        "host": "balancer.internal",
        "cluster": existing_cluster(stack),
        "load_balancer_security_group": group,
        "task_security_group": group,
    }
    with refused(BALANCER, "port", "1..65535", "0"):
        GrpcBalancer.from_attributes(stack, "Balancer", **given, port=0)
    with refused(BALANCER, "only_services", PATTERNS, "'a.b'"):
        GrpcBalancer.from_attributes(stack, "Balancer", **given, only_services=["a.b"])
    with refused(BALANCER, "host", "a name or address without a port (see port)", "'balancer.internal:50051'"):
        GrpcBalancer.from_attributes(stack, "Balancer", **{**given, "host": "balancer.internal:50051"})


@pytest.mark.parametrize(
    ("prop", "props", "size"),
    [
        ("only_services", {"only_services": [f"team-{number:03}-{'x' * 30}" for number in range(80)]}, 3199),
        ("traefik_labels", {"traefik_labels": TraefikLabels(ignored_middlewares=["x" * 60] * 50)}, 3225),
    ],
)
def test_settings_that_no_function_takes_are_refused(
    stack: cdk.Stack, prop: str, props: dict[str, Any], size: int
) -> None:
    """A Lambda's variables have 4 KB: https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html"""
    allowed = "such that the Lambda's settings have at most 3000 bytes (a name may have wildcards)"
    with refused("TargetSync Stack/Balancer/TargetSync", prop, allowed, str(size)):
        balancer_in(stack, **props)


def test_the_port_of_xds_is_refused_for_calls_where_clients_ask_it(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, port=18_000)
    allowed = "other than 18000, on which gRPC clients without a proxy find the xDS server"
    with refused(BALANCER, "port", allowed, "18000"):
        balancer.allow_xds_from(ec2.Peer.ipv4("10.0.0.0/24"))


@pytest.fixture
def in_ireland(stack: cdk.Stack) -> cdk.Stack:
    return cdk.Stack(cdk.App.of(stack), "Ireland", env=cdk.Environment(region="eu-west-1"))


@pytest.mark.parametrize("prop", ["certificate", "xds_certificate"])
def test_a_certificate_of_another_region_is_refused(in_ireland: cdk.Stack, prop: str) -> None:
    arn = "arn:aws:acm:us-east-1:123456789012:certificate/x"
    zone = route53.HostedZone.from_hosted_zone_attributes(
        in_ireland, "Zone", hosted_zone_id="Z0123456789ABCDEFGHIJ", zone_name="Example.com."
    )
    props: dict[str, Any] = {prop: acm.Certificate.from_certificate_arn(in_ireland, "Certificate", arn)}
    allowed = "of the stack's region, eu-west-1: a load balancer takes no other certificate"
    with refused("GrpcBalancer Ireland/Balancer", prop, allowed, arn):
        balancer_in(in_ireland, domain_name="LB.example.com", domain_zone=zone, **props)


def test_alarms_refuse_a_topic_of_another_region_and_a_long_url_and_warn_of_a_fifo_topic(
    in_ireland: cdk.Stack,
) -> None:
    arn = "arn:aws:sns:us-east-1:123456789012:pages"
    balancer, topic = balancer_in(in_ireland), sns.Topic.from_topic_arn(in_ireland, "Topic", arn)
    allowed = "of the stack's region, eu-west-1: alarms have no actions in another one"
    alarms = "GrpcAlarms Ireland/"
    for number, prop in enumerate(("topic", "warning_topic")):
        props: dict[str, Any] = {prop: topic}
        with refused(f"{alarms}{number}", prop, allowed, arn):
            GrpcAlarms(in_ireland, f"{number}", balancer=balancer, **props)
    fifo = sns.Topic.from_topic_arn(in_ireland, "Fifo", "arn:aws:sns:eu-west-1:123456789012:pages.fifo")
    made = GrpcAlarms(in_ireland, "First", balancer=balancer, topic=fifo, warning_topic=sns.Topic(in_ireland, "Plain"))
    (warning,) = (entry.data for entry in made.node.metadata if entry.type == "aws:cdk:warning")
    assert str(warning).startswith("topic Ireland/Fifo is a FIFO topic, which takes no message without")
    with refused(f"{alarms}Url", "runbook_url", "of at most 255 characters", "264"):
        GrpcAlarms(in_ireland, "Url", balancer=balancer, runbook_url="https://" + "x" * 256)


@pytest.mark.parametrize("prefix", ["grpc-lb/a", "/grpc-lb/a/"])
def test_a_target_sync_refuses_a_prefix_that_no_parameter_can_have(stack: cdk.Stack, prefix: str) -> None:
    cluster = existing_cluster(stack)
    with refused(
        "TargetSync Stack/Sync", "parameter_prefix", "a path that starts with / and does not end with one", repr(prefix)
    ):
        TargetSync(stack, "Sync", cluster=cluster, parameter_prefix=prefix)
