"""Names and descriptions that AWS takes."""

from __future__ import annotations

import re

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.paths import path_of

# https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_CreateSecurityGroup.html
_REFUSED = re.compile(r"[^a-zA-Z0-9 ._\-:/()#,@\[\]+=&;{}!$*]")
_MAX_DESCRIPTION = 255
_DNS_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def describe_groups(service: ecs.FargateService) -> None:
    """Mend the description of the security group that the CDK makes for a service: it is the construct's path, which
    may have letters that EC2 refuses, or be too long. Others stay as they are: a new description replaces the group.
    """
    path = f"{path_of(service)}/SecurityGroup"
    if description_for(path) == path:
        return
    made = service.node.try_find_child("SecurityGroup")
    group = made.node.default_child if made is not None else None
    if isinstance(group, ec2.CfnSecurityGroup):
        group.group_description = description_for(group.group_description)


def description_for(text: str) -> str:
    """The text with ``_`` for each letter that EC2 refuses, its end where it is too long.

    >>> description_for("Shop/注文/Service")
    'Shop/__/Service'
    """
    return _REFUSED.sub("_", text)[-_MAX_DESCRIPTION:]


def is_dns_label(text: str) -> bool:
    """Whether it is one part of a name in DNS: https://www.rfc-editor.org/rfc/rfc1035#section-2.3.1"""
    return _DNS_LABEL.fullmatch(text) is not None
