"""The ways to use the constructs, each a stack or two of one app."""

from __future__ import annotations

import aws_cdk as cdk
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_sns as sns

from cdk_grpc_lb import AccessLog, GrpcBalancedService, GrpcBalancer, Tracing

IMAGE = ecs.ContainerImage.from_registry("example/rng")
SPOT = [
    ecs.CapacityProviderStrategy(capacity_provider="FARGATE", base=1, weight=1),
    ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=3),
]


def make_every_way(app: cdk.App) -> dict[str, cdk.Stack]:
    platform, team = shared_balancer(app)
    legacy, fleet = registered_service(app)
    stacks = [platform, team, legacy, fleet, public_balancer(app), whole_task(app), imported_balancer(app)]
    return {stack.node.id: stack for stack in stacks}


def shared_balancer(app: cdk.App) -> tuple[cdk.Stack, cdk.Stack]:
    """Services of one stack that share the balancer of another stack, in a cluster that was there before."""
    platform = cdk.Stack(app, "Platform")
    vpc = existing_vpc(platform)
    cluster = ecs.Cluster.from_cluster_attributes(platform, "Cluster", cluster_name="existing", vpc=vpc)
    balancer = GrpcBalancer(platform, "Balancer", cluster=cluster, open_listener=False, port=9000)
    balancer.allow_from(ec2.Peer.ipv4("10.0.7.0/24"))
    balancer.add_service("Prices", image=IMAGE, port=7000, hosts=["prices.internal"], desired_count=1)

    team = cdk.Stack(app, "Team")
    GrpcBalancedService(
        team, "Orders", image=IMAGE, port=8443, balancer=balancer, hosts=["orders.internal", "*.orders"]
    )
    canary = GrpcBalancedService(
        team,
        "OrdersCanary",
        image=IMAGE,
        port=8443,
        balancer=balancer,
        cluster=cluster,
        service_name="orders",
        grpc_services=["orders.v1.Orders"],
        desired_count=0,
        drain_time=cdk.Duration.seconds(75),
        health_check=ecs.HealthCheck(command=["CMD", "probe"]),
    )
    balancer.allow_from(canary)
    cdk.CfnOutput(team, "Prefix", value=balancer.parameter_prefix)
    return platform, team


def legacy_service(app: cdk.App) -> ecs.FargateService:
    """What a team had before: a cluster and a service made by hand, with a sidecar."""
    stack = cdk.Stack(app, "Legacy")
    cluster = ecs.Cluster(stack, "Cluster", vpc=existing_vpc(stack))
    task_definition = ecs.FargateTaskDefinition(stack, "Task")
    task_definition.add_container("Log", image=IMAGE, essential=False)
    task_definition.add_container(
        "Server",
        image=IMAGE,
        docker_labels={"team": "legacy"},
        port_mappings=[ecs.PortMapping(container_port=7000), ecs.PortMapping(container_port=9090)],
    )
    return ecs.FargateService(
        stack,
        "Service",
        cluster=cluster,
        task_definition=task_definition,
        min_healthy_percent=100,
        circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
    )


def registered_service(app: cdk.App) -> tuple[cdk.Stack, cdk.Stack]:
    """A balancer of two clusters, for the services of one team, with gRPC clients that need no proxy."""
    service = legacy_service(app)
    fleet = cdk.Stack(app, "Fleet")
    balancer = GrpcBalancer(
        fleet,
        "Balancer",
        cluster=service.cluster,
        exposed_by_default=True,
        only_services=["legacy-*", "fresh"],
        only_label="team=legacy",
    )
    balancer.register(service, service_name="legacy-rng", port=7000)
    balancer.auto_scale_task_count(max_capacity=6)
    other = ecs.Cluster(fleet, "Other", vpc=service.cluster.vpc)
    balancer.add_cluster("OtherTargets", other)
    fresh = balancer.add_service("Fresh", image=IMAGE, port=7001, cluster=other, grpc_services=["fresh.v1.Fresh"])
    fresh.auto_scale_task_count(
        min_capacity=2,
        max_capacity=20,
        calls_metric=cloudwatch.Metric(namespace="Fresh", metric_name="CallsPerTask"),
        calls_per_target=500,
    )
    client = ec2.SecurityGroup(fleet, "Client", vpc=other.vpc)
    balancer.allow_xds_from(client)
    balancer.add_alarms(topic=sns.Topic(fleet, "Incidents", enforce_ssl=True), leave_out=["NoTargets"])
    balancer.add_dashboard()
    cdk.CfnOutput(fleet, "Xds", value=balancer.xds_address)
    return cdk.Stack.of(service), fleet


def public_balancer(app: cdk.App) -> cdk.Stack:
    """The internet may call, over TLS, by a name; the balancer runs on ARM64 and traces calls."""
    stack = cdk.Stack(app, "Public")
    vpc = ec2.Vpc(stack, "Vpc", max_azs=2, nat_gateways=1, restrict_default_security_group=False)
    balancer = GrpcBalancer(
        stack,
        "Balancer",
        cluster=ecs.Cluster(stack, "Cluster", vpc=vpc),
        internet_facing=True,
        open_listener=True,
        certificate=acm.Certificate.from_certificate_arn(
            stack, "Certificate", "arn:aws:acm:us-east-1:111122223333:certificate/0a1b2c3d"
        ),
        domain_name="grpc.example.com",
        domain_zone=route53.HostedZone.from_hosted_zone_attributes(
            stack, "Zone", hosted_zone_id="Z0123456789ABCDEFGHIJ", zone_name="example.com"
        ),
        cross_zone_enabled=False,
        cpu_architecture=ecs.CpuArchitecture.ARM64,
        cpu=2048,
        memory_limit_mib=4096,
        tracing=Tracing(sampling_percent=5),
        access_log=AccessLog.failures(),
    )
    cdk.CfnOutput(stack, "Address", value=balancer.address)
    return stack


def whole_task(app: cdk.App) -> cdk.Stack:
    """A task definition of the user's own with a sidecar, mostly on Spot, with all that a deployment can be told."""
    stack = cdk.Stack(app, "Whole")
    vpc = existing_vpc(stack)
    task_definition = ecs.FargateTaskDefinition(
        stack,
        "Task",
        cpu=1024,
        memory_limit_mib=2048,
        runtime_platform=ecs.RuntimePlatform(cpu_architecture=ecs.CpuArchitecture.ARM64),
    )
    task_definition.add_container("XRay", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=2000)])
    task_definition.add_container("Server", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=7000)])
    alarm = cloudwatch.Alarm(
        stack,
        "Alarm",
        metric=cloudwatch.Metric(namespace="Rng", metric_name="Failures"),
        threshold=1,
        evaluation_periods=1,
    )
    service = GrpcBalancedService(
        stack,
        "Rng",
        task_definition=task_definition,
        port=7000,
        vpc=vpc,
        task_subnets=ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC),
        assign_public_ip=True,
        desired_count=4,
        capacity_provider_strategies=SPOT,
        min_healthy_percent=50,
        max_healthy_percent=150,
        circuit_breaker=ecs.DeploymentCircuitBreaker(enable=True, rollback=False),
        deployment_alarms=ecs.DeploymentAlarmConfig(
            alarm_names=[alarm.alarm_name], behavior=ecs.AlarmBehavior.FAIL_ON_ALARM
        ),
        enable_execute_command=True,
    )
    service.metric_cpu_utilization().create_alarm(stack, "Busy", threshold=90, evaluation_periods=5)
    return stack


def imported_balancer(app: cdk.App) -> cdk.Stack:
    """A service and a caller of a balancer that another app has made."""
    stack = cdk.Stack(app, "Elsewhere")
    vpc = existing_vpc(stack)
    balancer = GrpcBalancer.from_attributes(
        stack,
        "Balancer",
        host="balancer.internal",
        cluster=ecs.Cluster.from_cluster_attributes(stack, "Cluster", cluster_name="existing", vpc=vpc),
        load_balancer_security_group=ec2.SecurityGroup.from_security_group_id(stack, "LbGroup", "sg-0a1b2c3d4e5f60718"),
        task_security_group=ec2.SecurityGroup.from_security_group_id(stack, "TaskGroup", "sg-0a1b2c3d4e5f60719"),
        only_label="team",
    )
    service = balancer.add_service(
        "Rng",
        image=IMAGE,
        port=50051,
        runtime_platform=ecs.RuntimePlatform(cpu_architecture=ecs.CpuArchitecture.ARM64),
        grpc_health_probe="/bin/grpc_health_probe",
        log_driver=ecs.LogDrivers.firelens(),
        environment={"BALANCER": balancer.address},
    )
    balancer.allow_from(service)
    return stack


def existing_vpc(stack: cdk.Stack) -> ec2.IVpc:
    return ec2.Vpc.from_vpc_attributes(
        stack,
        "Vpc",
        vpc_id="vpc-0a1b2c3d4e5f60718",
        vpc_cidr_block="10.0.0.0/16",
        availability_zones=["us-east-1a", "us-east-1b"],
        private_subnet_ids=["subnet-0a1b2c3d4e5f60718", "subnet-0a1b2c3d4e5f60719"],
        private_subnet_route_table_ids=["rtb-0a1b2c3d4e5f60718", "rtb-0a1b2c3d4e5f60719"],
        public_subnet_ids=["subnet-0a1b2c3d4e5f6071a", "subnet-0a1b2c3d4e5f6071b"],
        public_subnet_route_table_ids=["rtb-0a1b2c3d4e5f6071a", "rtb-0a1b2c3d4e5f6071b"],
    )
