"""VPC endpoints: how tasks without a way to the internet pull images, write logs and read parameters."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from constructs import Construct, IConstruct

from cdk_grpc_lb.network.subnets import address_ranges

_INTERFACES: Mapping[str, ec2.InterfaceVpcEndpointAwsService] = {
    "ecr.api": ec2.InterfaceVpcEndpointAwsService.ECR,
    "ecr.dkr": ec2.InterfaceVpcEndpointAwsService.ECR_DOCKER,
    "logs": ec2.InterfaceVpcEndpointAwsService.CLOUDWATCH_LOGS,
    "ssm": ec2.InterfaceVpcEndpointAwsService.SSM,
    "xray": ec2.InterfaceVpcEndpointAwsService.XRAY,
    "secretsmanager": ec2.InterfaceVpcEndpointAwsService.SECRETS_MANAGER,
    "ssmmessages": ec2.InterfaceVpcEndpointAwsService.SSM_MESSAGES,
}
_S3 = "s3"
# At the end of com.amazonaws.REGION.NAME, whose region may be a reference.
_NAME = re.compile(rf"\.({'|'.join(map(re.escape, (*_INTERFACES, _S3)))})(?=$|[\"'])")

# https://docs.aws.amazon.com/AmazonECR/latest/userguide/vpc-endpoints.html: both of ECR's, and S3 for the layers
PULLS = ("ecr.api", "ecr.dkr", _S3)
LOGS = "logs"
BALANCER_NEEDS = (*PULLS, LOGS, "ssm")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One that the app makes."""

    resource: ec2.CfnVPCEndpoint
    _said: Mapping[str, Any]

    @property
    def path(self) -> str:
        return self.resource.node.path.removesuffix("/Resource")

    @property
    def is_interface(self) -> bool:
        return self._said.get("vpcEndpointType") == "Interface"

    @property
    def has_private_dns(self) -> bool:
        return self._said.get("privateDnsEnabled") is not False

    @property
    def known_groups(self) -> list[str]:
        """The ids of its security groups; none where a reference stands for the list."""
        groups = self._said.get("securityGroupIds")
        return list(groups) if isinstance(groups, list) else []


def made_endpoints(scope: IConstruct, vpc: ec2.IVpc) -> Mapping[str, list[Endpoint]]:
    """Those that constructs of the app make in the VPC, by name."""
    stack = cdk.Stack.of(scope)
    wanted = stack.resolve(vpc.vpc_id)
    made: dict[str, list[Endpoint]] = {}
    for construct in scope.node.root.node.find_all():
        if isinstance(construct, ec2.CfnVPCEndpoint) and stack.resolve(construct.vpc_id) == wanted:
            name = _NAME.search(str(stack.resolve(construct.service_name)))
            if name is not None:
                said: Mapping[str, Any] = construct._cfn_properties
                made.setdefault(name[1], []).append(Endpoint(construct, said))
    return made


def make_endpoints(
    scope: Construct, vpc: ec2.IVpc, needs: Sequence[str], *, callers: Sequence[ec2.IConnectable]
) -> dict[str, ec2.IVpcEndpoint]:
    """Make the endpoints that the app does not make yet in this VPC."""
    made: dict[str, ec2.IVpcEndpoint] = {}
    there = made_endpoints(scope, vpc)
    for name in needs:
        if name in there or name in made:
            continue
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
            open=bool(address_ranges(vpc)),
        )
        for caller in callers:
            endpoint.connections.allow_default_port_from(caller, "tasks behind the gRPC balancer")
        made[name] = endpoint
    return made


def _with_routes(vpc: ec2.IVpc) -> list[ec2.ISubnet]:
    return [*vpc.isolated_subnets, *vpc.private_subnets, *vpc.public_subnets]


def _one_per_zone(vpc: ec2.IVpc) -> list[ec2.ISubnet]:
    found: dict[str, ec2.ISubnet] = {}
    for subnet in (*vpc.isolated_subnets, *vpc.private_subnets, *vpc.public_subnets):
        found.setdefault(subnet.availability_zone, subnet)
    return list(found.values())
