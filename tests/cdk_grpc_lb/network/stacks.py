"""Networks of all kinds, each a stack of one app, so that they are synthesised together."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer
from tests.cdk_grpc_lb.ways import IMAGE

# Of ECR, where endpoints lead to.
PREBUILT_NAME = "111122223333.dkr.ecr.us-east-1.amazonaws.com/grpc-lb:0.1.0"
PREBUILT = ecs.ContainerImage.from_registry(PREBUILT_NAME)
IN_ECR = ecs.ContainerImage.from_registry("111122223333.dkr.ecr.us-east-1.amazonaws.com/orders:1")


def vpc_of_public_subnets(stack: cdk.Stack) -> ec2.Vpc:
    """Like the VPC that each account has by default."""
    return _vpc(stack, ec2.SubnetType.PUBLIC)


def vpc_of_isolated_subnets(stack: cdk.Stack) -> ec2.Vpc:
    return _vpc(stack, ec2.SubnetType.PRIVATE_ISOLATED)


def _vpc(stack: cdk.Stack, kind: ec2.SubnetType) -> ec2.Vpc:
    return ec2.Vpc(
        stack,
        "Vpc",
        max_azs=2,
        nat_gateways=0,
        subnet_configuration=[ec2.SubnetConfiguration(name="Only", subnet_type=kind)],
        restrict_default_security_group=False,
    )


def make_public(app: cdk.App) -> cdk.Stack:
    stack = cdk.Stack(app, "PublicOnly")
    GrpcBalancedService(stack, "Orders", image=IMAGE, port=50051, vpc=vpc_of_public_subnets(stack))
    return stack


def make_isolated(app: cdk.App) -> cdk.Stack:
    stack = cdk.Stack(app, "Isolated")
    vpc = vpc_of_isolated_subnets(stack)
    vpc.add_gateway_endpoint("S3", service=ec2.GatewayVpcEndpointAwsService.S3)
    balancer = GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), image=PREBUILT)
    balancer.add_service("Orders", image=IN_ECR, port=50051)
    balancer.add_vpc_endpoints()
    return stack


def make_two_ranges(app: cdk.App) -> cdk.Stack:
    """A VPC with a second range of addresses, and all that a balancer's task can be told."""
    stack = cdk.Stack(app, "TwoRanges")
    vpc = vpc_of_public_subnets(stack)
    ec2.CfnVPCCidrBlock(stack, "Second", vpc_id=vpc.vpc_id, cidr_block="100.64.0.0/16")
    GrpcBalancer(
        stack,
        "Balancer",
        cluster=ecs.Cluster(stack, "Cluster", vpc=vpc),
        image_build_args={"PIP_INDEX_URL": "https://packages.example.com/simple"},
        poll_interval=cdk.Duration.millis(500),
        log_level="debug",
        client_addresses=True,
        envoy_concurrency=3,
        max_metadata=cdk.Size.kibibytes(64),
        max_metadata_entries=200,
        web_hosts=["*.corp.example.com"],
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    return stack


def make_japanese(app: cdk.App) -> cdk.Stack:
    """Letters that EC2 takes in no description."""
    stack = cdk.Stack(app, "Japanese")
    vpc = vpc_of_public_subnets(stack)
    GrpcBalancedService(stack, "注文", image=IMAGE, port=50051, vpc=vpc)
    return stack


def make_neighbours(app: cdk.App) -> cdk.Stack:
    """Two services of one cluster, each with a balancer of its own."""
    stack = cdk.Stack(app, "Neighbours")
    cluster = ecs.Cluster(stack, "Cluster", vpc=vpc_of_public_subnets(stack))
    GrpcBalancedService(stack, "Orders", image=IMAGE, port=50051, cluster=cluster)
    users = GrpcBalancedService(stack, "Users", image=IMAGE, port=50051, cluster=cluster)
    users.balancer.add_service("Groups", image=IMAGE, port=50051, grpc_services=["groups.v1.Groups"])
    return stack


ALL = (make_public, make_isolated, make_two_ranges, make_japanese, make_neighbours)
