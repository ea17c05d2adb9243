"""A whole stack: VPC, cluster, balancer, a service with two to ten tasks, alarms and a dashboard."""

from __future__ import annotations

from pathlib import Path

import aws_cdk as cdk
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from cdk_grpc_lb import GrpcBalancer

HERE = Path(__file__).resolve().parent


class Greetings(cdk.Stack):
    def __init__(self, scope: Construct, id: str) -> None:  # noqa: A002 - the name that every construct gives it
        super().__init__(scope, id, description="A gRPC service of which every call is balanced")

        cluster = ecs.Cluster(self, "Cluster")
        balancer = GrpcBalancer(self, "Balancer", cluster=cluster)
        greeter = balancer.add_service(
            "Greeter",
            image=ecs.ContainerImage.from_asset(str(HERE / "service"), platform=ecr_assets.Platform.LINUX_AMD64),
            port=50051,
        )
        greeter.auto_scale_task_count(min_capacity=2, max_capacity=10, calls_per_target=6000)
        # Whom to wake is yours to say: balancer.add_alarms(topic=my_topic)
        balancer.add_alarms()
        balancer.add_dashboard()

        # A caller of the same stack, for example: balancer.allow_from(my_function). The VPC may call anyway.
        cdk.CfnOutput(self, "Address", value=balancer.address)
        cdk.CfnOutput(self, "ParameterPrefix", value=balancer.parameter_prefix)


app = cdk.App()
Greetings(app, "Greetings")
app.synth()
