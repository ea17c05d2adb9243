"""Two services that share a balancer, one with a traffic policy and a canary, in a VPC and a cluster that exist."""

from __future__ import annotations

from datetime import timedelta

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from cdk_grpc_lb import Deadline, GrpcBalancer, Overrides, Retry, RetryStatus, RouteRule, TrafficPolicy

# No call of the orders lasts longer than half a minute; whoever sets no deadline gets one of 5 seconds.
ORDERS = TrafficPolicy(deadline=Deadline(default=timedelta(seconds=5), max=timedelta(seconds=30)))
# To read an order twice does no harm, to place one twice does: only the one method is called again when it fails.
READS = RouteRule(
    "reads",
    methods=("orders.v1.Orders/Get",),
    overrides=Overrides(retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE}), max_retries=2)),
)


class Shop(cdk.Stack):
    def __init__(self, scope: Construct, id: str) -> None:  # noqa: A002 - the name that every construct gives it
        super().__init__(scope, id, description="Orders and prices behind one gRPC balancer")

        # By their attributes, not by look-up: synth asks AWS nothing. The values are in cdk.json.
        existing = self.node.get_context("existing")
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=existing["vpc"],
            vpc_cidr_block=existing["cidr"],
            availability_zones=existing["zones"],
            private_subnet_ids=existing["private_subnets"],
            private_subnet_route_table_ids=existing["private_route_tables"],
        )
        cluster = ecs.Cluster.from_cluster_attributes(self, "Cluster", cluster_name=existing["cluster"], vpc=vpc)

        # Only callers that are named below: not all of the VPC.
        balancer = GrpcBalancer(self, "Balancer", cluster=cluster, open_listener=False)
        balancer.add_service(
            "Prices",
            image=ecs.ContainerImage.from_registry("example/prices:1"),
            port=50051,
            # Which calls are whose. The other way is hosts=[...], where callers have a name for each service.
            grpc_services=["prices.v1.Prices"],
        )

        # The new version of the orders takes 5 % of their calls, until it takes the old one's place.
        for name, image, weight in (("Orders", "example/orders:1", 95), ("OrdersCanary", "example/orders:2", 5)):
            balancer.add_service(
                name,
                image=ecs.ContainerImage.from_registry(image),
                port=50051,
                service_name="orders",
                grpc_services=["orders.v1.Orders"],
                weight=weight,
                policy=ORDERS,
                routes=[READS],
            )

        web = ec2.SecurityGroup.from_security_group_id(self, "Web", existing["callers_security_group"])
        balancer.allow_from(web)
        outputs = {
            "Address": balancer.address,
            # What other teams need to register their services: see ../registered_service.
            "Host": balancer.host,
            "TaskSecurityGroup": balancer.task_security_group.security_group_id,
            "LoadBalancerSecurityGroup": balancer.load_balancer_security_group.security_group_id,
        }
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)


app = cdk.App()
Shop(app, "Shop")
app.synth()
