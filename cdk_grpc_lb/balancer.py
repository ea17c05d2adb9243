"""The balancer: Envoy and its control plane on Fargate, behind a Network Load Balancer."""

from __future__ import annotations

import aws_cdk as cdk
import jsii
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecr_assets as ecr_assets
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.draining import Drain
from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.misuse import Props, vpc_of
from cdk_grpc_lb.ordering import start_after
from cdk_grpc_lb.parameters import own_prefix, parameters_under
from cdk_grpc_lb.staging import stage
from cdk_grpc_lb.target_sync import TargetSync

# What the image listens on; `proxy_image/settings.py` has the same numbers as defaults.
CALLS_PORT = 50051
READY_PORT = 8081
WEB_PORT = 8080
XDS_PORT = 18000

_CONTAINER = "Balancer"
_STATE_DIR = "/var/lib/grpc-lb"
_USER = "10001:10001"
# New connections keep coming for two minutes after a target is deregistered, whatever the delay says:
# https://github.com/aws/containers-roadmap/issues/470, https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366
_DEREGISTRATION_DELAY = cdk.Duration.seconds(120)
# A balancer is not ready before it has a document, and the first may take until the one-minute rule writes it.
_HEALTH_CHECK_GRACE = cdk.Duration.minutes(3)


@jsii.implements(ec2.IConnectable)
class GrpcBalancer(Construct):
    """Balances each gRPC call between the tasks of the services that register with it.

    Two tasks in two zones behind an internal Network Load Balancer. Which tasks there are to balance comes from the
    docker labels of the cluster's tasks; no service has to be named here. Its parts are attributes: ``load_balancer``,
    ``listener``, ``target_group``, ``service``, ``task_definition``, ``container``, ``log_group``, ``target_sync``.
    Raises ValueError at synth for props that contradict each other or that no deployment could take.

    :param cluster: The cluster in which the balancer runs, and whose services it balances.
    :param desired_count: How many tasks balance. By default 2, so that one may fail or be replaced.
    :param port: The port on which callers reach the balancer, HTTP/2 without TLS. By default 50051.
    :param open_listener: Whether every address of the VPC may call. By default it may; if false, only those that are
        given to ``connections.allow_default_port_from``.
    :param cpu: The CPU units of each task. By default 512.
    :param memory_limit_mib: The memory of each task in MiB. By default 1024.
    :param drain_delay: How long a task that is told to stop fails its readiness check while it serves on, until the
        load balancer sends it no new connection. By default 50 seconds: a Network Load Balancer needs 10 to see the
        failing check, and up to 40 to act on it.
    :param drain_time: How long, after that, connections are sent away (GOAWAY) while their calls finish. By default
        30 seconds.
    :param log_retention: How long logs are kept. By default, one month.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        cluster: ecs.ICluster,
        desired_count: int = 2,
        port: int = CALLS_PORT,
        open_listener: bool = True,
        cpu: int = 512,
        memory_limit_mib: int = 1024,
        drain_delay: cdk.Duration | None = None,
        drain_time: cdk.Duration | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
    ) -> None:
        super().__init__(scope, id)
        props = Props(type(self).__name__, id)
        props.whole_number("desired_count", desired_count, 1, 1000)
        props.whole_number("port", port, 1, 65_535)
        props.fargate_size(cpu, memory_limit_mib)
        drain = Drain.checked(
            props,
            drain_delay if drain_delay is not None else cdk.Duration.seconds(50),
            drain_time if drain_time is not None else cdk.Duration.seconds(30),
        )
        vpc = vpc_of(props, cluster)
        callers = ec2.Peer.ipv4(_cidr_of(props, vpc)) if open_listener else None

        self.cluster = cluster
        self.port = port
        self.parameter_prefix = own_prefix(self)
        self.target_sync = TargetSync(
            self, "TargetSync", cluster=cluster, parameter_prefix=self.parameter_prefix, log_retention=log_retention
        )

        self.log_group = logs.LogGroup(self, "Logs", retention=log_retention)
        self.task_definition = ecs.FargateTaskDefinition(
            self,
            "TaskDefinition",
            cpu=cpu,
            memory_limit_mib=memory_limit_mib,
            runtime_platform=ecs.RuntimePlatform(
                cpu_architecture=ecs.CpuArchitecture.X86_64, operating_system_family=ecs.OperatingSystemFamily.LINUX
            ),
            volumes=[ecs.Volume(name="state")],
        )
        self.task_definition.add_to_task_role_policy(
            iam.PolicyStatement(
                actions=["ssm:GetParameter", "ssm:GetParameters"],
                resources=[parameters_under(self, self.parameter_prefix)],
            )
        )
        self.container = self._add_container(
            environment={
                "GRPC_LB_PARAMETER_PREFIX": self.parameter_prefix,
                **drain.environment,
                # One worker thread for each whole CPU: what the task sees of the machine below is more than it may use.
                **({} if cdk.Token.is_unresolved(cpu) else {"GRPC_LB_ENVOY_CONCURRENCY": str(max(1, cpu // 1024))}),
            },
            stop_timeout=drain.stop_timeout,
        )
        self.service = ecs.FargateService(
            self,
            "Service",
            cluster=cluster,
            task_definition=self.task_definition,
            desired_count=desired_count,
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ecs.DeploymentCircuitBreaker(rollback=True),
            health_check_grace_period=_HEALTH_CHECK_GRACE,
        )
        start_after(self.service, vpc.select_subnets().internet_connectivity_established)
        # Without a document no task gets ready, and without the sync there is no document.
        start_after(self.service, self.target_sync)

        security_group = ec2.SecurityGroup(
            self,
            "LoadBalancerSecurityGroup",
            vpc=vpc,
            description="Callers of the gRPC balancer",
            allow_all_outbound=False,
        )
        self.load_balancer = elbv2.NetworkLoadBalancer(
            self,
            "LoadBalancer",
            vpc=vpc,
            internet_facing=False,
            cross_zone_enabled=True,
            security_groups=[security_group],
        )
        self.listener = self.load_balancer.add_listener("Listener", port=port, protocol=elbv2.Protocol.TCP)
        self.target_group = self.listener.add_targets(
            "Tasks",
            port=CALLS_PORT,
            protocol=elbv2.Protocol.TCP,
            targets=[self.service.load_balancer_target(container_name=_CONTAINER, container_port=CALLS_PORT)],
            health_check=elbv2.HealthCheck(
                protocol=elbv2.Protocol.HTTP,
                port=str(READY_PORT),
                path="/ready",
                interval=cdk.Duration.seconds(5),
                timeout=cdk.Duration.seconds(3),
                healthy_threshold_count=2,
                unhealthy_threshold_count=2,
            ),
            deregistration_delay=_DEREGISTRATION_DELAY,
            # A caller that is itself a task on the same host could not reach the target by its own address.
            preserve_client_ip=False,
        )
        self.service.connections.allow_from(security_group, ec2.Port.tcp(CALLS_PORT), "calls from the load balancer")
        self.service.connections.allow_from(security_group, ec2.Port.tcp(READY_PORT), "its health checks")

        self._connections = ec2.Connections(security_groups=[security_group], default_port=ec2.Port.tcp(port))
        if callers is not None:
            self._connections.allow_default_port_from(callers, "callers in the VPC")

    @property
    def connections(self) -> ec2.Connections:
        """Who may call: the security group of the load balancer, with the balancer's port as the default port."""
        return self._connections

    @property
    def address(self) -> str:
        """Where callers reach every service of this balancer: ``host:port``."""
        return f"{self.load_balancer.load_balancer_dns_name}:{self.port}"

    def _add_container(self, *, environment: dict[str, str], stop_timeout: cdk.Duration) -> ecs.ContainerDefinition:
        linux = ecs.LinuxParameters(self, "LinuxParameters")
        linux.drop_capabilities(ecs.Capability.ALL)
        container = self.task_definition.add_container(
            _CONTAINER,
            image=ecs.ContainerImage.from_asset(
                stage(self, "proxy_image", "grpc_lb_contract"),
                file="proxy_image/Dockerfile",
                platform=ecr_assets.Platform.LINUX_AMD64,
            ),
            environment=environment,
            logging=calm_log_driver(self.log_group, "balancer"),
            user=_USER,
            readonly_root_filesystem=True,
            linux_parameters=linux,
            stop_timeout=stop_timeout,
            # It asks the image's first process and Envoy, never the control plane (invariant 6).
            health_check=ecs.HealthCheck(
                command=["CMD", "python", "-m", "proxy_image.health"],
                interval=cdk.Duration.seconds(10),
                timeout=cdk.Duration.seconds(5),
                retries=3,
                start_period=cdk.Duration.seconds(30),
            ),
            port_mappings=[
                ecs.PortMapping(container_port=port) for port in (CALLS_PORT, READY_PORT, WEB_PORT, XDS_PORT)
            ],
            # A caller's connection and the one to its target are a descriptor each. 65,535 is Fargate's own limit,
            # written down: https://docs.aws.amazon.com/AmazonECS/latest/APIReference/API_Ulimit.html
            ulimits=[ecs.Ulimit(name=ecs.UlimitName.NOFILE, soft_limit=65_535, hard_limit=65_535)],
        )
        container.add_mount_points(ecs.MountPoint(container_path=_STATE_DIR, source_volume="state", read_only=False))
        return container


def _cidr_of(props: Props, vpc: ec2.IVpc) -> str:
    try:
        return vpc.vpc_cidr_block
    except RuntimeError:  # what the CDK's own error comes as
        raise props.error(
            "open_listener",
            "False where the address range of the VPC is not known (or import the VPC with its vpc_cidr_block)",
            "True",
        ) from None
