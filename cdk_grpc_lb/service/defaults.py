"""What a service gets that its user did not name."""

from __future__ import annotations

import hashlib
import re

from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct


def make_cluster(service: Construct, vpc: ec2.IVpc | None) -> ecs.Cluster:
    """A cluster of its own, in the VPC that is given or in one of its own too."""
    if vpc is None:
        vpc = ec2.Vpc(
            service,
            "Vpc",
            max_azs=2,
            # Nothing here uses the default group, and emptying it would take a function that may change any group.
            restrict_default_security_group=False,
        )
    return ecs.Cluster(service, "Cluster", vpc=vpc)


def logical_name(construct_id: str) -> str:
    """A service's name made of a construct's id.

    >>> logical_name("RandomNumbers"), logical_name("HTTPEcho_v2")
    ('random-numbers', 'http-echo-v2')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", construct_id)
    name = re.sub(r"[^a-z0-9]+", "-", words.lower())[:63].strip("-")
    # Where no letter is left, as of 注文: a name all the same, the same in every synth.
    return name if name else f"service-{hashlib.sha256(construct_id.encode()).hexdigest()[:8]}"
