"""A balancer without a load balancer: callers find its tasks in DNS."""

from __future__ import annotations

from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_servicediscovery as servicediscovery

from cdk_grpc_lb import GrpcBalancer
from cdk_grpc_lb.network.security_groups import AppRules
from tests.cdk_grpc_lb.network.test_placement import warnings
from tests.cdk_grpc_lb.template import synthesise
from tests.cdk_grpc_lb.validation.cases import BALANCER, contradiction, existing_cluster, refused
from tests.cdk_grpc_lb.ways import IMAGE


def balancer_in_dns(stack: cdk.Stack, **props: Any) -> GrpcBalancer:
    cluster = existing_cluster(stack)
    namespace = servicediscovery.PrivateDnsNamespace(stack, "Namespace", name="shop.internal", vpc=cluster.vpc)
    return GrpcBalancer(stack, "Balancer", cluster=cluster, cloud_map_namespace=namespace, **props)


def test_callers_find_the_tasks_by_a_name_and_are_let_in_there(stack: cdk.Stack) -> None:
    """GIVEN a namespace, THEN ECS registers the tasks that are healthy, which they are once they are ready; the VPC, a
    caller of its own and a client without a proxy reach them; and there is no load balancer.
    """
    balancer = balancer_in_dns(stack)
    orders = balancer.add_service("Orders", image=IMAGE, port=7000)
    client = balancer.add_service("Client", image=IMAGE, port=7001, grpc_services=["client.v1.Client"])
    balancer.allow_from(orders)
    assert balancer.connect(client, to=[orders]) == ["xds:///orders"]
    assert balancer.xds_listener is None
    assert cdk.Stack.of(balancer).resolve([balancer.address, balancer.xds_address]) == [
        "grpc.shop.internal:50051",
        "grpc.shop.internal:18000",
    ]
    balancer.add_alarms()
    balancer.add_dashboard()

    rules, tasks = AppRules(stack), balancer.task_security_group.security_group_id
    for caller, port in ((orders, 50051), (client, 18000)):
        group = caller.connections.security_groups[0].security_group_id
        assert rules.let_in([tasks], [group], port)
    assert rules.let_in([orders.connections.security_groups[0].security_group_id], [tasks], 7000)
    assert warnings(balancer, orders, client) == []

    template = synthesise(stack)
    assert not [each for each in template.body["Resources"].values() if "LoadBalancing" in each["Type"]]
    registered = template.the("AWS::ServiceDiscovery::Service")
    assert registered["Name"] == "grpc"
    assert registered["DnsConfig"]["DnsRecords"] == [{"TTL": 10, "Type": "A"}]
    service = template.the("AWS::ECS::Service", "BalancerService")
    assert len(service["ServiceRegistries"]) == 1
    assert not service["LoadBalancers"]
    assert "HealthCheckGracePeriodSeconds" not in service
    check = template.container("Balancer")["HealthCheck"]
    assert check["Command"][-2:] == ["proxy_image.health", "--ready"]
    assert check["StartPeriod"] >= 120  # the first document may take a minute
    # AND no alarm asks for metrics of a load balancer
    alarms = template.of_type("AWS::CloudWatch::Alarm")
    assert "AWS/NetworkELB" not in str(alarms)
    assert [name for name in alarms if "NoBalancerReady" in name]


@pytest.mark.parametrize(
    ("prop", "value"),
    [
        ("port", 443),
        ("internet_facing", True),
        ("client_addresses", True),
        ("domain_name", "grpc.example.com"),
        ("ssl_policy", elbv2.SslPolicy.TLS13_13),
        ("load_balancer_subnets", ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)),
    ],
)
def test_what_only_a_load_balancer_can_do_is_refused(stack: cdk.Stack, prop: str, value: Any) -> None:
    fix = "there is no load balancer, callers reach the tasks themselves; leave out either"
    with contradiction(BALANCER, "cloud_map_namespace", prop, fix):
        balancer_in_dns(stack, **{prop: value})


def test_names_that_dns_does_not_take_are_refused(stack: cdk.Stack) -> None:
    with refused(BALANCER, "cloud_map_name", "up to 63 of a-z, 0-9 and -, without a dot", "'grpc.shop'"):
        balancer_in_dns(stack, cloud_map_name="grpc.shop")


def test_two_balancers_need_two_names_in_a_namespace(stack: cdk.Stack) -> None:
    """Cloud Map has each once: https://docs.aws.amazon.com/cloud-map/latest/api/API_CreateService.html"""
    cluster = existing_cluster(stack)
    namespace = servicediscovery.PrivateDnsNamespace(stack, "Namespace", name="shop.internal", vpc=cluster.vpc)
    GrpcBalancer(stack, "Balancer", cluster=cluster, cloud_map_namespace=namespace)
    allowed = "another one than that of Stack/Balancer, because a namespace has each name once"
    with refused("GrpcBalancer Stack/Same", "cloud_map_name", allowed, "'grpc'"):
        GrpcBalancer(stack, "Same", cluster=cluster, cloud_map_namespace=namespace)
    other = GrpcBalancer(stack, "Other", cluster=cluster, cloud_map_namespace=namespace, cloud_map_name="users")
    assert cdk.Stack.of(other).resolve(other.host) == "users.shop.internal"


def test_a_name_needs_a_namespace_and_one_of_dns(stack: cdk.Stack) -> None:
    cluster = existing_cluster(stack)
    with pytest.raises(ValueError, match="cloud_map_namespace must be given with cloud_map_name"):
        GrpcBalancer(stack, "Balancer", cluster=cluster, cloud_map_name="grpc")
    of_http = servicediscovery.HttpNamespace(stack, "Http", name="shop")
    with pytest.raises(ValueError, match=r"PrivateDnsNamespace, .*, got Stack/Http, which is HTTP"):
        GrpcBalancer(stack, "Other", cluster=cluster, cloud_map_namespace=of_http)
    with pytest.raises(ValueError, match=r"cloud_map_namespace must be .*INamespace.*, got 'shop\.internal'"):
        GrpcBalancer(stack, "Third", cluster=cluster, cloud_map_namespace="shop.internal")  # type: ignore[arg-type]


def test_the_clusters_own_namespace_will_do(stack: cdk.Stack) -> None:
    cluster = ecs.Cluster(stack, "Cluster", vpc=existing_cluster(stack).vpc)
    namespace = cluster.add_default_cloud_map_namespace(name="shop.internal")
    balancer = GrpcBalancer(stack, "Balancer", cluster=cluster, cloud_map_namespace=namespace, cloud_map_name="lb")
    assert stack.resolve(balancer.host) == "lb.shop.internal"
    # Each time it is asked for, it is another object in Python.
    with pytest.raises(ValueError, match=r"cloud_map_name must be another one than that of Stack/Balancer"):
        GrpcBalancer(
            stack,
            "Other",
            cluster=cluster,
            cloud_map_namespace=cluster.default_cloud_map_namespace,
            cloud_map_name="lb",
        )


@pytest.mark.parametrize("part", ["load_balancer", "listener", "target_group"])
def test_a_load_balancer_that_is_not_there_is_told_in_a_sentence(stack: cdk.Stack, part: str) -> None:
    balancer = balancer_in_dns(stack)
    with pytest.raises(ValueError, match=f"^{part} must be asked of a balancer that has one, got a balancer with"):
        getattr(balancer, part)
    assert not balancer.has_load_balancer


def test_clients_without_a_proxy_alone_need_no_load_balancer_either(stack: cdk.Stack) -> None:
    balancer = balancer_in_dns(stack, proxyless_only=True)
    assert cdk.Stack.of(balancer).resolve([balancer.address, balancer.xds_address]) == ["grpc.shop.internal:18000"] * 2
    assert balancer.xds_listener is None
