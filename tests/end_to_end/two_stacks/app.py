"""Two stacks that come up together.

Proxyless: a service of random numbers and one that calls its tasks directly, with a control plane that runs without
Envoy. Removal: a cluster whose target document is kept, and nothing else: what is left of it when the stack is gone, or
when its parameters move? What it moves to is synthesised beside the app, into the folder `moved`.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

import aws_cdk as cdk  # noqa: E402 - the checkout has to be on the path
from aws_cdk import aws_ec2 as ec2  # noqa: E402
from aws_cdk import aws_ecs as ecs  # noqa: E402

from cdk_grpc_lb import Balancing, GrpcBalancer, TargetSync, TrafficPolicy  # noqa: E402


def add_removal(app: cdk.App, prefix: str) -> None:
    stack = cdk.Stack(app, "Removal")
    vpc = ec2.Vpc(stack, "Vpc", max_azs=1, nat_gateways=0, restrict_default_security_group=True)
    TargetSync(stack, "Sync", cluster=ecs.Cluster(stack, "Cluster", vpc=vpc), parameter_prefix=prefix)


app = cdk.App()
add_removal(app, "/grpc-lb/removal")
stack = cdk.Stack(app, "Proxyless")
cluster = ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=1))
balancer = GrpcBalancer(stack, "Balancer", cluster=cluster, proxyless_only=True)
image = ecs.ContainerImage.from_asset(
    str(ROOT),
    file="rng_service/Dockerfile",
    exclude=["*", "!rng_service", "**/__pycache__"],
    ignore_mode=cdk.IgnoreMode.DOCKER,
)
numbers = balancer.add_service("RandomNumbers", image=image, port=50051, desired_count=2)
front = balancer.add_service("Front", image=image, port=50051, desired_count=1, hosts=["front.test"])
near = balancer.add_service(
    "Near",
    image=image,
    port=50051,
    desired_count=2,
    hosts=["near.test"],
    policy=TrafficPolicy(balancing=Balancing(prefer_zone=True)),
)
for name, target in zip(("NUMBERS", "NEAR"), balancer.connect(front, to=[numbers, near], own_zone=True), strict=True):
    front.container.add_environment(name, target)
outputs = {
    "BalancerAddress": balancer.address,
    "ClusterName": cluster.cluster_name,
    "ServiceName": numbers.service.service_name,
    "BalancerServiceName": balancer.service.service_name,
    "ParameterPrefix": balancer.parameter_prefix,
    "ClientTask": front.task_definition.task_definition_arn,
}
for name, value in outputs.items():
    cdk.CfnOutput(stack, name, value=value)
app.synth()
moved = cdk.App(outdir=str(Path(app.outdir, "moved")))
add_removal(moved, "/grpc-lb/moved")
moved.synth()
