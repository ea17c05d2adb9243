"""A gRPC service on Fargate whose calls are balanced."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import aws_cdk as cdk
import jsii
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.balancer import GrpcBalancer
from cdk_grpc_lb.labels import docker_labels
from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.misuse import LONGEST_STOP_SECONDS, Props, surely_other, vpc_of
from cdk_grpc_lb.ordering import start_after

_CONTAINER = "App"


@jsii.implements(ec2.IConnectable, iam.IGrantable)
class GrpcBalancedService(Construct):
    """A Fargate service of which every task gets its fair share of the calls, on however few connections they come.

    Makes what is not given: the VPC, the cluster and the balancer. The balancer's list of targets follows the tasks as
    they start, stop, scale and fail. Its parts are attributes: ``service``, ``task_definition``, ``container``,
    ``log_group``, ``cluster``, ``balancer``. Raises ValueError at synth for props that contradict each other or that no
    deployment could take.

    :param image: The image of the service's container.
    :param port: The container port on which the service takes gRPC calls, without TLS.
    :param desired_count: How many tasks run. By default 2.
    :param vpc: The VPC for the cluster that is made. By default, one with two zones is made, unless ``cluster`` or
        ``balancer`` is given.
    :param cluster: The cluster in which the service runs. By default the balancer's; without a balancer, one is made.
    :param balancer: A balancer to share with other services. By default, one is made for this service.
    :param service_name: The logical name under which the balancer and its clients know the service: up to 63 of a-z,
        0-9 and -. By default it is made of the id: ``RandomNumbers`` becomes ``random-numbers``. Services with the same
        name share its calls.
    :param hosts: The ``:authority`` values whose calls come to this service: host names without port, ``*.domain``,
        or ``*``. By default, all.
    :param grpc_services: The full names of the gRPC services whose calls come here, such as ``rng.v1.RandomNumber``. By
        default, all.
    :param cpu: The CPU units of each task. By default 256.
    :param memory_limit_mib: The memory of each task in MiB. By default 512.
    :param environment: Environment variables of the container. By default, none.
    :param secrets: Environment variables whose values come from Secrets Manager or Parameter Store. By default, none.
    :param health_check: The container's health check; a task gets no call before it passes. By default, none: a task
        gets calls as soon as it runs.
    :param stop_timeout: How long a task has between SIGTERM and SIGKILL. No new call comes about two seconds after
        SIGTERM; the rest is for the calls it has. By default 60 seconds.
    :param log_retention: How long logs are kept. By default, one month.
    """

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        image: ecs.ContainerImage,
        port: int,
        desired_count: int = 2,
        vpc: ec2.IVpc | None = None,
        cluster: ecs.ICluster | None = None,
        balancer: GrpcBalancer | None = None,
        service_name: str | None = None,
        hosts: Sequence[str] | None = None,
        grpc_services: Sequence[str] | None = None,
        cpu: int = 256,
        memory_limit_mib: int = 512,
        environment: Mapping[str, str] | None = None,
        secrets: Mapping[str, ecs.Secret] | None = None,
        health_check: ecs.HealthCheck | None = None,
        stop_timeout: cdk.Duration | None = None,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
    ) -> None:
        super().__init__(scope, id)
        props = Props(type(self).__name__, id)
        stop_timeout = stop_timeout if stop_timeout is not None else cdk.Duration.seconds(60)
        props.whole_number("port", port, 1, 65_535)
        props.whole_number("desired_count", desired_count, 0, 5000)
        props.fargate_size(cpu, memory_limit_mib)
        props.seconds("stop_timeout", stop_timeout, 2, LONGEST_STOP_SECONDS)
        _refuse_contradictions(props, vpc, cluster, balancer)
        if cluster is not None:
            vpc_of(props, cluster)
        twice = sorted({*(environment or ())} & {*(secrets or ())})
        if twice:
            raise props.conflict(f"environment {twice[0]}", f"secrets {twice[0]}", "a variable has one value")
        service_name = service_name if service_name is not None else logical_name(id)
        labels = docker_labels(props, service_name=service_name, port=port, hosts=hosts, grpc_services=grpc_services)

        if cluster is None:
            cluster = balancer.cluster if balancer is not None else self._make_cluster(vpc)
        self.cluster = cluster
        self.port = port
        self.service_name = service_name

        self.log_group = logs.LogGroup(self, "Logs", retention=log_retention)
        self.task_definition = ecs.FargateTaskDefinition(
            self, "TaskDefinition", cpu=cpu, memory_limit_mib=memory_limit_mib
        )
        self.container = self.task_definition.add_container(
            _CONTAINER,
            image=image,
            environment=dict(environment or {}),
            secrets=dict(secrets or {}),
            docker_labels=labels,
            health_check=health_check,
            logging=calm_log_driver(self.log_group, "app"),
            port_mappings=[ecs.PortMapping(container_port=port)],
            stop_timeout=stop_timeout,
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
        )
        start_after(self.service, cluster.vpc.select_subnets().internet_connectivity_established)

        self.balancer = balancer if balancer is not None else GrpcBalancer(self, "Balancer", cluster=cluster)
        self._connections = ec2.Connections(
            security_groups=self.service.connections.security_groups, default_port=ec2.Port.tcp(port)
        )
        self._connections.allow_default_port_from(self.balancer.service, "calls from the balancer")

    @property
    def connections(self) -> ec2.Connections:
        """The security group of the tasks, with the gRPC port as the default port.

        Callers need not be allowed here but at the balancer: ``balancer.connections``.
        """
        return self._connections

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """The role of the tasks: ``bucket.grant_read(service)``."""
        return self.task_definition.task_role

    def _make_cluster(self, vpc: ec2.IVpc | None) -> ecs.Cluster:
        if vpc is None:
            vpc = ec2.Vpc(
                self,
                "Vpc",
                max_azs=2,
                # Nothing here uses the default group, and emptying it would take a function that may change any group.
                restrict_default_security_group=False,
            )
        return ecs.Cluster(self, "Cluster", vpc=vpc)


def logical_name(construct_id: str) -> str:
    """A service's name made of a construct's id.

    >>> logical_name("RandomNumbers"), logical_name("HTTPEcho_v2")
    ('random-numbers', 'http-echo-v2')
    """
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "-", construct_id)
    return re.sub(r"[^a-z0-9]+", "-", words.lower())[:63].strip("-")


def _refuse_contradictions(
    props: Props, vpc: ec2.IVpc | None, cluster: ecs.ICluster | None, balancer: GrpcBalancer | None
) -> None:
    if vpc is not None and cluster is not None:
        raise props.conflict("vpc", "cluster", "a cluster has its VPC; leave vpc out")
    if vpc is not None and balancer is not None:
        raise props.conflict("vpc", "balancer", "a service runs in the VPC of its balancer; leave vpc out")
    if cluster is not None and balancer is not None and surely_other(cluster, balancer.cluster):
        raise props.error(
            "cluster", f"the balancer's, {balancer.cluster.node.path}; leave cluster out", cluster.node.path
        )
