"""A stack with every kind of thing the local AWS stands in for, and nothing of ours: a test of the stand-in alone."""

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_lambda_event_sources as sources
from aws_cdk import aws_sqs as sqs
from constructs import Construct

PORT = 50200


class Small(cdk.Stack):
    def __init__(self, scope: Construct, id: str) -> None:  # noqa: A002 - a construct's id
        super().__init__(scope, id)
        # Elastic addresses, NAT gateways, rules between security groups and a custom resource come with it.
        vpc = ec2.Vpc(self, "Vpc", max_azs=2, restrict_default_security_group=True)
        self.cluster = ecs.Cluster(self, "Cluster", vpc=vpc)
        echo = self.service(
            "Echo", desired_count=2, stop_timeout=cdk.Duration.seconds(2), grace=cdk.Duration.seconds(0)
        )
        balancer = elbv2.NetworkLoadBalancer(self, "Nlb", vpc=vpc)
        listener = balancer.add_listener("Listener", port=PORT, protocol=elbv2.Protocol.TCP)
        listener.add_targets(
            "Tasks",
            port=PORT,
            protocol=elbv2.Protocol.TCP,
            targets=[echo],
            health_check=elbv2.HealthCheck(
                protocol=elbv2.Protocol.HTTP,
                port="8081",
                path="/ready",
                interval=cdk.Duration.seconds(5),
                unhealthy_threshold_count=2,
            ),
        )
        echo.connections.allow_from(balancer, ec2.Port.tcp(PORT))
        checked = self.service(
            "Checked",
            desired_count=0,
            health_check=ecs.HealthCheck(
                command=["CMD-SHELL", "python -m check http://localhost:8081/ready"],
                interval=cdk.Duration.seconds(5),
                retries=2,
            ),
        )
        # ECS, and so the CDK, take no less than 5 s: the tests need not wait as long.
        definition = checked.task_definition.node.default_child
        assert isinstance(definition, ecs.CfnTaskDefinition)
        definition.add_property_override("ContainerDefinitions.0.HealthCheck.Interval", 1)
        self.service("Broken", desired_count=0, environment={"CRASH": "1"})
        # One queue is left to the tests to read, the other goes to a Lambda.
        seen = self.fifo("Seen")
        handed_on = self.fifo("HandedOn")
        pattern = events.EventPattern(
            source=["aws.ecs"],
            detail_type=["ECS Task State Change"],
            detail={"clusterArn": [self.cluster.cluster_arn]},
        )
        to = [targets.SqsQueue(queue, message_group_id="cluster") for queue in (seen, handed_on)]
        events.Rule(self, "Changes", event_pattern=pattern, targets=to)
        events.Rule(
            self,
            "EveryMinute",
            schedule=events.Schedule.rate(cdk.Duration.minutes(1)),
            targets=[targets.SqsQueue(handed_on, message_group_id="cluster")],
        )
        function = lambda_.Function(
            self,
            "Hands",
            runtime=lambda_.Runtime.PYTHON_3_13,
            handler="hands.handler",
            code=lambda_.Code.from_asset("hands"),
            timeout=cdk.Duration.seconds(5),
            environment={"CLUSTER": self.cluster.cluster_arn, "PARAMETER": "/small/seen"},
        )
        function.add_to_role_policy(iam.PolicyStatement(actions=["ssm:*", "ecs:*"], resources=["*"]))
        function.add_event_source(sources.SqsEventSource(handed_on, batch_size=10))
        alarm = cloudwatch.Alarm(
            self,
            "Late",
            metric=handed_on.metric_approximate_age_of_oldest_message(),
            threshold=60,
            evaluation_periods=1,
        )
        cloudwatch.CompositeAlarm(self, "AnyAlarm", alarm_rule=cloudwatch.AlarmRule.any_of(alarm))
        cdk.CfnOutput(self, "Address", value=f"{balancer.load_balancer_dns_name}:{PORT}")
        cdk.CfnOutput(self, "ClusterName", value=self.cluster.cluster_name)
        cdk.CfnOutput(self, "SeenUrl", value=seen.queue_url)

    def service(
        self,
        name: str,
        *,
        desired_count: int,
        stop_timeout: cdk.Duration | None = None,
        health_check: ecs.HealthCheck | None = None,
        environment: dict[str, str] | None = None,
        grace: cdk.Duration | None = None,
    ) -> ecs.FargateService:
        definition = ecs.FargateTaskDefinition(self, f"{name}Definition")
        definition.add_container(
            "echo",
            image=ecs.ContainerImage.from_asset("image"),
            port_mappings=[ecs.PortMapping(container_port=PORT)],
            stop_timeout=stop_timeout,
            health_check=health_check,
            environment={"PORT": str(PORT), **(environment or {})},
            docker_labels={"small.Name": name},
        )
        return ecs.FargateService(
            self,
            name,
            service_name=name.lower(),
            cluster=self.cluster,
            task_definition=definition,
            desired_count=desired_count,
            health_check_grace_period=grace,
            min_healthy_percent=100,
            max_healthy_percent=200,
        )

    def fifo(self, name: str) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            fifo=True,
            content_based_deduplication=True,
            dead_letter_queue=sqs.DeadLetterQueue(
                max_receive_count=100, queue=sqs.Queue(self, f"{name}Dead", fifo=True)
            ),
        )


app = cdk.App()
Small(app, "Small")
app.synth()
