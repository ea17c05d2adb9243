"""Clients that call tasks directly (`xds:///NAME`): what they are given, and what is opened for them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from aws_cdk import aws_logs as logs
from constructs import IConstruct

from cdk_grpc_lb.balancer.image import XDS_PORT
from cdk_grpc_lb.network.ingress import let_in, refers_to_stack_of
from cdk_grpc_lb.network.reachability import watch_arrow
from cdk_grpc_lb.paths import in_one_stack
from cdk_grpc_lb.proxyless.client_zone import write_bootstrap_first
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props
from grpc_lb_contract.labels.names import PORT, SERVICE
from grpc_lb_contract.proxyless import BOOTSTRAP, BOOTSTRAP_FILE, bootstrap, xds_target

if TYPE_CHECKING:
    from aws_cdk import aws_certificatemanager as acm

    from cdk_grpc_lb.routing.service_registry import ServiceRegistry
    from cdk_grpc_lb.service.balanced_service import GrpcBalancedService


def listen_for_xds(
    load_balancer: elbv2.NetworkLoadBalancer, certificate: acm.ICertificate | None
) -> elbv2.NetworkListener:
    if certificate is None:
        return load_balancer.add_listener("XdsListener", port=XDS_PORT, protocol=elbv2.Protocol.TCP)
    return load_balancer.add_listener(
        "XdsListener",
        port=XDS_PORT,
        protocol=elbv2.Protocol.TLS,
        certificates=[elbv2.ListenerCertificate.from_certificate_manager(certificate)],
        ssl_policy=elbv2.SslPolicy.RECOMMENDED_TLS,
        alpn_policy=elbv2.AlpnPolicy.HTTP2_ONLY,
    )


# What a balancer does to calls, and one that carries none cannot do.
_OF_A_PROXY = (
    "port",
    "certificate",
    "ssl_policy",
    "client_addresses",
    "tracing",
    "access_log",
    "call_statistics",
    "envoy_concurrency",
)


def refuse_proxy_props(props: Props, given: Mapping[str, Any]) -> None:
    """Raise ValueError for props that say how calls are carried."""
    for name in _OF_A_PROXY:
        if given[name] not in (None, False):
            raise props.conflict(
                name, "proxyless_only", f"{name} is about calls that the balancer carries; leave out either"
            )


_ADDRESS = re.compile(r"[^\s:]+:[0-9]{1,5}")


class ProxylessClients:
    """What of a balancer such clients need."""

    if TYPE_CHECKING:
        clusters: list[ecs.ICluster]
        _admission: ServiceRegistry
        _props: Props
        _image: ecs.ContainerImage
        task_definition: ecs.FargateTaskDefinition
        log_group: logs.LogGroup
        _xds_certificate: acm.ICertificate | None

        @property
        def xds_address(self) -> str: ...

        def _let_fetch(self, other: ec2.IConnectable, description: str | None = None) -> None: ...

    def connect(
        self,
        client: GrpcBalancedService | ecs.BaseService | ecs.TaskDefinition,
        *,
        to: Sequence[GrpcBalancedService | ecs.BaseService],
        container_name: str | None = None,
        source: ec2.IConnectable | None = None,
        fallback_address: str | None = None,
        own_zone: bool = False,
    ) -> list[str]:
        """Let a client call the tasks of services directly, without a proxy between.

        Its container gets ``GRPC_XDS_BOOTSTRAP_CONFIG``, which gRPC reads in every language, and the security groups
        let it in: to the xDS port of the load balancer, and to the port of each service. The client then calls what is
        returned, in the order of ``to``: ``xds:///numbers``. Raises ValueError at synth for a service that is not
        behind this balancer, and for a client that has its bootstrap already.

        :param client: A service of this library, a Fargate or EC2 service, or a task definition.
        :param to: The services that it calls, each ECS service of those that share a name.
        :param container_name: The client's container that calls. By default the task definition's first essential one.
        :param source: From where the client calls, where it is a task definition: the security group that its tasks
            run with, or another peer. By default the connections of the service.
        :param fallback_address: Another control plane, ``host:port``, with TLS as here, which clients that know gRFC
            A71 use while they reach none of this balancer's. By default, none.
        :param own_zone: Whether the client prefers tasks of its own availability zone, of those services whose policy
            has ``Balancing(prefer_zone=True)``: a container of the balancer's image starts before the client's, asks
            ECS for the zone, and ends. By default, the client goes to all zones.
        """
        _check_connection(Props(type(self).__name__, self.node.path), client, to, source, fallback_address)  # type: ignore[attr-defined]  # a construct
        construct, definition = _definition_of(client)
        props = Props("connect of", construct.node.path)
        caller = source if source is not None else _connectable(props, client)
        if not to:
            raise props.error("to", "a list that names at least one service", "none")
        called = [self._called(props, service) for service in to]
        container = _container(props, definition, container_name)
        has_tls = self._xds_certificate is not None
        addresses = [self.xds_address, *([] if fallback_address is None else [fallback_address])]
        _refuse_second(props, container)
        text = bootstrap(addresses, construct.node.addr, tls=has_tls)
        if own_zone:
            write_bootstrap_first(
                props,
                definition,
                container,
                text,
                image=self._image,
                balancer=self.task_definition,
                log_group=self.log_group,
            )
        else:
            container.add_environment(BOOTSTRAP, text)
        self._let_fetch(caller, "xDS of a client without a proxy")
        callers = caller.connections.security_groups
        for service, (_, port) in zip(to, called, strict=True):
            groups = service.connections.security_groups
            for group in groups:
                let_in(
                    group,
                    caller,
                    callers,
                    port,
                    "calls of a client without a proxy",
                    in_callers_stack=all(self._is_rule_of_client(client, each, service, group) for each in callers),
                )
            what = f"calls of {construct.node.path}, without a proxy, to {service.node.path}"
            watch_arrow(construct, what, callers, groups, port)
        return [xds_target(name) for name, _ in called]

    def _is_rule_of_client(
        self, client: Any, caller: ec2.ISecurityGroup, service: Any, called: ec2.ISecurityGroup
    ) -> bool:
        """Whether the rule between their groups is of the client's stack, where stacks differ."""
        balancer: Any = self
        if in_one_stack(caller, balancer):
            # As for the rule that lets the balancer in.
            return refers_to_stack_of(called, user=service, here=balancer, clusters=self.clusters)
        clusters = [service.cluster] if in_one_stack(called, service) else []
        return not refers_to_stack_of(caller, user=client, here=called, clusters=clusters)

    def _called(self, props: Props, service: Any) -> tuple[str, int]:
        """The logical name and the port of a service."""
        of_ecs = getattr(service, "service", service)
        labels = self._admission.labels.get(of_ecs.node.path)
        if labels is None:
            known = ", ".join(sorted(self._admission.labels)) or "(none)"
            raise props.error("to", f"services that are behind this balancer: {known}", of_ecs.node.path)
        port = labels[PORT]
        return labels[SERVICE], _number(port)


def _check_connection(props: Props, client: Any, to: Any, source: Any, fallback_address: Any) -> None:
    """Raise ValueError for arguments that are something else."""
    if not hasattr(client, "task_definition") and not isinstance(client, ecs.TaskDefinition):
        raise props.error("client", "a service or a task definition", repr(client))
    if not isinstance(to, (list, tuple)):
        raise props.error("to", "a list of services", repr(to))
    for service in to:
        if not isinstance(getattr(service, "service", service), ecs.BaseService):
            raise props.error("to", "a list of services, of this library or of ECS", repr(service))
    if source is not None and not hasattr(source, "connections"):
        raise props.error("source", 'a security group or ec2.Peer.ipv4("10.0.0.0/8")', repr(source))
    if fallback_address is None or is_unresolved(fallback_address):
        return
    if not isinstance(fallback_address, str) or _ADDRESS.fullmatch(fallback_address) is None:
        raise props.error("fallback_address", "host:port", repr(fallback_address))


def _definition_of(client: Any) -> tuple[IConstruct, ecs.TaskDefinition]:
    return client, client if isinstance(client, ecs.TaskDefinition) else client.task_definition


def _connectable(props: Props, client: Any) -> ec2.IConnectable:
    if isinstance(client, ecs.TaskDefinition):
        raise props.error("source", "given where the client is a task definition: what its tasks call from", None)
    connectable: ec2.IConnectable = client
    return connectable


def _container(props: Props, definition: ecs.TaskDefinition, name: str | None) -> ecs.ContainerDefinition:
    if name is None:
        default = definition.default_container
        if default is None:
            raise props.error("client", "a task definition that has an essential container", definition.node.path)
        return default
    found = definition.find_container(name)
    if found is None:
        names = ", ".join(each.container_name for each in _containers(definition)) or "(none)"
        raise props.error("container_name", f"one of {names} ({definition.node.path})", repr(name))
    return found


def _containers(definition: ecs.TaskDefinition) -> Iterable[ecs.ContainerDefinition]:
    return (child for child in definition.node.children if isinstance(child, ecs.ContainerDefinition))


def _refuse_second(props: Props, container: ecs.ContainerDefinition) -> None:
    environment = container.render_container_definition().environment or []
    names = [each["name"] if isinstance(each, dict) else each.name for each in environment]  # type: ignore[union-attr]  # jsii's own
    for known in {BOOTSTRAP, BOOTSTRAP_FILE} & set(names):
        raise props.error(
            "client", f"one without {known}: connect it once, with all that it calls", container.container_name
        )


def _number(port: str) -> int:
    # A port that is a token is still one here, as a number: `int` would not know it.
    return cdk.Token.as_number(port) if is_unresolved(port) else int(port)  # type: ignore[return-value]  # whole
