"""The example: a service of random numbers on Amazon ECS, every gRPC call balanced between its tasks.

`cdk deploy` deploys it. `cdk deploy --context compare=nlb` puts a Network Load Balancer straight in front of the same
tasks beside it, to see what becomes of the calls on one connection there.
"""

from __future__ import annotations

import sys
from datetime import timedelta
from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer, HealthCheck, TrafficPolicy

PORT = 50051
ROOT = Path(__file__).resolve().parent


class GrpcRandomNumbers(cdk.Stack):
    """Two tasks of the random-number service, and the balancer in front of them."""

    def __init__(self, scope: Construct, id: str, *, compare: str | None = None) -> None:  # noqa: A002 - a construct's id
        super().__init__(scope, id, description="Random numbers over gRPC, balanced call by call")
        if compare not in (None, "nlb"):
            raise ValueError(f"compare must be nlb, got {compare!r} (context compare); leave it out for no comparison")

        numbers = GrpcBalancedService(
            self,
            "RandomNumbers",
            image=ecs.ContainerImage.from_asset(
                str(ROOT),
                file="rng_service/Dockerfile",
                # The image is made of this one folder, so only this folder may change it.
                exclude=["*", "!rng_service", "**/__pycache__"],
                ignore_mode=cdk.IgnoreMode.DOCKER,
                platform=ecr_assets.Platform.LINUX_AMD64,
            ),
            port=PORT,
            desired_count=2,
            # A task that is told to stop says so to whoever asks for its health: the balancers see it even while AWS,
            # which tells them by its events, is not available. A timeout is no reason to doubt a busy task.
            policy=TrafficPolicy(
                health_check=HealthCheck(enabled=True, interval=timedelta(seconds=2), timeout=timedelta(seconds=10))
            ),
            # Told to stop, a task serves on until no balancer sends it calls any more, then lets its calls finish.
            environment={"SHUTDOWN_GRACE_SECONDS": "10", "SHUTDOWN_CALLS_SECONDS": "35"},
            drain_time=cdk.Duration.seconds(45),
        )

        balancer = numbers.balancer
        assert isinstance(balancer, GrpcBalancer)  # noqa: S101 - it was made above, not imported
        outputs = {
            "BalancerAddress": balancer.address,
            "ClusterName": numbers.cluster.cluster_name,
            "ServiceName": numbers.service.service_name,
            "BalancerServiceName": balancer.service.service_name,
            "ParameterPrefix": balancer.parameter_prefix,
        }
        if compare == "nlb":
            outputs["ComparisonAddress"] = f"{self._compare_with_nlb(numbers).load_balancer_dns_name}:{PORT}"
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)

    def _compare_with_nlb(self, numbers: GrpcBalancedService) -> elbv2.NetworkLoadBalancer:
        vpc = numbers.cluster.vpc
        load_balancer = elbv2.NetworkLoadBalancer(
            self, "ComparisonNlb", vpc=vpc, internet_facing=False, cross_zone_enabled=True
        )
        listener = load_balancer.add_listener("Listener", port=PORT, protocol=elbv2.Protocol.TCP)
        listener.add_targets(
            "Tasks",
            port=PORT,
            protocol=elbv2.Protocol.TCP,
            targets=[
                numbers.service.load_balancer_target(
                    container_name=numbers.container.container_name, container_port=PORT
                )
            ],
            preserve_client_ip=False,
        )
        load_balancer.connections.allow_from(ec2.Peer.ipv4(vpc.vpc_cidr_block), ec2.Port.tcp(PORT))
        numbers.connections.allow_default_port_from(load_balancer, "calls from the comparison's load balancer")
        return load_balancer


def main() -> None:
    app = cdk.App()
    try:
        GrpcRandomNumbers(app, "GrpcRandomNumbers", compare=app.node.try_get_context("compare"))
    except ValueError as error:
        sys.exit(f"error: {error}")
    app.synth()


if __name__ == "__main__":
    main()
