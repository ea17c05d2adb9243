"""CloudFormation resource types that ministack lacks: records without a data plane, as nothing local goes through them.

So the template is deployed as it is. A type that is in neither is refused, as CloudFormation does.
"""

from __future__ import annotations

import os
import random
import socket
import uuid
from collections.abc import Callable, Mapping
from typing import Any

Properties = Mapping[str, Any]
Made = tuple[str, dict[str, Any]]
"""Physical id, and the attributes for Fn::GetAtt."""
Handlers = dict[str, dict[str, Any]]


def _hex_id(prefix: str) -> str:
    return f"{prefix}-{uuid.uuid4().hex[:17]}"


def _elastic_ip(_name: str, _properties: Properties, _stack: str) -> Made:
    address = f"203.0.113.{random.randrange(1, 255)}"  # noqa: S311 - documentation addresses, nobody routes them
    return address, {"AllocationId": _hex_id("eipalloc"), "PublicIp": address}


def _nat_gateway(_name: str, _properties: Properties, _stack: str) -> Made:
    made = _hex_id("nat")
    return made, {"NatGatewayId": made}


def _rule(_name: str, _properties: Properties, _stack: str) -> Made:
    made = _hex_id("sgr")
    return made, {"Id": made}


def _named(service: str, kind: str, name_property: str) -> Callable[[str, Properties, str], Made]:
    def create(name: str, properties: Properties, stack: str) -> Made:
        made = str(properties.get(name_property) or f"{stack}-{name}")
        arn = f"arn:aws:{service}:us-east-1:000000000000:{kind}{made}"
        return made, {"Arn": arn, "Id": made}

    return create


LACKING: Mapping[str, Callable[[str, Properties, str], Made]] = {
    "AWS::EC2::EIP": _elastic_ip,
    "AWS::EC2::NatGateway": _nat_gateway,
    "AWS::EC2::SecurityGroupIngress": _rule,
    "AWS::EC2::SecurityGroupEgress": _rule,
    "AWS::EC2::FlowLog": _named("ec2", "vpc-flow-log/", "FlowLogName"),
    "AWS::EC2::NetworkAcl": _named("ec2", "network-acl/", "NetworkAclName"),
    "AWS::EC2::NetworkAclEntry": _named("ec2", "network-acl-entry/", "NetworkAclEntryName"),
    "AWS::EC2::SubnetNetworkAclAssociation": _named("ec2", "network-acl-association/", "AssociationName"),
    "AWS::ECS::ClusterCapacityProviderAssociations": _named("ecs", "cluster/", "Cluster"),
    "AWS::ApplicationAutoScaling::ScalableTarget": _named("application-autoscaling", "scalable-target/", "ResourceId"),
    "AWS::ApplicationAutoScaling::ScalingPolicy": _named("autoscaling", "scalingPolicy:", "PolicyName"),
    "AWS::CloudWatch::CompositeAlarm": _named("cloudwatch", "alarm:", "AlarmName"),
    # Its function is Node, which does not run here; it would empty a security group that nothing local asks.
    "Custom::VpcRestrictDefaultSG": _named("ec2", "default-security-group/", "DefaultSecurityGroupId"),
    "AWS::Logs::QueryDefinition": _named("logs", "query-definition:", "Name"),
}


def add_lacking(handlers: Handlers) -> None:
    for kind, create in LACKING.items():
        handlers.setdefault(kind, {"create": create, "update": _keep, "delete": _forget})


def _keep(physical_id: str, _old: Properties, _new: Properties, _stack: str) -> Made:
    return physical_id, {"Id": physical_id}


def _forget(_physical_id: str, _properties: Properties) -> None:
    return None


def with_cidr_block(create: Callable[[str, Properties, str], Made]) -> Callable[[str, Properties, str], Made]:
    """A VPC's CidrBlock can be asked for by Fn::GetAtt; ministack's cannot."""

    def made(name: str, properties: Properties, stack: str) -> Made:
        physical_id, attributes = create(name, properties, stack)
        return physical_id, attributes | {"CidrBlock": properties.get("CidrBlock", "")}

    return made


def container_definitions(definitions: list[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """CloudFormation's spelling to the API's, all the way down; the keys of maps are the user's own and stay."""
    return [_camel(definition) for definition in definitions]


_USERS_OWN_KEYS = {"DockerLabels", "Options"}


def _camel(value: Any) -> Any:
    if isinstance(value, list):
        return [_camel(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {
        key[:1].lower() + key[1:]: dict(item) if key in _USERS_OWN_KEYS else _number(key, _camel(item))
        for key, item in value.items()
    }


_NUMBERS = {"ContainerPort", "HostPort", "StopTimeout", "StartTimeout", "Interval", "Retries", "StartPeriod", "Timeout"}


def _number(key: str, value: Any) -> Any:
    return int(value) if key in _NUMBERS and isinstance(value, str) else value


def target_group_properties(properties: Properties) -> Properties:
    """The defaults of a target group behind an NLB, where ministack knows an ALB's."""
    if properties.get("Protocol") not in ("TCP", "TLS", "UDP", "TCP_UDP"):
        return properties
    return {"HealthCheckProtocol": "TCP", "HealthyThresholdCount": 5, "UnhealthyThresholdCount": 2} | dict(properties)


def check_port_is_free(address: str, port: int) -> None:
    """The load balancer's port, before CloudFormation says it made a listener on it."""
    try:
        socket.create_server((address, port)).close()
    except OSError as error:
        raise ValueError(
            f"port {port} must be free on {address}, got '{os.strerror(error.errno or 0)}': another program listens "
            f"on it, on all addresses; stop that (ss -ltnp 'sport = :{port}')"
        ) from error
