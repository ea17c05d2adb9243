"""The random-number service as the CDK's own pattern deploys it, behind a Network Load Balancer."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_ecs_patterns as patterns

app = cdk.App()
stack = cdk.Stack(app, "Plain")
patterns.NetworkLoadBalancedFargateService(
    stack,
    "RandomNumbers",
    task_image_options=patterns.NetworkLoadBalancedTaskImageOptions(
        image=ecs.ContainerImage.from_asset(
            str(Path(__file__).resolve().parent.parent),
            file="rng_service/Dockerfile",
            exclude=["*", "!rng_service", "**/__pycache__"],
            ignore_mode=cdk.IgnoreMode.DOCKER,
            platform=ecr_assets.Platform.LINUX_AMD64,
        ),
        container_port=50051,
        environment={"SHUTDOWN_GRACE_SECONDS": "10"},
    ),
    listener_port=50051,
    desired_count=2,
    min_healthy_percent=100,
    circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
)
app.synth()
