"""The balancer: Envoy and its control plane on Fargate, behind a Network Load Balancer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_logs as logs
from constructs import Construct, IConstruct

from cdk_grpc_lb.argument_types import check_arguments
from cdk_grpc_lb.balancer.balancer_base import GrpcBalancerBase, ImportedBalancer
from cdk_grpc_lb.balancer.cloud_map import CloudMap
from cdk_grpc_lb.balancer.draining import Drain
from cdk_grpc_lb.balancer.image import (
    CALLS_PORT,
    PARAMETER_PREFIX,
    READY_PORT,
    WEB_PORT,
    XDS_PORT,
)
from cdk_grpc_lb.balancer.network_load_balancer import Frontend, add_tasks
from cdk_grpc_lb.balancer.parameters import known_name, own_prefix
from cdk_grpc_lb.balancer.permissions import allow_reading
from cdk_grpc_lb.balancer.polling import polling_environment
from cdk_grpc_lb.balancer.target_sync import ONLY_SERVICES, TargetSync, check_settings_fit
from cdk_grpc_lb.balancer.task import BalancerTask
from cdk_grpc_lb.balancer.task_settings import Running
from cdk_grpc_lb.checked_calls import checked
from cdk_grpc_lb.monitoring.access_log import AccessLog
from cdk_grpc_lb.monitoring.call_metrics import MetricsSource
from cdk_grpc_lb.monitoring.ecs_metrics import ServiceMetrics
from cdk_grpc_lb.monitoring.tracing import (
    Tracing,
    add_collector,
)
from cdk_grpc_lb.nag import acknowledge
from cdk_grpc_lb.network.endpoints import BALANCER_NEEDS, make_endpoints
from cdk_grpc_lb.network.ingress import tcp
from cdk_grpc_lb.network.internet_access import InternetAccess
from cdk_grpc_lb.network.names import describe_groups
from cdk_grpc_lb.network.placement import Placement, placement_of
from cdk_grpc_lb.network.reachability import watch_callers, watch_direct_calls
from cdk_grpc_lb.ordering import start_after, start_when_allowed
from cdk_grpc_lb.paths import path_of
from cdk_grpc_lb.proxyless.connect import ProxylessClients, listen_for_xds, refuse_proxy_props
from cdk_grpc_lb.routing.labels import LabelledCalls
from cdk_grpc_lb.routing.overlap import watch_overlap
from cdk_grpc_lb.routing.service_registry import ServiceRegistry
from cdk_grpc_lb.service.deployment import ROLL_BACK, check_capacity
from cdk_grpc_lb.service.scaling import auto_scale
from cdk_grpc_lb.signatures import shown
from cdk_grpc_lb.synth_checks import check_at_synth
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props, same_cluster, vpc_of
from grpc_lb_contract.cloudwatch import NAMESPACE
from grpc_lb_contract.document.balancers import BALANCER_LABEL, name_of
from grpc_lb_contract.labels.names import ENABLE
from traefik_labels import TraefikLabels
from traefik_labels.settings import with_tls

if TYPE_CHECKING:
    from aws_cdk import aws_certificatemanager as acm
    from aws_cdk import aws_route53 as route53
    from aws_cdk import aws_servicediscovery as servicediscovery

# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-limits.html: targets per target group
_MAX_TARGETS = 1000
# A balancer is not ready before it has a document, and the first may take until the one-minute rule writes it.
_HEALTH_CHECK_GRACE = cdk.Duration.minutes(3)


@shown
class GrpcBalancer(ServiceMetrics, ProxylessClients, GrpcBalancerBase):
    """Balances each gRPC call between the tasks of the services that register with it.

    By default two tasks in two zones behind an internal Network Load Balancer. It finds the tasks to balance by the
    docker labels of the cluster's tasks: those of ``add_service`` and ``register``, and those that others write by
    hand. Raises ValueError at synth for props that contradict each other or that no deployment could take.

    :param cluster: The cluster in which the balancer runs, and whose services it balances. ``add_cluster`` adds more.
    :param desired_count: The number of balancer tasks. By default 2, so that one may fail or be replaced, until
        ``auto_scale_task_count`` is called.
    :param proxyless_only: Whether it serves gRPC clients that call the tasks directly (see ``connect``) and carries no
        calls itself: its tasks run the control plane without Envoy, and the load balancer has only the xDS port 18000,
        with TLS if ``xds_certificate`` is given. By default, it carries calls.
    :param cpu: The CPU units of each task. By default 512, or 256 with ``proxyless_only``.
    :param memory_limit_mib: The memory of each task in MiB, at least 1024 with a sidecar that takes traces. By
        default 1024, or 512 with ``proxyless_only``.
    :param cpu_architecture: The CPU that the tasks run on, and that their image is built for. By default x86_64.
    :param capacity_provider_strategies: How tasks are spread over ``FARGATE`` and ``FARGATE_SPOT``, which costs less;
        AWS reclaims its tasks with two minutes' notice, in which they drain. The providers are enabled in a cluster of
        this app; an imported one must have them. By default, ``FARGATE`` alone.
    :param image: An existing image of the balancer, of this version and from any registry: with it, synth and deploy
        need no Docker. ``python -m cdk_grpc_lb build-context FOLDER`` writes what to build it from. By default, it is
        built when the app is deployed.
    :param image_build_args: Build arguments of the image that is built: ``BASE_IMAGE`` for a base of your own (Python
        3.11 or later and glibc), ``PIP_INDEX_URL`` for your own package index, or the proxies that Docker knows. By
        default the base is Python's public image, pinned by its digest.
    :param task_subnets: The subnets of the tasks. By default, the private ones of the VPC, or the public ones of a VPC
        that has no others.
    :param assign_public_ip: Whether the tasks get public addresses. Their security group still lets in only the load
        balancer. By default they do in public subnets, where they need them to pull their image.
    :param port: The port on which callers reach the balancer with HTTP/2. By default 50051, and 443 with a certificate.
    :param internet_facing: Whether the load balancer has public addresses. By default it does not.
    :param open_listener: Whether every address may call: of the VPC, or of the internet if the load balancer is
        internet-facing. By default the VPC may and the internet may not: allow callers with ``allow_from``.
    :param certificate: The certificate with which the load balancer ends TLS (ALPN h2). By default, none: HTTP/2
        without TLS.
    :param ssl_policy: Which versions and ciphers of TLS are accepted. By default 1.2 and 1.3 with forward secrecy.
    :param domain_name: A name for the balancer, within ``domain_zone``. By default, it has that of its load balancer.
    :param domain_zone: The hosted zone in which that name becomes an alias record. By default, none.
    :param cloud_map_namespace: A private DNS namespace in which ECS keeps the addresses of the tasks, so that callers
        reach them without a load balancer: the cheapest way for small fleets. Clients must look the name up again when
        a connection ends, as gRPC's do. By default, there is a load balancer.
    :param cloud_map_name: The name of the tasks in that namespace: ``grpc`` makes ``grpc.shop.internal``. By default
        ``grpc``.
    :param xds_certificate: The certificate with which the load balancer ends TLS for gRPC clients without a proxy, on
        port 18000; it must contain ``domain_name``, by which they find it. By default they connect without TLS.
    :param load_balancer_subnets: The subnets of the load balancer. By default the private ones of the VPC, or the
        public ones if it is internet-facing.
    :param cross_zone_enabled: Whether callers of one zone reach balancers of others, so that two tasks share the load
        of three zones; AWS charges for traffic between zones. By default they do.
    :param client_addresses: Whether servers, the access log and conditions on metadata get the caller's address, as
        ``x-forwarded-for``: the load balancer sends it by the PROXY protocol. By default they get none. What callers
        write there themselves is removed either way.
    :param exposed_by_default: Whether containers of the cluster take part without a label. By default only those
        that are added, registered or labelled ``grpc-lb.enable=true``.
    :param only_services: The logical names of the services that this balancer takes, with ``*`` and ``?`` as wildcards:
        for a cluster that several teams' balancers share. By default, all.
    :param only_label: A docker label that a container must have, ``team=orders``, or ``team`` for any value. Services
        that are added or registered get it. By default, none.
    :param traefik_labels: Reads Traefik's docker labels too, as a Traefik with these options does: task definitions
        that Traefik balances today need no change. By default, only labels of this library.
    :param drain_delay: How long a task that is told to stop fails its readiness check and keeps serving, until the load
        balancer sends it no new connection. By default 50 seconds: a Network Load Balancer needs 10 to see the
        failing check, and up to 40 to act on it.
    :param drain_time: How long, after that, connections are sent away (GOAWAY) while their calls finish. By default
        30 seconds.
    :param poll_interval: How often each task reads the target document while the Lambda announces changes: tasks start
        or stop, or a deployment runs; 50 milliseconds to 20 seconds. SSM answers 40 requests a second for the whole
        account. By default every half second.
    :param idle_poll_interval: How often it reads otherwise. A stop that nothing announces waits for it, and CloudTrail
        or GuardDuty may bill each read. By default every 5 seconds.
    :param tracing: OpenTelemetry traces of the calls: ``Tracing(sampling_percent=1.0)`` sends them to X-Ray through a
        sidecar. By default, none.
    :param call_statistics: What the page and the metrics show of calls that ended: ``services`` for their gRPC status
        and latency by service, ``methods`` for the same by method too, which costs about 6 percent more CPU, ``off``
        for neither. By default ``services``.
    :param access_log: Which calls have a line in the log: ``AccessLog.failures()``, ``AccessLog.sampled(percent)`` or
        ``AccessLog.all()``. By default, none.
    :param cloudwatch_metrics: Whether the tasks and the Lambda publish metrics of calls, targets and freshness in
        CloudWatch, as lines of their logs. CloudWatch bills 7 metrics for each service and 18 for the balancer. By
        default they do.
    :param cloudwatch_namespace: The namespace of those metrics. By default ``GrpcLb``.
    :param log_level: The lowest level that the control plane logs: ``debug``, ``info``, ``warning`` or
        ``error``. By default ``info``.
    :param envoy_concurrency: The worker threads of Envoy. By default one for each whole CPU, and one for less.
    :param max_metadata: The most metadata of one call, in each direction; only a call with more fails (docs/limits.md).
        8 to 8192 KiB, by default 1024 KiB.
    :param max_metadata_entries: The most metadata entries of one call, 50 to 20,000. By default 2,000.
    :param web_hosts: Names under which people open the web page, beside ``domain_name``: ``lb.example.com``,
        ``*.corp.example.com`` for all below it, or ``*`` for any. Requests for another host are rejected, so that no
        page of another origin reads it. By default IP addresses, names of private networks and of AWS load balancers.
    :param removal_policy: Whether the target document in SSM is deleted with the stack (``DESTROY``) or stays
        (``RETAIN``). By default it is deleted.
    :param log_retention: How long logs are kept. By default, one month.
    """

    xds_listener: elbv2.NetworkListener | None
    """The load balancer's listener for gRPC clients without a proxy; None before ``allow_xds_from``."""
    task_definition: ecs.FargateTaskDefinition
    """What each task is made of."""
    container: ecs.ContainerDefinition
    """The container with Envoy and the control plane."""
    trace_collector: ecs.ContainerDefinition | None
    """The sidecar that takes the spans; None without ``tracing``, or where the collector is elsewhere."""
    log_group: logs.LogGroup
    """Where the tasks log."""
    parameter_prefix: str
    """Where in SSM Parameter Store the target document of ``cluster`` is."""
    target_sync: TargetSync
    """What keeps the target document of ``cluster``."""
    target_syncs: list[TargetSync]
    """What keeps the target documents: one for each of ``clusters``."""

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        cluster: ecs.ICluster,
        desired_count: int | None = None,
        proxyless_only: bool = False,
        cpu: int | None = None,
        memory_limit_mib: int | None = None,
        cpu_architecture: ecs.CpuArchitecture | None = None,
        capacity_provider_strategies: Sequence[ecs.CapacityProviderStrategy] | None = None,
        image: ecs.ContainerImage | None = None,
        image_build_args: Mapping[str, str] | None = None,
        task_subnets: ec2.SubnetSelection | None = None,
        assign_public_ip: bool | None = None,
        port: int | None = None,
        internet_facing: bool = False,
        open_listener: bool | None = None,
        certificate: acm.ICertificate | None = None,
        ssl_policy: elbv2.SslPolicy | None = None,
        domain_name: str | None = None,
        domain_zone: route53.IHostedZone | None = None,
        cloud_map_namespace: servicediscovery.INamespace | None = None,
        cloud_map_name: str | None = None,
        xds_certificate: acm.ICertificate | None = None,
        load_balancer_subnets: ec2.SubnetSelection | None = None,
        cross_zone_enabled: bool = True,
        client_addresses: bool = False,
        exposed_by_default: bool = False,
        only_services: Sequence[str] | None = None,
        only_label: str | None = None,
        traefik_labels: TraefikLabels | None = None,
        drain_delay: cdk.Duration | None = None,
        drain_time: cdk.Duration | None = None,
        poll_interval: cdk.Duration | None = None,
        idle_poll_interval: cdk.Duration | None = None,
        tracing: Tracing | None = None,
        access_log: AccessLog | None = None,
        call_statistics: str | None = None,
        cloudwatch_metrics: bool = True,
        cloudwatch_namespace: str = NAMESPACE,
        log_level: str | None = None,
        envoy_concurrency: int | None = None,
        max_metadata: cdk.Size | None = None,
        max_metadata_entries: int | None = None,
        web_hosts: Sequence[str] | None = None,
        removal_policy: cdk.RemovalPolicy = cdk.RemovalPolicy.DESTROY,
        log_retention: logs.RetentionDays = logs.RetentionDays.ONE_MONTH,
    ) -> None:
        given = dict(locals())
        super().__init__(scope, id)
        self._props = props = Props(type(self).__name__, path_of(self))
        check_arguments(props, GrpcBalancer.__init__, given)
        count = desired_count if desired_count is not None else 2
        props.whole_number("desired_count", count, 1, _MAX_TARGETS)
        if proxyless_only:
            refuse_proxy_props(props, given)
        prefix = own_prefix(self)
        self.cloudwatch_name: str | None = name_of(prefix) if cloudwatch_metrics else None
        self._published = MetricsSource(props, self.cloudwatch_name, cloudwatch_namespace)
        self._published.check()
        task = BalancerTask(
            has_envoy=not proxyless_only,
            cpu=cpu,
            memory_limit_mib=memory_limit_mib,
            architecture=cpu_architecture,
            image=image,
            image_build_args=image_build_args,
            drain=Drain.checked(props, drain_delay, drain_time),
            polling=polling_environment(props, poll_interval, idle_poll_interval),
            tracing=tracing,
            access_log=access_log,
            call_statistics=call_statistics,
            published=self._published,
            client_addresses=client_addresses,
            running=Running(
                log_level=log_level,
                envoy_concurrency=envoy_concurrency,
                max_metadata=max_metadata,
                max_metadata_entries=max_metadata_entries,
                web_hosts=web_hosts,
                domain_name=domain_name,
            ),
        )
        task.check(props)
        vpc = vpc_of(props, cluster)
        placement = placement_of(props, vpc, task_subnets, assign_public_ip=assign_public_ip)
        front = Frontend(
            port=XDS_PORT if proxyless_only else port,
            internet_facing=internet_facing,
            open_listener=open_listener,
            certificate=xds_certificate if proxyless_only else certificate,
            xds_certificate=xds_certificate,
            ssl_policy=ssl_policy,
            domain_name=domain_name,
            domain_zone=domain_zone,
            subnets=load_balancer_subnets,
            cross_zone_enabled=cross_zone_enabled,
        )
        self._cloud_map = CloudMap.checked(props, cloud_map_namespace, cloud_map_name, given)
        front.check(props, self, vpc, placement if self._cloud_map is None else None)
        admission = ServiceRegistry.checked(props, only_services, only_label)
        check_capacity(props, capacity_provider_strategies)

        self._count_is_given = desired_count is not None
        self._exposed_by_default = exposed_by_default
        # Whoever calls a balancer with a certificate speaks TLS to it.
        has_tls = front.certificate is not None
        self._traefik_labels = None if traefik_labels is None else with_tls(traefik_labels, has_tls)
        self._log_retention = log_retention
        self._removal_policy = removal_policy
        self._xds_certificate = xds_certificate
        self.cluster = cluster
        self.clusters: list[ecs.ICluster] = [cluster]
        self.port: int = front.resolved_port
        self.parameter_prefix = prefix
        self._known_name = known_name(self, prefix)

        self._take_services(admission)
        self.target_sync = self._sync("TargetSync", cluster, prefix)
        self.target_syncs = [self.target_sync]
        self._make_task(task)
        self.service: ecs.FargateService = self._make_service(
            count, placement, task_subnets, capacity_provider_strategies
        )
        self.task_security_group: ec2.ISecurityGroup = self.service.connections.security_groups[0]
        self.load_balancer_security_group: ec2.ISecurityGroup = self.task_security_group
        if self._cloud_map is None:
            self._put_load_balancer_in_front(
                front, vpc, served=XDS_PORT if proxyless_only else CALLS_PORT, client_addresses=client_addresses
            )
        # Not allow_internally, which adds a rule for what goes out too, and warns that all may.
        tasks = self.task_security_group
        tasks.add_ingress_rule(tasks, tcp(WEB_PORT), "the page of each asks the others")
        self.host: str = front.name(self, self.load_balancer) if self._cloud_map is None else self._cloud_map.host
        self.xds_listener = self.listener if proxyless_only and self.has_load_balancer else None
        self._let_callers_in(front, vpc)

    @classmethod
    @checked
    def from_attributes(
        cls,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        host: str,
        cluster: ecs.ICluster,
        load_balancer_security_group: ec2.ISecurityGroup,
        task_security_group: ec2.ISecurityGroup,
        port: int = CALLS_PORT,
        only_services: Sequence[str] | None = None,
        only_label: str | None = None,
        cloudwatch_name: str | None = None,
        cloudwatch_namespace: str = NAMESPACE,
    ) -> GrpcBalancerBase:
        """A balancer of another app, to register services with and to call.

        :param host: Its ``host``.
        :param cluster: The cluster of the services that are registered here, one of those that it balances.
        :param load_balancer_security_group: Its ``load_balancer_security_group``; callers are allowed there.
        :param task_security_group: Its ``task_security_group``; services let it in.
        :param port: Its ``port``. By default 50051.
        :param only_services: Its ``only_services``. By default, all.
        :param only_label: Its ``only_label``. By default, none.
        :param cloudwatch_name: Its ``cloudwatch_name``, for metrics of calls. By default there are none.
        :param cloudwatch_namespace: Its ``cloudwatch_namespace``. By default ``GrpcLb``.
        """
        props = Props(cls.__name__, f"{scope.node.path}/{id}")
        if not is_unresolved(host) and (not host or ":" in host):
            raise props.error("host", "a name or address without a port (see port)", repr(host))
        props.whole_number("port", port, 1, 65_535)
        admission = ServiceRegistry.checked(props, only_services, only_label)
        published = MetricsSource(props, cloudwatch_name, cloudwatch_namespace, imported=True)
        published.check()
        return ImportedBalancer(
            scope,
            id,
            host=host,
            port=port,
            cluster=cluster,
            load_balancer_security_group=load_balancer_security_group,
            task_security_group=task_security_group,
            admission=admission,
            published=published,
        )

    @property
    def has_load_balancer(self) -> bool:
        """Whether callers come through one; without it, they find the tasks by ``cloud_map_namespace``."""
        return self._cloud_map is None

    @property
    def load_balancer(self) -> elbv2.NetworkLoadBalancer:
        """What callers connect to. Raises ValueError with ``cloud_map_namespace``: there is none."""
        self._require_load_balancer("load_balancer")
        return self._load_balancer

    @property
    def listener(self) -> elbv2.NetworkListener:
        """The load balancer's listener for calls. Raises ValueError with ``cloud_map_namespace``."""
        self._require_load_balancer("listener")
        return self._listener

    @property
    def target_group(self) -> elbv2.NetworkTargetGroup:
        """The balancer's tasks, as the load balancer sees them. Raises ValueError with ``cloud_map_namespace``."""
        self._require_load_balancer("target_group")
        return self._target_group

    @checked
    def add_cluster(self, id: str, cluster: ecs.ICluster) -> TargetSync:  # noqa: A002 - as above
        """Balance the services of another cluster too, whose tasks the balancer can reach.

        It has its own target document, so that a problem with one cluster does not affect the targets of the others.
        Services of the same name in several clusters share its calls.

        :param id: The id of the :class:`TargetSync` that is made.
        :param cluster: The cluster.
        """
        if self.node.try_find_child("Alarms") is not None:
            raise self._props.error("add_cluster", "called before add_alarms", "a call after it")
        if any(same_cluster(cluster, known) for known in self.clusters):
            raise self._props.error("cluster", "another one than those it has", cluster.node.path)
        sync = self._sync(id, cluster, own_prefix(self, id))
        self.clusters.append(cluster)
        self.target_syncs.append(sync)
        allow_reading(self.task_definition, sync.parameter_prefix)
        self.container.add_environment(PARAMETER_PREFIX, ",".join(sync.parameter_prefix for sync in self.target_syncs))
        start_after(self.service, sync)
        return sync

    def add_vpc_endpoints(self) -> dict[str, ec2.IVpcEndpoint]:
        """Make the VPC endpoints that tasks in subnets without a way out need.

        These are ECR (api and dkr), S3, CloudWatch Logs and SSM, X-Ray where traces go there, and what the services
        that were made before need as well: Secrets Manager for secrets, SSM's messages for ``enable_execute_command``.
        Those that this app makes in the VPC already are left out.

        AWS charges for each of them but S3 by the hour and zone. What is returned has each under its name, ``ecr.api``.
        """
        if self.node.try_find_child("VpcEndpoints") is not None:
            raise self._props.error("add_vpc_endpoints", "called once", "a second call")
        scope = Construct(self, "VpcEndpoints")
        of_services = [name for needed in self._needs_of_services for name in needed()]
        made = make_endpoints(scope, self.cluster.vpc, [*self._needs, *of_services], callers=[self.service])
        for endpoint in made.values():
            start_after(self.service, endpoint)
        return made

    @checked
    def allow_xds_from(self, other: ec2.IConnectable, description: str | None = None) -> None:
        """Let gRPC clients fetch their targets (``xds:///NAME``) and call them without a proxy between.

        The first call makes a listener for it, on port 18000 of the load balancer. The services must let such clients
        in themselves: ``service.connections.allow_default_port_from(client)``.

        :param other: The clients: a service, a function, a security group or an ``ec2.Peer``.
        :param description: What the security group's rule says about it. By default, a general sentence.
        """
        self._let_fetch(other, description)
        watch_direct_calls(self, other, self._served)

    def _let_fetch(self, other: ec2.IConnectable, description: str | None = None) -> None:
        if self.xds_listener is None and self._cloud_map is None:
            if self.port == XDS_PORT:
                taken = f"other than {XDS_PORT}, on which gRPC clients without a proxy find the xDS server"
                raise self._props.error("port", taken, repr(self.port))
            self.xds_listener = listen_for_xds(self.load_balancer, self._xds_certificate)
            add_tasks(self.xds_listener, self.service, XDS_PORT)
            self._let_in(XDS_PORT, "xDS from the load balancer")
        self._let_call(other, XDS_PORT, description if description is not None else "xDS of the gRPC balancer")

    @property
    def xds_address(self) -> str:
        """Where gRPC clients that ``allow_xds_from`` lets in find the xDS server, by TLS with ``xds_certificate``."""
        return f"{self.host}:{XDS_PORT}"

    @checked
    def auto_scale_task_count(
        self, *, max_capacity: int, min_capacity: int = 2, cpu_percent: int | None = 50
    ) -> ecs.ScalableTaskCount:
        return auto_scale(
            self._props,
            self.service,
            count_is_given=self._count_is_given,
            fewest=1,
            min_capacity=min_capacity,
            max_capacity=max_capacity,
            cpu_percent=cpu_percent,
        )

    def _admit(self, props: Props, labelled: LabelledCalls, service: IConstruct, *, name_is_given: bool) -> None:
        own = self._own_services
        if own is not None and labelled.service_name not in own:
            check_settings_fit(props, "service_name", ",".join([*own, labelled.service_name]))
            own.append(labelled.service_name)
            for sync in self.target_syncs:
                sync.function.add_environment(ONLY_SERVICES, ",".join(own))
        super()._admit(props, labelled, service, name_is_given=name_is_given)

    def _sync(self, id: str, cluster: ecs.ICluster, parameter_prefix: str) -> TargetSync:  # noqa: A002 - as above
        return TargetSync(
            self,
            id,
            cluster=cluster,
            parameter_prefix=parameter_prefix,
            exposed_by_default=self._exposed_by_default,
            only_services=self._admission.only_services,
            only_label=self._admission.only_label,
            traefik_labels=self._traefik_labels,
            cloudwatch_name=self.cloudwatch_name,
            cloudwatch_namespace=self._published.namespace,
            log_retention=self._log_retention,
            removal_policy=self._removal_policy,
        )

    def _take_services(self, admission: ServiceRegistry) -> None:
        """Be ready for services that are added or registered, and watch at synth that they go together."""
        self._admission = admission
        self._own_services: list[str] | None = None
        self._needs_of_services = []
        self._served = []
        self._admission.watch(self, knows_all=True)
        watch_overlap(self)

    def _make_task(self, task: BalancerTask) -> None:
        self.log_group = logs.LogGroup(self, "Logs", retention=self._log_retention)
        self.task_definition = task.make_definition(self)
        allow_reading(self.task_definition, self.parameter_prefix)
        self._image = task.image_for(self, self._props, self.task_definition)
        self.container = task.make_container(
            self,
            self.task_definition,
            image=self._image,
            parameter_prefix=self.parameter_prefix,
            log_group=self.log_group,
            is_asked_for_readiness=self._cloud_map is not None,
        )
        self.trace_collector = add_collector(self, self.task_definition, task.tracing, log_group=self.log_group)
        # The Lambda names the balancers in the document by it, so that the page of each shows them all.
        self.container.add_docker_label(BALANCER_LABEL, self.parameter_prefix)
        if self._exposed_by_default:
            self.container.add_docker_label(ENABLE, "false")
        self._needs = (*BALANCER_NEEDS, *("xray",) * (self.trace_collector is not None))

    def _make_service(
        self,
        count: int,
        placement: Placement,
        task_subnets: ec2.SubnetSelection | None,
        strategies: Sequence[ecs.CapacityProviderStrategy] | None,
    ) -> ecs.FargateService:
        if strategies is not None and isinstance(self.cluster, ecs.Cluster):
            self.cluster.enable_fargate_capacity_providers()
        service = ecs.FargateService(
            self,
            "Service",
            cluster=self.cluster,
            task_definition=self.task_definition,
            desired_count=count,
            vpc_subnets=task_subnets,
            assign_public_ip=placement.assign_public_ip,
            capacity_provider_strategies=None if strategies is None else list(strategies),
            min_healthy_percent=100,
            max_healthy_percent=200,
            circuit_breaker=ROLL_BACK,
            health_check_grace_period=_HEALTH_CHECK_GRACE if self._cloud_map is None else None,
            cloud_map_options=None if self._cloud_map is None else self._cloud_map.options,
        )
        describe_groups(service)
        # Without a document no task gets ready, and without the sync there is no document.
        start_when_allowed(
            service,
            self.cluster,
            placement.subnets.internet_connectivity_established,
            self.target_sync,
            has_capacity_providers=strategies is not None,
        )
        internet_access = InternetAccess(
            self,
            placement,
            needs=lambda: self._needs,
            groups=service.connections.security_groups,
            images=lambda: [self.container.image_name],
            what="the balancer's tasks",
        )
        check_at_synth(self, internet_access.validate)
        return service

    def _put_load_balancer_in_front(
        self, front: Frontend, vpc: ec2.IVpc, *, served: int, client_addresses: bool
    ) -> None:
        self.load_balancer_security_group = ec2.SecurityGroup(
            self,
            "LoadBalancerSecurityGroup",
            vpc=vpc,
            description="Callers of the gRPC balancer",
            allow_all_outbound=False,
        )
        self._load_balancer = front.make(self, vpc, self.load_balancer_security_group)
        self._listener = front.listen(self._load_balancer)
        self._target_group = add_tasks(self._listener, self.service, served)
        if client_addresses:
            self._target_group.set_attribute("proxy_protocol_v2.enabled", "true")
        self._let_in(served, "xDS from the load balancer" if served == XDS_PORT else "calls from the load balancer")
        self._let_in(READY_PORT, "its health checks")

    def _let_callers_in(self, front: Frontend, vpc: ec2.IVpc) -> None:
        known_callers = front.callers(vpc)
        for callers in known_callers:
            self.allow_from(callers, front.description)
        if not known_callers:
            watch_callers(self, self.load_balancer_security_group, self.port)
        if not front.internet_facing:
            acknowledge(self.load_balancer_security_group, {"EC23": "it is open to the VPC at most"})
        if front.certificate is None and self.has_load_balancer:
            acknowledge(self.load_balancer, {"ELB2": "a Network Load Balancer logs calls of TLS listeners only"})
        if front.internet_facing and front.certificate is None:
            cdk.Annotations.of(self).add_warning_v2(
                "cdk-grpc-lb:internetFacingWithoutTls",
                "calls cross the internet in plain text: give certificate, or leave out internet_facing",
            )

    def _require_load_balancer(self, part: str) -> None:
        if self._cloud_map is not None:
            raise self._props.error(part, "asked of a balancer that has one", "a balancer with cloud_map_namespace")

    def _let_in(self, port: int, what: str) -> None:
        self.service.connections.allow_from(self.load_balancer_security_group, tcp(port), what)


ImportedBalancer._of_its_own_app = frozenset(
    name
    for name in (*dir(GrpcBalancer), *GrpcBalancer.__annotations__)
    if not name.startswith("_") and not hasattr(GrpcBalancerBase, name)
)


def own_balancer(service: Construct, id: str, cluster: ecs.ICluster, service_name: str) -> GrpcBalancer:  # noqa: A002 - as above
    """The balancer of one service, and of those that are added to it by name."""
    names = [service_name]
    balancer = GrpcBalancer(service, id, cluster=cluster, only_services=names)
    # The list that the balancer compares names with, to which it adds others.
    balancer._own_services = names
    return balancer
