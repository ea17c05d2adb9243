"""A gRPC service on Fargate whose calls are balanced."""

from __future__ import annotations

from typing import TYPE_CHECKING

import jsii
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.argument_types import check_props
from cdk_grpc_lb.balancer.balancer import own_balancer
from cdk_grpc_lb.balancer.balancer_base import GrpcBalancerBase
from cdk_grpc_lb.checked_calls import checked
from cdk_grpc_lb.monitoring.call_metrics import ServiceCallMetrics
from cdk_grpc_lb.monitoring.ecs_metrics import ServiceMetrics
from cdk_grpc_lb.network.ingress import tcp
from cdk_grpc_lb.network.internet_access import InternetAccess
from cdk_grpc_lb.network.names import describe_groups
from cdk_grpc_lb.network.placement import Placement, placement_of
from cdk_grpc_lb.ordering import start_when_allowed
from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.routing.labels import labelled_calls
from cdk_grpc_lb.service.containers import labels_of, refuse_other_labels
from cdk_grpc_lb.service.defaults import logical_name, make_cluster
from cdk_grpc_lb.service.deployment import Deployment
from cdk_grpc_lb.service.endpoints_needed import endpoints_needed, images_of
from cdk_grpc_lb.service.props import DEFAULTS, CallProps, ServiceProps, TaskProps, part_of
from cdk_grpc_lb.service.scaling import ScalingCalls, auto_scale
from cdk_grpc_lb.service.task import Made, OwnTask, given_task
from cdk_grpc_lb.signatures import shown, takes
from cdk_grpc_lb.synth_checks import check_at_synth
from cdk_grpc_lb.validation import Props, vpc_of

if TYPE_CHECKING:
    from typing import Unpack

    from aws_cdk import aws_cloudwatch as cloudwatch


@shown
@jsii.implements(ec2.IConnectable, iam.IGrantable)
class GrpcBalancedService(ServiceMetrics, ServiceCallMetrics, Construct):
    """A Fargate service each of whose tasks gets its fair share of the calls, however few connections callers have.

    Makes what is not given: the VPC, the cluster and the balancer. The balancer's target list updates automatically as
    tasks start, stop, scale and fail. Raises ValueError at synth for props that contradict each other or that no
    deployment could take.

    :param image: The image of the service's container. Either this or ``task_definition``.
    :param port: The container port on which the service takes gRPC calls. Needed with ``image``; with
        ``task_definition``, by default the only port that its containers map.
    :param task_definition: The whole task, instead of ``image``: for several containers, volumes, roles of your own. It
        must be for Fargate. Its container that maps the port gets the balancer's labels.
    :param container_name: The container of ``task_definition`` that takes the calls. By default the only one that maps
        the port.
    :param vpc: The VPC for the cluster that is made. By default, one with two zones is made, unless ``cluster`` or
        ``balancer`` is given.
    :param cluster: The cluster in which the service runs. By default the balancer's; without a balancer, one is made.
    :param balancer: A balancer to share with other services. By default, one is made that serves only this service,
        and those that are added to it (``service.balancer.add_service``).
    :param task_subnets: The subnets of the tasks. By default, the private ones of the VPC, or the public ones of a VPC
        that has no others.
    :param security_groups: The security groups of the tasks. By default, one is made.
    :param assign_public_ip: Whether tasks get public addresses. By default they do in public subnets, where they need
        them to pull their image.
    :param service_name: The logical name under which the balancer and its clients know the service: up to 63 of a-z,
        0-9 and -. By default it is made of the id: ``RandomNumbers`` becomes ``random-numbers``. Services with the same
        name share its calls.
    :param hosts: The ``:authority`` values whose calls come to this service: host names without port, ``*.domain``,
        or ``*``. By default, all.
    :param grpc_services: The full names of the gRPC services whose calls come here, such as ``rng.v1.RandomNumber``. By
        default, all.
    :param methods: Full names of single methods whose calls come here, such as ``rng.v1.RandomNumber/Get``: in
        addition to ``grpc_services`` if that is given, otherwise only these. By default, none.
    :param metadata: Conditions on the request metadata of the calls that come here, all of which must hold, such as
        ``[Condition("x-tenant", Match.PREFIX, "acme-")]``. By default, none.
    :param priority: Which route of a host takes a call that several fit: the one with the highest, 0 to 1000000,
        before conditions and methods count. By default 0.
    :param routes: Further routes, each under a name of its own: other calls, or other deadlines and retries for
        some of them. By default, none.
    :param weight: Its share of the calls, 0 to 1000, relative to the other ECS services of the same ``service_name``.
        Beside one with a weight, those without one count as 100: a canary that weighs 5 gets about 5 percent. By
        default, if none of them has a weight, each task gets the same share.
    :param policy: How its calls are treated: deadlines, retries, limits, which target takes a call, and more. ECS
        services of the same ``service_name`` should have the same, because the policy of the one with the most tasks
        applies to all. By default ``TrafficPolicy()``.
    :param cpu: The CPU units of each task. By default 256.
    :param memory_limit_mib: The memory of each task in MiB. By default 512.
    :param runtime_platform: The operating system and CPU of the tasks, such as Linux on ARM64; the image must be for
        the same. By default, Linux on x86_64.
    :param environment: Environment variables of the container. By default, none.
    :param secrets: Environment variables whose values come from Secrets Manager or Parameter Store. By default, none.
    :param health_check: The container's health check; a task gets no call before it passes. By default, none: a task
        gets calls as soon as it runs.
    :param grpc_health_probe: The absolute path of ``grpc_health_probe``
        (https://github.com/grpc-ecosystem/grpc-health-probe) in the image. ECS then asks the server's gRPC health
        service with it, instead of ``health_check``. ECS runs health checks inside the container, so the image must
        have such a program. By default, none.
    :param drain_time: How long a task that is told to stop may take to finish its calls, up to 105 seconds. Before
        that, it takes up to 15 seconds until new calls stop coming: together that is the container's stop timeout,
        after which ECS kills it. By default 45 seconds.
    :param log_driver: How the container logs. By default to CloudWatch Logs; if that is slow, lines are dropped and no
        call is delayed.
    :param log_retention: How long those logs are kept. By default, one month.
    :param desired_count: How many tasks run. By default 2, until ``auto_scale_task_count`` is called.
    :param capacity_provider_strategies: How tasks are spread over ``FARGATE`` and ``FARGATE_SPOT``. The providers are
        enabled in a cluster of this app; an imported one must have them. By default, ``FARGATE`` alone.
    :param min_healthy_percent: How many of the tasks a deployment keeps running. By default 100 percent.
    :param max_healthy_percent: How many tasks may run during a deployment. By default 200 percent.
    :param circuit_breaker: Whether a deployment whose tasks fail is stopped. By default it is, and ECS rolls back to
        the last one that completed.
    :param deployment_alarms: Alarms that fail a deployment. By default, none.
    :param enable_execute_command: Whether ``aws ecs execute-command`` may open a shell in the tasks. By default not.
    """

    task_definition: ecs.TaskDefinition
    """What each task is made of."""
    container: ecs.ContainerDefinition
    """The container that takes the calls."""
    log_group: logs.LogGroup | None
    """Where the container logs; None if a log driver or a task definition is given."""
    cluster: ecs.ICluster
    """The cluster in which the service runs."""
    balancer: GrpcBalancerBase
    """The balancer that its calls come through."""
    port: int
    """The container port for gRPC calls."""
    service_name: str
    """The logical name under which the balancer and its clients know the service."""

    @takes(ServiceProps, DEFAULTS)
    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        **given: Unpack[ServiceProps],
    ) -> None:
        super().__init__(scope, id)
        self._props = props = Props(type(self).__name__, path_of(self))
        check_props(props, ServiceProps, given)
        self._check_place(given)
        own_task = OwnTask(part_of(given, TaskProps))
        whole = _whole_task(props, given, own_task)
        port = whole.serving.port if whole is not None else given.get("port")
        assert port is not None  # noqa: S101 - checked by either
        service_name, balancer = given.get("service_name"), given.get("balancer")
        name = service_name if service_name is not None else logical_name(id)
        labelled = labelled_calls(props, part_of(given, CallProps), service_name=name, port=port)
        deployment = Deployment.checked(props, given)
        said = {} if whole is None else labels_of(whole.serving.container)
        if whole is not None:
            labels = balancer._labels_for(labelled, said) if balancer is not None else labelled.labels
            refuse_other_labels(props, whole.serving.container, said, labels)
        if balancer is not None:
            balancer._admit(props, labelled, self, name_is_given=service_name is not None)

        self.cluster = self._cluster_of(given)
        self.port = port
        self.service_name = labelled.service_name
        placement = placement_of(
            props, self.cluster.vpc, given.get("task_subnets"), assign_public_ip=given.get("assign_public_ip")
        )
        task = whole if whole is not None else own_task.make(self)
        self.log_group = task.log_group
        self.task_definition = task.definition
        self.container = task.serving.container
        self._opens_shells = given.get("enable_execute_command", False)
        self.service: ecs.FargateService = self._make_service(given, placement, deployment)
        self._count_is_given = given.get("desired_count") is not None
        self._connections = ec2.Connections(
            security_groups=self.service.connections.security_groups, default_port=tcp(port)
        )

        if balancer is None:
            # Of this service alone: the cluster may have others, with balancers of their own.
            balancer = own_balancer(self, "Balancer", self.cluster, labelled.service_name)
            balancer._admit(props, labelled, self, name_is_given=service_name is not None)
        self.balancer = balancer
        self.balancer._connect(props, self.service, task.serving, labelled, said)
        self.balancer._needs_of_services.append(self._endpoints_needed)
        self._published = self.balancer._published
        self._published_service = self.service_name

    def _check_place(self, given: ServiceProps) -> None:
        """Raise ValueError for a VPC, cluster, balancer or security groups that do not go together."""
        props = self._props
        vpc, cluster, balancer = given.get("vpc"), given.get("cluster"), given.get("balancer")
        _refuse_contradictions(props, vpc, cluster, balancer)
        if balancer is not None:
            balancer._refuse_strangers(props, self, cluster)
        if cluster is not None:
            vpc_of(props, cluster)
        security_groups = given.get("security_groups")
        if security_groups is not None and not security_groups:
            raise props.error("security_groups", "a list that names at least one (leave it out for one of its own)", [])

    def _cluster_of(self, given: ServiceProps) -> ecs.ICluster:
        """The one that is given, that of the balancer, or one that is made."""
        cluster, balancer = given.get("cluster"), given.get("balancer")
        if cluster is None:
            cluster = balancer.cluster if balancer is not None else make_cluster(self, given.get("vpc"))
        if given.get("capacity_provider_strategies") is not None and isinstance(cluster, ecs.Cluster):
            cluster.enable_fargate_capacity_providers()
        return cluster

    def _make_service(self, given: ServiceProps, placement: Placement, deployment: Deployment) -> ecs.FargateService:
        strategies = deployment.capacity_provider_strategies
        service = ecs.FargateService(
            self,
            "Service",
            cluster=self.cluster,
            task_definition=self.task_definition,
            desired_count=deployment.desired_count,
            vpc_subnets=given.get("task_subnets"),
            security_groups=given.get("security_groups"),
            assign_public_ip=placement.assign_public_ip,
            capacity_provider_strategies=strategies,
            min_healthy_percent=deployment.min_healthy_percent,
            max_healthy_percent=deployment.max_healthy_percent,
            circuit_breaker=deployment.circuit_breaker,
            deployment_alarms=deployment.alarms,
            enable_execute_command=self._opens_shells,
        )
        describe_groups(service)
        start_when_allowed(
            service,
            self.cluster,
            placement.subnets.internet_connectivity_established,
            has_capacity_providers=strategies is not None,
        )
        internet_access = InternetAccess(
            self,
            placement,
            needs=self._endpoints_needed,
            groups=service.connections.security_groups,
            images=lambda: images_of(self.task_definition),
            what="its tasks",
        )
        check_at_synth(self, internet_access.validate)
        return service

    def _endpoints_needed(self) -> list[str]:
        return endpoints_needed(self.task_definition, opens_shells=self._opens_shells)

    @property
    def connections(self) -> ec2.Connections:
        """The security group of the tasks, with the gRPC port as the default port.

        Callers are allowed at the balancer, not here: ``balancer.allow_from``.
        """
        return self._connections

    @property
    def grant_principal(self) -> iam.IPrincipal:
        """The role of the tasks: ``bucket.grant_read(service)``."""
        return self.task_definition.task_role

    @checked
    def auto_scale_task_count(
        self,
        *,
        max_capacity: int,
        min_capacity: int = 1,
        cpu_percent: int | None = 60,
        calls_metric: cloudwatch.IMetric | None = None,
        calls_per_target: float | None = None,
    ) -> ecs.ScalableTaskCount:
        """Scale the number of tasks with the load. What it returns takes more policies, such as schedules.

        Raises ValueError at synth if ``desired_count`` is given too, because every deployment would reset the number.

        :param max_capacity: The most tasks.
        :param min_capacity: The fewest tasks. By default 1.
        :param cpu_percent: How much of their CPU tasks should use on average. By default 60 percent; None for no
            scaling on CPU.
        :param calls_metric: Your own metric of the calls that each task gets on average. By default that of the
            balancer, ``metric_calls_per_target``.
        :param calls_per_target: How many calls each task should get in a minute, or in the unit of ``calls_metric``.
            By default, calls do not scale.
        """
        return auto_scale(
            self._props,
            self.service,
            count_is_given=self._count_is_given,
            fewest=0,
            min_capacity=min_capacity,
            max_capacity=max_capacity,
            cpu_percent=cpu_percent,
            calls=ScalingCalls(calls_metric, calls_per_target, self.metric_calls_per_target),
        )


GrpcBalancerBase._service_class = GrpcBalancedService


def _refuse_contradictions(
    props: Props, vpc: ec2.IVpc | None, cluster: ecs.ICluster | None, balancer: GrpcBalancerBase | None
) -> None:
    if balancer is not None and not isinstance(balancer, GrpcBalancerBase):
        raise props.error("balancer", "a GrpcBalancer, or one of GrpcBalancer.from_attributes", repr(balancer))
    if vpc is not None and cluster is not None:
        raise props.conflict("vpc", "cluster", "a cluster has its VPC; leave vpc out")
    if vpc is not None and balancer is not None:
        raise props.conflict("vpc", "balancer", "a service runs in the VPC of its balancer; leave vpc out")


def _whole_task(props: Props, given: ServiceProps, own_task: OwnTask) -> Made | None:
    """The task definition that is given, None where one is made. Raises ValueError for what either cannot be."""
    definition, container_name = given.get("task_definition"), given.get("container_name")
    if definition is not None:
        return given_task(props, definition, beside=own_task, container_name=container_name)
    own_task.check(props, container_name)
    return None
