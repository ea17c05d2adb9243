"""Every arrow of the flow has a rule in the security groups at both of its ends, or synth says which one is closed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_secretsmanager as secretsmanager

from cdk_grpc_lb import GrpcBalancer, GrpcBalancerBase
from cdk_grpc_lb.network.security_groups import AppRules
from tests.cdk_grpc_lb.network.stacks import IN_ECR, vpc_of_isolated_subnets
from tests.cdk_grpc_lb.network.test_placement import warnings
from tests.cdk_grpc_lb.validation.cases import balancer_in, existing_cluster, refused
from tests.cdk_grpc_lb.ways import IMAGE


def imported_group(stack: cdk.Stack, name: str = "Imported", **props: Any) -> ec2.ISecurityGroup:
    return ec2.SecurityGroup.from_security_group_id(stack, name, f"sg-{name.lower()}", **props)


def imported_balancer(stack: cdk.Stack, lb_group: ec2.ISecurityGroup, tasks: ec2.ISecurityGroup) -> GrpcBalancerBase:
    return GrpcBalancer.from_attributes(
        stack,
        "Balancer",
        host="balancer.internal",
        cluster=existing_cluster(stack),
        load_balancer_security_group=lb_group,
        task_security_group=tasks,
    )


def existing_service(stack: cdk.Stack, cluster: ecs.ICluster, groups: Sequence[ec2.ISecurityGroup]) -> ecs.BaseService:
    definition = ecs.FargateTaskDefinition(stack, "Task")
    definition.add_container("Server", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=7000)])
    return ecs.FargateService(
        stack,
        "Old",
        cluster=cluster,
        task_definition=definition,
        security_groups=groups,
        min_healthy_percent=100,
        circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
    )


def test_every_connection_of_the_flow_is_let_out_and_in(stack: cdk.Stack) -> None:
    """GIVEN a balancer, a service whose group lets out what is asked for alone, and a client without a proxy, THEN for
    each connection there is a rule where it leaves and one where it arrives.
    """
    balancer = balancer_in(stack)
    group = ec2.SecurityGroup(stack, "Shut", vpc=balancer.cluster.vpc, allow_all_outbound=False)
    orders = balancer.add_service("Orders", image=IMAGE, port=7000, security_groups=[group])
    client = balancer.add_service("Client", image=IMAGE, port=7001, grpc_services=["client.v1.Client"])
    client_group = client.connections.security_groups[0]
    balancer.connect(client, to=[orders])
    balancer.allow_from(orders)
    front, tasks = balancer.load_balancer_security_group, balancer.task_security_group
    rules = AppRules(stack)
    for caller, called, port in (
        (front, tasks, 50051),  # calls
        (front, tasks, 8081),  # health checks
        (front, tasks, 18000),  # xDS
        (tasks, tasks, 8080),  # the page of each
        (tasks, group, 7000),
        (group, front, 50051),
        (client_group, front, 18000),
        (client_group, group, 7000),
    ):
        assert rules.let_in([called.security_group_id], [caller.security_group_id], port), (caller.node.path, port)
        assert rules.let_out([caller.security_group_id], [called.security_group_id], port), (caller.node.path, port)
    # AND nobody else is let in
    assert not rules.let_in([group.security_group_id], [front.security_group_id], 7000)
    assert not rules.let_in([tasks.security_group_id], [front.security_group_id], 8080)
    assert not rules.let_out([front.security_group_id], [group.security_group_id], 7000)


def test_what_is_open_is_not_warned_of(stack: cdk.Stack) -> None:
    """GIVEN groups of all kinds that take rules, THEN synth is silent."""
    balancer = balancer_in(stack)
    group = ec2.SecurityGroup(stack, "Narrow", vpc=balancer.cluster.vpc, allow_all_outbound=False)
    group.add_egress_rule(ec2.Peer.any_ipv4(), ec2.Port.tcp(443))
    narrow = balancer.add_service("Narrow1", image=IMAGE, port=7000, security_groups=[group])
    groups = [imported_group(stack), imported_group(stack, "Closed", mutable=False)]
    mixed = balancer.add_service("Mixed", image=IMAGE, port=7001, security_groups=groups, grpc_services=["a.v1.A"])
    balancer.allow_from(imported_group(stack, "Caller", allow_all_outbound=False))
    balancer.allow_from(imported_group(stack, "Free", mutable=False))
    assert warnings(balancer, narrow, narrow.service, mixed, mixed.service) == []


def test_a_group_that_takes_no_rules_keeps_the_balancer_out(stack: cdk.Stack) -> None:
    """GIVEN groups imported so that no rule can be added, of a service made here and of one that is registered, THEN
    synth says who is kept out, and on which port; and nothing once a rule is made by hand.
    """
    balancer = balancer_in(stack)
    closed = imported_group(stack, mutable=False)
    orders = balancer.add_service("Orders", image=IMAGE, port=7001, security_groups=[closed])
    old = existing_service(stack, balancer.cluster, [closed])
    balancer.register(old, service_name="old", grpc_services=["old.v1.Old"])
    for service, port in ((orders.service, 7001), (old, 7000)):
        (warning,) = warnings(service)
        assert warning.startswith(
            f"calls from the balancer Stack/Balancer to {service.node.path} will not arrive: no rule of this app lets "
            f"Stack/Balancer/Service/SecurityGroup into Stack/Imported on port {port}. "
        )
        assert "mutable=False" in warning
    ec2.CfnSecurityGroupIngress(
        stack,
        "ByHand",
        ip_protocol="tcp",
        from_port=7000,
        to_port=7001,
        group_id="sg-imported",
        source_security_group_id=balancer.task_security_group.security_group_id,
    )
    for service in (orders.service, old):
        warned = len(service.node.metadata)
        assert service.node.validate() == []
        assert len(service.node.metadata) == warned


def test_a_caller_that_is_kept_in_is_named(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    balancer.allow_from(imported_group(stack, mutable=False, allow_all_outbound=False))
    (warning,) = warnings(balancer)
    assert "connections to the balancer Stack/Balancer will not leave: no rule of this app lets them out" in warning
    assert "Stack/Imported on port 50051" in warning


def test_both_ends_of_an_imported_balancer_are_looked_at(stack: cdk.Stack) -> None:
    front = imported_group(stack, "Front", mutable=False)
    balancer = imported_balancer(stack, front, imported_group(stack, "Tasks", mutable=False, allow_all_outbound=False))
    orders = balancer.add_service("Orders", image=IMAGE, port=7000)
    balancer.allow_from(orders)
    (into,) = warnings(balancer)
    assert "Stack/Balancer/Orders/Service/SecurityGroup into Stack/Front on port 50051" in into
    (out,) = warnings(orders.service)
    assert "will not leave: no rule of this app lets them out of Stack/Tasks on port 7000" in out


def test_tasks_that_may_not_connect_to_anything_are_warned_of(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    group = ec2.SecurityGroup(stack, "Shut", vpc=balancer.cluster.vpc, allow_all_outbound=False)
    orders = balancer.add_service("Orders", image=IMAGE, port=7000, security_groups=[group])
    (warning,) = warnings(orders)
    assert "its tasks cannot connect to any address on port 443" in warning
    assert "Stack/Shut" in warning


def test_clients_without_a_proxy_that_no_service_lets_in_are_warned_of(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    orders = balancer.add_service("Orders", image=IMAGE, port=7000)
    client = imported_group(stack, "Client")
    balancer.allow_xds_from(client)
    (warning,) = warnings(balancer)
    assert "xDS tells Stack/Client of tasks that it cannot call" in warning
    assert "balancer.connect(client, to=[service])" in warning
    orders.connections.allow_default_port_from(client)
    warned = len(balancer.node.metadata)
    assert warnings(balancer) == [warning]
    assert len(balancer.node.metadata) == warned


@pytest.mark.parametrize("props", [{"open_listener": False}, {"internet_facing": True}], ids=str)
def test_a_balancer_that_nobody_may_call_is_warned_of(stack: cdk.Stack, props: dict[str, Any]) -> None:
    balancer = balancer_in(stack, **props)
    assert any(warning.startswith("nobody may call the balancer") for warning in warnings(balancer))


def test_a_balancer_whose_callers_are_named_is_not(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, open_listener=False)
    balancer.allow_from(ec2.Peer.ipv4("10.1.0.0/16"))
    assert warnings(balancer) == []


def test_endpoints_that_let_nobody_in_are_warned_of(stack: cdk.Stack) -> None:
    """GIVEN isolated tasks, and an endpoint whose group is closed, THEN it is named; the others are made open."""
    vpc = vpc_of_isolated_subnets(stack)
    vpc.add_interface_endpoint(
        "Ssm",
        service=ec2.InterfaceVpcEndpointAwsService.SSM,
        open=False,
        security_groups=[ec2.SecurityGroup(stack, "Closed", vpc=vpc)],
    )
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), image=IN_ECR)
    kept_in = ec2.SecurityGroup(stack, "Shut", vpc=vpc, allow_all_outbound=False)
    orders = balancer.add_service("Orders", image=IN_ECR, port=1, security_groups=[kept_in])
    balancer.add_vpc_endpoints()
    (into,) = warnings(balancer)
    assert "no rule of this app lets them into Stack/Vpc/Ssm on port 443" in into
    (out,) = warnings(orders)
    assert "its tasks cannot connect to Stack/Balancer/VpcEndpoints/EcrApi, " in out


def test_what_a_service_needs_besides_has_an_endpoint_too(stack: cdk.Stack) -> None:
    """GIVEN isolated tasks with a secret and a shell, and an image of another registry, THEN all three are told, and
    the endpoints of the first two are made.
    """
    vpc = vpc_of_isolated_subnets(stack)
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), image=IN_ECR)
    secret = ecs.Secret.from_secrets_manager(secretsmanager.Secret(stack, "Secret"))
    orders = balancer.add_service("Orders", image=IN_ECR, port=1, secrets={"S": secret}, enable_execute_command=True)
    other = balancer.add_service("Other", image=IMAGE, port=1, grpc_services=["a.v1.A"])
    made = balancer.add_vpc_endpoints()
    assert {"secretsmanager", "ssmmessages"} <= set(made)
    assert warnings(balancer, orders) == []
    (warning,) = warnings(other)
    assert "endpoints lead to no registry but ECR" in warning


def test_private_subnets_without_a_nat_gateway_are_warned_of(stack: cdk.Stack) -> None:
    private = ec2.SubnetConfiguration(name="Private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=0, subnet_configuration=[private])
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), image=IN_ECR)
    (warning,) = warnings(balancer)
    assert "subnets without a route to the internet, Stack/Vpc/PrivateSubnet1, Stack/Vpc/PrivateSubnet2" in warning


def test_routes_that_are_made_apart_count(stack: cdk.Stack) -> None:
    private = ec2.SubnetConfiguration(name="Private", subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=0, subnet_configuration=[private])
    for number, subnet in enumerate(vpc.private_subnets):
        ec2.CfnRoute(
            stack,
            f"Route{number}",
            route_table_id=subnet.route_table.route_table_id,
            destination_cidr_block="0.0.0.0/0",
            transit_gateway_id="tgw-0a1b2c3d4e5f60718",
        )
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), image=IN_ECR)
    assert warnings(balancer) == []


def test_a_load_balancer_that_is_not_in_every_zone_of_the_tasks_is_refused(stack: cdk.Stack) -> None:
    vpc = existing_cluster(stack).vpc
    one = ec2.SubnetSelection(subnets=[vpc.private_subnets[0]])
    allowed = (
        "in every zone of the balancer's tasks, us-east-1a, us-east-1b, because it sends no calls to other zones (or "
        "give task_subnets in the same zones)"
    )
    cluster = ecs.Cluster.from_cluster_attributes(stack, "Cluster", cluster_name="a", vpc=vpc)
    with refused("GrpcBalancer Stack/Balancer", "load_balancer_subnets", allowed, "those in us-east-1a"):
        GrpcBalancer(stack, "Balancer", cluster=cluster, load_balancer_subnets=one)
    assert GrpcBalancer(stack, "Same", cluster=cluster, load_balancer_subnets=one, task_subnets=one)


def test_private_subnets_are_no_place_for_what_faces_the_internet(stack: cdk.Stack) -> None:
    private = ec2.SubnetSelection(subnet_type=ec2.SubnetType.PRIVATE_WITH_EGRESS)
    with pytest.raises(ValueError, match="load_balancer_subnets must be public ones with internet_facing"):
        balancer_in(stack, internet_facing=True, load_balancer_subnets=private)


@pytest.mark.parametrize(
    ("rule", "is_open"),
    [
        ({"ip_protocol": "tcp", "from_port": 7000, "to_port": 7000}, True),
        ({"ip_protocol": "tcp", "from_port": 6000, "to_port": 8000}, True),
        ({"ip_protocol": "-1"}, True),
        ({"ip_protocol": "udp", "from_port": 7000, "to_port": 7000}, False),
        ({"ip_protocol": "tcp", "from_port": 7001, "to_port": 8000}, False),
    ],
    ids=str,
)
@pytest.mark.parametrize(("block", "fits"), [("10.0.0.0/8", True), ("0.0.0.0/0", True), ("192.168.0.0/16", False)])
def test_a_rule_is_read_as_ec2_reads_it(
    stack: cdk.Stack, rule: dict[str, Any], is_open: bool, block: str, fits: bool
) -> None:
    ec2.CfnSecurityGroup(
        stack,
        "Group",
        group_description="by hand",
        security_group_ingress=[ec2.CfnSecurityGroup.IngressProperty(cidr_ip=block, **rule)],
    )
    (group,) = (each for each in stack.node.find_all() if isinstance(each, ec2.CfnSecurityGroup))
    assert AppRules(stack).let_in([group.attr_group_id], ["sg-caller"], 7000, ["10.0.7.0/24"]) is (is_open and fits)
