"""A service that exists already, registered with the balancer of another team: labels and a rule, nothing replaced."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct

from cdk_grpc_lb import GrpcBalancer


class Stock(cdk.Stack):
    """The stack as the team has it. All but `register` was there before."""

    def __init__(self, scope: Construct, id: str) -> None:  # noqa: A002 - the name that every construct gives it
        super().__init__(scope, id, description="The stock, whose calls another team's gRPC balancer spreads")
        existing = self.node.get_context("existing")
        vpc = ec2.Vpc.from_vpc_attributes(
            self,
            "Vpc",
            vpc_id=existing["vpc"],
            availability_zones=existing["zones"],
            private_subnet_ids=existing["private_subnets"],
            private_subnet_route_table_ids=existing["private_route_tables"],
        )
        cluster = ecs.Cluster.from_cluster_attributes(self, "Cluster", cluster_name=existing["cluster"], vpc=vpc)

        task = ecs.FargateTaskDefinition(self, "Task", cpu=256, memory_limit_mib=512)
        task.add_container(
            "Stock",
            image=ecs.ContainerImage.from_registry("example/stock:1"),
            port_mappings=[ecs.PortMapping(container_port=50051), ecs.PortMapping(container_port=9090)],
            logging=ecs.LogDrivers.aws_logs(stream_prefix="stock"),
        )
        service = ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=task,
            desired_count=3,
            min_healthy_percent=100,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
        )

        # The outputs of the stack that has the balancer. Whoever changes it need not ask this team.
        platform = self.node.get_context("balancer")
        balancer = GrpcBalancer.from_attributes(
            self,
            "Balancer",
            host=platform["host"],
            cluster=cluster,
            load_balancer_security_group=_group(self, "Callers", platform["load_balancer_security_group"]),
            task_security_group=_group(self, "Balancers", platform["task_security_group"]),
        )
        if self.node.try_get_context("register") != "no":
            balancer.register(service, service_name="stock", port=50051, grpc_services=["stock.v1.Stock"])


def _group(scope: Construct, id: str, group_id: str) -> ec2.ISecurityGroup:  # noqa: A002 - as above
    # Not mutable: what it lets in and out is for its own stack to say.
    return ec2.SecurityGroup.from_security_group_id(scope, id, group_id, mutable=False)


app = cdk.App()
Stock(app, "Stock")
app.synth()
