"""What services and callers see of a balancer, whether it is made in this app or imported from another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

import aws_cdk as cdk
import jsii
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from constructs import Construct, IConstruct

from cdk_grpc_lb.argument_types import check_props
from cdk_grpc_lb.checked_calls import checked
from cdk_grpc_lb.monitoring.call_metrics import BalancerMetrics, MetricsSource
from cdk_grpc_lb.monitoring.monitored_balancer import Monitored
from cdk_grpc_lb.network.ingress import let_in, refers_to_stack_of, tcp
from cdk_grpc_lb.network.names import description_for
from cdk_grpc_lb.network.reachability import Called, watch_arrow
from cdk_grpc_lb.paths import in_one_stack, path_of
from cdk_grpc_lb.routing.labels import LabelledCalls, labelled_calls
from cdk_grpc_lb.routing.overlap import watch_overlap
from cdk_grpc_lb.routing.service_registry import ServiceRegistry
from cdk_grpc_lb.service.containers import Serving, labels_of, refuse_other_labels, serving_container, watch_labels
from cdk_grpc_lb.service.props import DEFAULTS, AddedServiceProps, CallProps
from cdk_grpc_lb.service.traffic_shift import refuse_traffic_shift
from cdk_grpc_lb.signatures import takes
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props, surely_other
from grpc_lb_contract.document.balancers import REGISTERED_LABEL

if TYPE_CHECKING:
    from typing import Unpack

    from cdk_grpc_lb.service.balanced_service import GrpcBalancedService


@jsii.implements(ec2.IConnectable)
class GrpcBalancerBase(BalancerMetrics, Monitored, Construct):
    """A balancer that services register with and callers call.

    Made with :class:`GrpcBalancer`, or imported with :meth:`GrpcBalancer.from_attributes`.
    """

    cluster: ecs.ICluster
    """The cluster in which the balancer runs."""
    clusters: list[ecs.ICluster]
    """The clusters whose services it balances."""
    host: str
    """The name under which callers reach the balancer."""
    port: int
    """The port on which callers reach the balancer."""
    load_balancer_security_group: ec2.ISecurityGroup
    """The security group of the load balancer: who may call."""
    task_security_group: ec2.ISecurityGroup
    """The security group of the balancer's tasks, from where calls come to the services."""
    cloudwatch_name: str | None
    """The value of the dimension ``Balancer`` of its metrics; None if it publishes none, or is imported without."""
    _admission: ServiceRegistry
    _needs_of_services: list[Callable[[], list[str]]]
    """Of each service that was made for this balancer, the VPC endpoints that its tasks need."""
    _known_name: str | None = None
    """What services say that they were registered with; None where only a deployment knows it."""
    _served: list[Called]
    """Where the services of this app that it balances take calls."""
    _service_class: ClassVar[type[GrpcBalancedService]]
    """Set by the module of services, which makes balancers: the two cannot import each other."""

    @property
    def address(self) -> str:
        """Where callers reach every service of this balancer: ``host:port``."""
        return f"{self.host}:{self.port}"

    @property
    def connections(self) -> ec2.Connections:
        """Who may call: the security group of the load balancer, with the balancer's port as the default port."""
        return ec2.Connections(security_groups=[self.load_balancer_security_group], default_port=tcp(self.port))

    @checked
    def allow_from(self, other: ec2.IConnectable, description: str | None = None) -> None:
        """Let others call: ``allow_from(client_service)``, or ``allow_from(ec2.Peer.ipv4("10.1.0.0/16"))``.

        :param other: Who may call: a service, a function, a security group or an ``ec2.Peer``.
        :param description: What the security group's rule says about it. By default, a general sentence.
        """
        self._let_call(other, self.port, description if description is not None else "calls to the gRPC balancer")

    def auto_scale_task_count(
        self,
        *,
        max_capacity: int,  # noqa: ARG002 - a balancer that is made here uses them
        min_capacity: int = 2,  # noqa: ARG002 - as above
        cpu_percent: int | None = 50,  # noqa: ARG002 - as above
    ) -> ecs.ScalableTaskCount:
        """Scale the number of balancer tasks with their load. What it returns takes more policies, such as schedules.

        Raises ValueError at synth if ``desired_count`` is given too, because every deployment would reset the number,
        and for an imported balancer, whose tasks belong to another app.

        :param max_capacity: The most tasks.
        :param min_capacity: The fewest tasks. By default 2, so that one may fail or be replaced.
        :param cpu_percent: How much of their CPU the tasks should use on average. By default 50 percent; None for no
            scaling on CPU.
        """
        raise self._elsewhere("auto_scale_task_count")

    @checked
    @takes(AddedServiceProps, DEFAULTS)
    def add_service(self, id: str, **props: Unpack[AddedServiceProps]) -> GrpcBalancedService:  # noqa: A002 - as above
        """Make a service behind this balancer, as a child of it.

        A service of another stack is made there: ``GrpcBalancedService(stack, "Orders", balancer=balancer, ...)``.

        :param id: The construct's id, of which the service's name is made.
        :param props: Those of :class:`GrpcBalancedService` but ``vpc`` and ``balancer``.
        """
        return self._service_class(self, id, balancer=self, **props)

    @checked
    @takes(CallProps, {})
    def register(
        self,
        service: ecs.BaseService,
        *,
        service_name: str,
        port: int | None = None,
        container_name: str | None = None,
        **calls: Unpack[CallProps],
    ) -> None:
        """Balance an existing service, made by hand or by another construct.

        Its container gets labels, which makes a new revision of its task definition and a rolling deployment, and its
        security group lets the balancer in. Nothing is replaced. Raises ValueError at synth for a service that cannot
        be balanced.

        :param service: A Fargate or EC2 service in one of the balancer's clusters, in the network mode ``awsvpc``.
        :param service_name: The logical name under which the balancer and its clients know the service: up to 63 of
            a-z, 0-9 and -. Services with the same name share its calls.
        :param port: The container port on which the service takes gRPC calls. By default the only port
            that its containers map.
        :param container_name: The container that takes the calls. By default the only one that maps the port.
        :param hosts: The ``:authority`` values whose calls come to this service: host names without port, ``*.domain``,
            or ``*``. By default, all.
        :param grpc_services: The full names of the gRPC services whose calls come here, such as
            ``rng.v1.RandomNumber``. By default, all.
        :param methods: Full names of single methods whose calls come here, such as ``rng.v1.RandomNumber/Get``: in
            addition to ``grpc_services`` if that is given, otherwise only these. By default, none.
        :param metadata: Conditions on the request metadata of the calls that come here, all of which must hold, such
            as ``[Condition("x-tenant", Match.PREFIX, "acme-")]``. By default, none.
        :param priority: Which route of a host takes a call that several fit: the one with the highest, 0 to 1000000,
            before conditions and methods count. By default 0.
        :param routes: Further routes, each under a name of its own: other calls, or other deadlines and retries for
            some of them. By default, none.
        :param weight: Its share of the calls, 0 to 1000, relative to the other ECS services of the same
            ``service_name``. Beside one with a weight, those without one count as 100: a canary that weighs 5 gets
            about 5 percent. By default, if none of them has a weight, each task gets the same share.
        :param policy: How its calls are treated: deadlines, retries, limits, which target takes a call, and more. ECS
            services of the same ``service_name`` should have the same, because the policy of the one with the most
            tasks applies to all. By default ``TrafficPolicy()``.
        """
        self._refuse_what_is_no_service(service)
        props = Props("the registered service", path_of(service))
        check_props(props, CallProps, calls)
        self._refuse_strangers(props, service, service.cluster)
        refuse_traffic_shift(props, service)
        serving = serving_container(props, service.task_definition, port=port, container_name=container_name)
        labelled = labelled_calls(props, calls, service_name=service_name, port=serving.port)
        said = labels_of(serving.container)
        refuse_other_labels(props, serving.container, said, self._labels_for(labelled, said))
        self._admit(props, labelled, service, name_is_given=True)
        self._connect(props, service, serving, labelled, said)

    def _refuse_what_is_no_service(self, service: Any) -> None:
        """Raise ValueError for what has an ECS service, was imported, or is something else."""
        props = Props(type(self).__name__, path_of(self))
        inner = getattr(service, "service", None)
        if isinstance(inner, ecs.BaseService):
            balanced = " (it has a balancer already)" if isinstance(service, self._service_class) else ""
            raise props.error("service", f"an ECS service: the attribute service of it{balanced}", path_of(service))
        if isinstance(service, ecs.BaseService):
            return
        path = service.node.path if isinstance(service, Construct) else repr(service)
        if not hasattr(service, "service_arn"):
            raise props.error("service", "an ECS service", f"{path}, which is a {type(service).__name__}")
        raise props.error(
            "service",
            "one made in this app, because its container gets labels (in the app that makes it, "
            "import the balancer with GrpcBalancer.from_attributes)",
            f"{path}, which is imported",
        )

    def _connect(
        self,
        props: Props,
        service: ecs.BaseService,
        serving: Serving,
        labelled: LabelledCalls,
        said: Mapping[str, str],
    ) -> None:
        """Put the labels onto the container, which says some already, and let the balancer's tasks call it."""
        labels = dict(self._labels_for(labelled, said))
        watch_labels(props, service, serving.container, partial(self._labels_for, labelled))
        if self._known_name is not None:
            # The Lambdas of the cluster's other balancers learn from it whose service it is.
            known = said.get(REGISTERED_LABEL)
            names = [*([] if known is None else known.split(",")), self._known_name]
            labels[REGISTERED_LABEL] = ",".join(dict.fromkeys(names))
        for label, value in labels.items():
            serving.container.add_docker_label(label, value)
        self._admission.labels[path_of(service)] = {**said, **labels}
        groups, callers = service.connections.security_groups, [self.task_security_group]
        for group in groups:
            let_in(
                group,
                self.task_security_group,
                callers,
                serving.port,
                "calls from the balancer",
                # Services refer to their balancer, unless that refers to them.
                in_callers_stack=refers_to_stack_of(group, user=service, here=self, clusters=self.clusters),
            )
        what = f"calls from the balancer {path_of(self)} to {path_of(service)}"
        watch_arrow(service, what, callers, groups, serving.port)
        self._served.append(Called(service, groups, serving.port))

    def _admit(self, props: Props, labelled: LabelledCalls, service: IConstruct, *, name_is_given: bool) -> None:
        self._admission.admit(props, labelled, service, name_is_given=name_is_given)

    def _labels_for(self, labelled: LabelledCalls, said: Mapping[str, str]) -> Mapping[str, str]:
        return self._admission.labels_for(labelled, said)

    def _let_call(self, other: ec2.IConnectable, port: int, description: str) -> None:
        description = description_for(description)
        try:
            groups = other.connections.security_groups
        except RuntimeError:  # what the CDK's own error comes as
            path = getattr(getattr(other, "node", None), "path", repr(other))
            raise Props(type(self).__name__, path_of(self)).error(
                "other",
                "in a VPC, because security groups say who may call (Function(vpc=...))",
                f"{path}, which is not",
            ) from None
        # The caller's stack may have services of this balancer too, and so refer to this stack. Or this one refers to
        # that, because a service here has a group from there.
        used_here = [
            group
            for called in self._served
            for group in called.groups
            if refers_to_stack_of(group, user=called.service, here=self, clusters=())
        ]
        in_callers_stack = not any(
            refers_to_stack_of(group, user=other, here=self, clusters=self.clusters)
            or any(in_one_stack(group, used) for used in used_here)
            for group in groups
        )
        let_in(self.load_balancer_security_group, other, groups, port, description, in_callers_stack=in_callers_stack)
        what = f"{description}: connections to the balancer {path_of(self)}"
        watch_arrow(self, what, groups, [self.load_balancer_security_group], port)

    def _refuse_strangers(self, props: Props, service: IConstruct, cluster: ecs.ICluster | None) -> None:
        """Raise ValueError for an account, region or cluster that is known at synth to be none of the balancer's."""
        if not in_one_stack(service, self):
            there, here = cdk.Stack.of(service), cdk.Stack.of(self)
            for what, its, own in (("region", there.region, here.region), ("account", there.account, here.account)):
                if its != own and not is_unresolved(its) and not is_unresolved(own):
                    raise props.error("balancer", f"one of the service's {what}, {its}", f"{path_of(self)} of {own}")
        if cluster is not None and all(surely_other(cluster, own) for own in self.clusters):
            own = ", ".join(own.node.path for own in self.clusters)
            raise props.error(
                "cluster", f"one of the balancer's, {own} (see GrpcBalancer.add_cluster)", cluster.node.path
            )


class ImportedBalancer(GrpcBalancerBase):
    """A balancer of another stack or app."""

    is_imported = True
    _of_its_own_app: ClassVar[frozenset[str]]
    """What one has where it is made, and here not. Set by the module that makes them, which imports this one."""

    if not TYPE_CHECKING:  # which knows that they are not there

        def __getattr__(self, name: str) -> NoReturn:
            is_elsewhere = name in self._of_its_own_app
            unknown = f"an imported balancer has no attribute {name!r}"
            raise AttributeError(str(self._elsewhere(name)) if is_elsewhere else unknown)

    def __init__(
        self,
        scope: Construct,
        id: str,  # noqa: A002 - the name that every construct gives it
        *,
        host: str,
        port: int,
        cluster: ecs.ICluster,
        load_balancer_security_group: ec2.ISecurityGroup,
        task_security_group: ec2.ISecurityGroup,
        admission: ServiceRegistry,
        published: MetricsSource,
    ) -> None:
        super().__init__(scope, id)
        self.cluster = cluster
        self.clusters: list[ecs.ICluster] = [cluster]
        self.host = host
        self.port = port
        self.load_balancer_security_group = load_balancer_security_group
        self.task_security_group = task_security_group
        self.cloudwatch_name: str | None = published.balancer
        if published.balancer is not None and not is_unresolved(published.balancer):
            self._known_name = published.balancer
        self._admission = admission
        self._needs_of_services = []
        self._served = []
        self._published = published
        self._admission.watch(self, knows_all=False)
        watch_overlap(self)
