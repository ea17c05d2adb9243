"""Clusters, balancers, services and the groups of callers may be in any stacks: the rules between them never make two
stacks wait for each other, which no deployment could.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.ways import IMAGE, existing_vpc

N, P, T = "Network", "Platform", "Team"
TO_BALANCER, TO_SERVICE = 50051, 7000


class Layout:
    """An app of three stacks, of which the first has the VPC."""

    def __init__(self, *, cluster: str, balancer: str, service: str, group: str) -> None:
        self.app = template_app()
        self.stacks = {name: cdk.Stack(self.app, name) for name in (N, P, T)}
        self.vpc = ec2.Vpc(self.stacks[N], "Vpc", max_azs=2, restrict_default_security_group=False)
        self.cluster = ecs.Cluster(self.stacks[cluster], "Cluster", vpc=self.vpc)
        self.balancer = GrpcBalancer(self.stacks[balancer], "Balancer", cluster=self.cluster, open_listener=False)
        self.service = GrpcBalancedService(
            self.stacks[service],
            "Orders",
            image=IMAGE,
            port=TO_SERVICE,
            cluster=self.cluster,
            balancer=self.balancer,
            security_groups=None if group == service else [ec2.SecurityGroup(self.stacks[group], "Own", vpc=self.vpc)],
        )

    def shut_group(self, stack: str) -> ec2.SecurityGroup:
        return ec2.SecurityGroup(self.stacks[stack], "Client", vpc=self.vpc, allow_all_outbound=False)

    def rules(self) -> Counter[tuple[str, int]]:
        """How many of them let in or out, and on which port."""
        return Counter(_rules(self.app.synth()))


def _rules(assembly: Any) -> Iterator[tuple[str, int]]:
    for stack in assembly.stacks:
        for resource in stack.template.get("Resources", {}).values():
            direction = resource["Type"].removeprefix("AWS::EC2::SecurityGroup")
            if direction in ("Ingress", "Egress"):
                yield direction, resource["Properties"]["FromPort"]


@pytest.mark.parametrize(
    ("cluster", "balancer", "service", "group", "caller"),
    [
        (N, P, P, N, P),  # the group is of the stack with the VPC
        (N, P, T, N, T),
        (T, T, T, P, T),  # it is of a stack that the others need for nothing else
        (P, P, P, P, N),  # so is who calls, such as a bastion host
        (N, P, P, T, T),  # both are, of one stack of security groups
        (P, P, T, T, T),  # a team's stack needs the platform's
        (T, P, T, T, T),  # a platform needs that of a team, which has the cluster
    ],
)
def test_a_balancer_reaches_a_service_and_is_called(
    cluster: str, balancer: str, service: str, group: str, caller: str
) -> None:
    layout = Layout(cluster=cluster, balancer=balancer, service=service, group=group)
    layout.balancer.allow_from(layout.shut_group(caller))
    rules = layout.rules()
    assert rules["Ingress", TO_SERVICE] == 1
    # From the client, and from the load balancer to its tasks.
    assert rules["Ingress", TO_BALANCER] == rules["Egress", TO_BALANCER] == 2


@pytest.mark.parametrize(
    ("balancer", "service", "group", "client", "source"),
    [
        (P, P, P, P, N),  # the client runs with a group of the stack with the VPC
        (P, P, N, P, P),  # so does the service
        (P, T, T, P, P),  # the service is of another stack than the client and the balancer
        (P, T, T, T, N),
    ],
)
def test_a_client_without_a_proxy_reaches_both(
    balancer: str, service: str, group: str, client: str, source: str
) -> None:
    layout = Layout(cluster=N, balancer=balancer, service=service, group=group)
    definition = ecs.FargateTaskDefinition(layout.stacks[client], "ClientTask")
    definition.add_container("Client", image=IMAGE)
    layout.balancer.connect(definition, to=[layout.service], source=layout.shut_group(source))
    rules = layout.rules()
    assert rules["Ingress", TO_SERVICE] == 2  # the balancer may too
    assert rules["Egress", TO_SERVICE] == 1


def test_a_team_may_import_the_cluster_by_itself() -> None:
    """GIVEN two stacks that name the same cluster, THEN only that of the team needs the other."""
    app = template_app()
    stacks = platform, team = cdk.Stack(app, P), cdk.Stack(app, T)
    clusters = [
        ecs.Cluster.from_cluster_attributes(each, "Cluster", cluster_name="shop", vpc=existing_vpc(each))
        for each in stacks
    ]
    balancer = GrpcBalancer(platform, "Balancer", cluster=clusters[0])
    orders = GrpcBalancedService(team, "Orders", image=IMAGE, port=1, balancer=balancer, cluster=clusters[1])
    orders.container.add_environment("BALANCER", balancer.address)
    app.synth()
    assert [stack.node.id for stack in team.dependencies] == [P]
    assert platform.dependencies == []
