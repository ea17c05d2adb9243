"""Tasks reach what they start with, or synth says what they lack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer
from tests.cdk_grpc_lb.network.stacks import IN_ECR, vpc_of_isolated_subnets, vpc_of_public_subnets
from tests.cdk_grpc_lb.template import Synthesised
from tests.cdk_grpc_lb.ways import IMAGE


def networks_of(synthesised: Synthesised) -> list[Mapping[str, Any]]:
    services = synthesised.of_type("AWS::ECS::Service").values()
    return [service["NetworkConfiguration"]["AwsvpcConfiguration"] for service in services]


def warnings(*constructs: cdk.Resource | Any) -> list[str]:
    """What synth would warn of, without the seconds that a whole synth takes."""
    for construct in constructs:
        assert construct.node.validate() == []
    return [
        str(entry.data)
        for construct in constructs
        for entry in construct.node.metadata
        if entry.type == "aws:cdk:warning"
    ]


def test_tasks_in_public_subnets_get_public_addresses_and_no_way_in(networks: dict[str, Synthesised]) -> None:
    """GIVEN a VPC with public subnets alone, THEN the balancer's tasks and the service's pull their images by public
    addresses, and only the load balancer and the balancer reach them.
    """
    synthesised = networks["PublicOnly"]
    assert [each["AssignPublicIp"] for each in networks_of(synthesised)] == ["ENABLED", "ENABLED"]
    groups = synthesised.of_type("AWS::EC2::SecurityGroup")
    open_groups = {name for name, group in groups.items() if group.get("SecurityGroupIngress")}
    assert len(open_groups) == 1
    assert "LoadBalancer" in open_groups.pop()
    (load_balancer,) = synthesised.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer").values()
    assert load_balancer["Scheme"] == "internal"


def test_tasks_in_private_subnets_get_no_public_address(ways: dict[str, Synthesised]) -> None:
    assert {each["AssignPublicIp"] for each in networks_of(ways["Platform"])} == {"DISABLED"}


def test_public_subnets_without_public_addresses_are_warned_of(stack: cdk.Stack) -> None:
    vpc = vpc_of_public_subnets(stack)
    service = GrpcBalancedService(stack, "Orders", image=IMAGE, port=1, vpc=vpc, assign_public_ip=False)
    (warning,) = warnings(service)
    assert "its tasks run in public subnets without public addresses, which have no way out" in warning
    assert "leave out assign_public_ip" in warning
    assert warnings(service.balancer) == []


def test_isolated_subnets_are_warned_of_with_the_endpoints_that_are_missing(stack: cdk.Stack) -> None:
    """GIVEN isolated subnets and one of the endpoints, THEN the others are named; those made later count too."""
    vpc = vpc_of_isolated_subnets(stack)
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), image=IN_ECR)
    vpc.add_interface_endpoint("Logs", service=ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS)
    (warning,) = warnings(balancer)
    assert "no VPC endpoint for ecr.api, ecr.dkr, s3, ssm in Stack/Vpc" in warning
    assert "add_vpc_endpoints()" in warning


def test_endpoints_are_made_where_they_are_missing(stack: cdk.Stack, networks: dict[str, Synthesised]) -> None:
    """GIVEN an isolated VPC with an endpoint for S3, WHEN the others are asked for, THEN nothing is warned of."""
    services = sorted(
        str(endpoint["ServiceName"]).rpartition("amazonaws.")[2]
        for endpoint in networks["Isolated"].of_type("AWS::EC2::VPCEndpoint").values()
    )
    names = ["ecr.api", "ecr.dkr", "logs", "s3", "ssm"]
    assert [next(name for name in names if f".{name}'" in f"{each}'") for each in services] == names
    vpc = vpc_of_isolated_subnets(stack)
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), image=IN_ECR)
    orders = balancer.add_service("Orders", image=IN_ECR, port=1)
    assert set(balancer.add_vpc_endpoints()) == set(names)
    assert warnings(balancer, orders) == []
    with pytest.raises(ValueError, match="add_vpc_endpoints must be called once"):
        balancer.add_vpc_endpoints()


def test_all_ranges_of_the_vpc_may_call(networks: dict[str, Synthesised]) -> None:
    sources = {source for source, _ in networks["TwoRanges"].open_ports("LoadBalancerSecurityGroup")}
    assert "100.64.0.0/16" in sources
    assert len(sources) == 2


def test_a_vpc_whose_range_is_not_known_is_refused_in_words_of_what_was_passed(stack: cdk.Stack) -> None:
    vpc = ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-0a1b2c3d4e5f60718",
        availability_zones=["us-east-1a"],
        private_subnet_ids=["subnet-0a1b2c3d4e5f60718"],
        private_subnet_route_table_ids=["rtb-0a1b2c3d4e5f60718"],
    )
    with pytest.raises(ValueError, match=r"import the VPC with vpc_cidr_block .*got the VPC Stack/Vpc without one"):
        GrpcBalancedService(stack, "Orders", image=IMAGE, port=1, vpc=vpc)


def test_every_description_is_one_that_ec2_takes(networks: dict[str, Synthesised]) -> None:
    """GIVEN a construct id of letters that EC2 refuses, THEN the stack deploys, with a name for the service."""
    # https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
    allowed = r"[a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]{1,255}"
    synthesised = networks["Japanese"]
    for group in synthesised.of_type("AWS::EC2::SecurityGroup").values():
        rules = [group["GroupDescription"], *(rule["Description"] for rule in group.get("SecurityGroupIngress", []))]
        for description in rules:
            if isinstance(description, str):
                assert cdk.Token.is_unresolved(description) or re.fullmatch(allowed, description)
    (labels,) = [
        container["DockerLabels"]
        for definition in synthesised.of_type("AWS::ECS::TaskDefinition").values()
        for container in definition["ContainerDefinitions"]
        if "grpc-lb.service" in container.get("DockerLabels", {})
    ]
    assert labels["grpc-lb.service"] == "service-266125dd"


def test_the_settings_of_a_task_are_props(networks: dict[str, Synthesised]) -> None:
    environment = networks["TwoRanges"].environment("Balancer")
    assert environment["GRPC_LB_POLL_SECONDS"] == "0.5"
    assert environment["GRPC_LB_LOG_LEVEL"] == "debug"
    assert environment["GRPC_LB_ENVOY_CONCURRENCY"] == "3"
    assert environment["GRPC_LB_METADATA_KIB"] == "64"
    assert environment["GRPC_LB_METADATA_ENTRIES"] == "200"
    assert environment["GRPC_LB_WEB_HOSTS"] == "*.corp.example.com"


def test_the_callers_addresses_come_by_the_proxy_protocol_on_request(networks: dict[str, Synthesised]) -> None:
    """GIVEN client_addresses, THEN load balancer and balancer both know of it; otherwise neither."""
    for stack, told in (("TwoRanges", True), ("PublicOnly", False)):
        (group,) = networks[stack].of_type("AWS::ElasticLoadBalancingV2::TargetGroup").values()
        attributes = {each["Key"]: each["Value"] for each in group["TargetGroupAttributes"]}
        assert (attributes.get("proxy_protocol_v2.enabled") == "true") is told
        assert (networks[stack].environment("Balancer").get("GRPC_LB_PROXY_PROTOCOL") == "true") is told
