"""The example, and a service that calls its tasks without a proxy."""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))

import aws_cdk as cdk  # noqa: E402 - the checkout has to be on the path
from aws_cdk import aws_ecs as ecs  # noqa: E402

from app import GrpcRandomNumbers  # noqa: E402
from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer  # noqa: E402

app = cdk.App()
stack = GrpcRandomNumbers(app, "Proxyless")
numbers = stack.node.find_child("RandomNumbers")
assert isinstance(numbers, GrpcBalancedService)
balancer = numbers.balancer
assert isinstance(balancer, GrpcBalancer)
front = balancer.add_service(
    "Front",
    image=ecs.ContainerImage.from_asset(
        str(ROOT),
        file="rng_service/Dockerfile",
        exclude=["*", "!rng_service", "**/__pycache__"],
        ignore_mode=cdk.IgnoreMode.DOCKER,
    ),
    port=50051,
    desired_count=1,
    hosts=["front.test"],
)
(target,) = balancer.connect(front, to=[numbers])
front.container.add_environment("NUMBERS", target)
cdk.CfnOutput(stack, "ClientTask", value=front.task_definition.task_definition_arn)
app.synth()
