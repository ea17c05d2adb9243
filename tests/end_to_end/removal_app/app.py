"""A cluster whose target document is kept, and nothing else: what is left of it when the stack is gone, or when its
parameters move?
"""

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import TargetSync

app = cdk.App()
stack = cdk.Stack(app, "Removal")
vpc = ec2.Vpc(stack, "Vpc", max_azs=1, nat_gateways=0, restrict_default_security_group=True)
TargetSync(
    stack,
    "Sync",
    cluster=ecs.Cluster(stack, "Cluster", vpc=vpc),
    parameter_prefix=app.node.try_get_context("prefix") or "/grpc-lb/removal",
)
app.synth()
