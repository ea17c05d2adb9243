"""VPC endpoints: how tasks without a way to the internet pull images, write logs and read parameters."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IConstruct

_INTERFACES: Mapping[str, ec2.InterfaceVpcEndpointAwsService] = {
    "ecr.api": ec2.InterfaceVpcEndpointAwsService.ECR,
    "ecr.dkr": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "ssm": ec2.InterfaceVpcEndpointAwsService.SSM,
    "xray": ec2.InterfaceVpcEndpointAwsService.XRAY,
}
_S3 = "s3"
# At the end of com.amazonaws.REGION.NAME, whose region may be a reference.
_NAME = re.compile(r"\.(ecr\.api|ecr\.dkr|s3|logs|ssm|xray)(?=$|[\"'])")

# https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html: both of ECR's, and S3 for the layers
SERVICE_NEEDS = ("ecr.api", "ecr.dkr", _S3, "logs")
BALANCER_NEEDS = (*SERVICE_NEEDS, "ssm")


def missing_endpoints(scope: IConstruct, vpc: ec2.IVpc, needs: Sequence[str]) -> list[str]:
    """Those of the endpoints that no construct of the app makes in the VPC."""
    made = set(_made(scope, vpc))
    return [name for name in needs if name not in made]


def make_endpoints(
    scope: Construct, vpc: ec2.IVpc, needs: Sequence[str], *, callers: Sequence[ec2.IConnectable]
) -> dict[str, ec2.IVpcEndpoint]:
    """Make the endpoints that the app does not make yet in this VPC."""
    made: dict[str, ec2.IVpcEndpoint] = {}
    for name in missing_endpoints(scope, vpc, needs):
        if name == _S3:
            made[name] = ec2.GatewayVpcEndpoint(
                scope,
                "S3",
                vpc=vpc,
                service=ec2.GatewayVpcEndpointAwsService.S3,
                subnets=[ec2.SubnetSelection(subnets=_with_routes(vpc))],
            )
            continue
        endpoint = ec2.InterfaceVpcEndpoint(
            scope,
            re.sub(r"(?:^|\.)([a-z])", lambda match: match[1].upper(), name),
            vpc=vpc,
            service=_INTERFACES[name],
            subnets=ec2.SubnetSelection(subnets=_one_per_zone(vpc)),
            # Its name in DNS is for the whole VPC, so all of the VPC must be let in where its addresses are known.
            open=_knows_addresses(vpc),
        )
        for caller in callers:
            endpoint.connections.allow_default_port_from(caller, "tasks behind the gRPC balancer")
        made[name] = endpoint
    return made


def _made(scope: IConstruct, vpc: ec2.IVpc) -> Iterator[str]:
    stack = cdk.Stack.of(scope)
    wanted = stack.resolve(vpc.vpc_id)
    for construct in scope.node.root.node.find_all():
        if isinstance(construct, ec2.CfnVPCEndpoint) and cdk.Stack.of(construct).resolve(construct.vpc_id) == wanted:
            name = _NAME.search(str(stack.resolve(construct.service_name)))
            if name is not None:
                yield name[1]


def _with_routes(vpc: ec2.IVpc) -> list[ec2.ISubnet]:
    return [*vpc.isolated_subnets, *vpc.private_subnets, *vpc.public_subnets]


def _one_per_zone(vpc: ec2.IVpc) -> list[ec2.ISubnet]:
    found: dict[str, ec2.ISubnet] = {}
    for subnet in (*vpc.isolated_subnets, *vpc.private_subnets, *vpc.public_subnets):
        found.setdefault(subnet.availability_zone, subnet)
    return list(found.values())


def _knows_addresses(vpc: ec2.IVpc) -> bool:
    try:
        return bool(vpc.vpc_cidr_block)
    except RuntimeError:  # what the CDK's own error comes as
        return False
