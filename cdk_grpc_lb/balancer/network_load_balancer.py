"""How callers reach a balancer: its load balancer, with TLS and a name where they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import aws_cdk as cdk
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_elasticloadbalancingv2 as elbv2
from constructs import Construct

from cdk_grpc_lb.balancer.image import CALLS_PORT, CONTAINER, READY_PORT
from cdk_grpc_lb.network.callers import peers_of
from cdk_grpc_lb.network.placement import Placement
from cdk_grpc_lb.network.subnets import address_ranges, subnets_of
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props, check_region

if TYPE_CHECKING:
    from aws_cdk import aws_certificatemanager as acm
    from aws_cdk import aws_route53 as route53

# New connections keep coming for two minutes after a target is deregistered, whatever the delay says:
# https://github.com/aws/containers-roadmap/issues/470, https://github.com/kubernetes-sigs/aws-load-balancer-controller/issues/2366
_DEREGISTRATION_DELAY = cdk.Duration.seconds(120)
_HEALTH_INTERVAL, _HEALTH_TIMEOUT = cdk.Duration.seconds(5), cdk.Duration.seconds(3)

# A target that is found unhealthy keeps the connections it has. By default they are reset at once: a balancer fails its
# readiness first when it drains, and one that is slow for ten seconds would lose every stream. No drain is longer.
# https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html
_UNHEALTHY = {
    "target_health_state.unhealthy.connection_termination.enabled": "false",
    "target_health_state.unhealthy.draining_interval_seconds": "120",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frontend:
    """The props of a balancer that callers notice, None standing for the default."""

    port: int | None
    internet_facing: bool
    open_listener: bool | None
    certificate: acm.ICertificate | None
    xds_certificate: acm.ICertificate | None
    ssl_policy: elbv2.SslPolicy | None
    domain_name: str | None
    domain_zone: route53.IHostedZone | None
    subnets: ec2.SubnetSelection | None
    cross_zone_enabled: bool

    def check(self, props: Props, balancer: Construct, vpc: ec2.IVpc, tasks: Placement | None) -> None:
        """Raise ValueError for what no deployment could take. Without `tasks`, no load balancer is made for them."""
        props.whole_number("port", self.resolved_port, 1, 65_535)
        self._check_certificates(props, balancer)
        self._check_domain(props)
        self._check_open(props, vpc)
        if tasks is None or (self.subnets is None and tasks.selection is None and not self.internet_facing):
            return  # no load balancer, or one in the same subnets
        if self.internet_facing and self.subnets is None and not vpc.public_subnets:
            allowed = (
                "left out in a VPC without public subnets (one that is imported knows those that are named: "
                "public_subnet_ids of Vpc.from_vpc_attributes)"
            )
            raise props.error("internet_facing", allowed, f"True in the VPC {vpc.node.path}")
        subnets = subnets_of(props, "load_balancer_subnets", vpc, self.resolved_subnets)
        self._check_public(props, vpc, subnets)
        _check_zones(props, vpc, subnets, tasks.subnets)

    @property
    def resolved_port(self) -> int:
        if self.port is not None:
            return self.port
        return CALLS_PORT if self.certificate is None else 443

    @property
    def resolved_subnets(self) -> ec2.SubnetSelection:
        if self.subnets is not None:
            return self.subnets
        return ec2.SubnetSelection(subnet_type=ec2.SubnetType.PUBLIC) if self.internet_facing else ec2.SubnetSelection()

    @property
    def _is_open(self) -> bool:
        return self.open_listener if self.open_listener is not None else not self.internet_facing

    def callers(self, vpc: ec2.IVpc) -> list[ec2.IPeer]:
        """Who may call without being named."""
        if not self._is_open:
            return []
        return [ec2.Peer.any_ipv4()] if self.internet_facing else peers_of(vpc)

    @property
    def description(self) -> str:
        return "callers anywhere" if self.internet_facing else "callers in the VPC"

    def make(self, balancer: Construct, vpc: ec2.IVpc, group: ec2.ISecurityGroup) -> elbv2.NetworkLoadBalancer:
        return elbv2.NetworkLoadBalancer(
            balancer,
            "LoadBalancer",
            vpc=vpc,
            vpc_subnets=self.subnets,
            internet_facing=self.internet_facing,
            cross_zone_enabled=self.cross_zone_enabled,
            security_groups=[group],
        )

    def listen(self, load_balancer: elbv2.NetworkLoadBalancer) -> elbv2.NetworkListener:
        if self.certificate is None:
            return load_balancer.add_listener("Listener", port=self.resolved_port, protocol=elbv2.Protocol.TCP)
        return load_balancer.add_listener(
            "Listener",
            port=self.resolved_port,
            protocol=elbv2.Protocol.TLS,
            certificates=[elbv2.ListenerCertificate.from_certificate_manager(self.certificate)],
            ssl_policy=self.ssl_policy if self.ssl_policy is not None else elbv2.SslPolicy.RECOMMENDED_TLS,
            # gRPC is HTTP/2, and clients refuse a server that does not say so in the handshake.
            alpn_policy=elbv2.AlpnPolicy.HTTP2_ONLY,
        )

    def name(self, balancer: Construct, load_balancer: elbv2.NetworkLoadBalancer) -> str:
        """The host that callers use: the domain name where one is given."""
        if self.domain_name is None or self.domain_zone is None:
            return load_balancer.load_balancer_dns_name
        from aws_cdk import aws_route53 as route53  # only here: most balancers have no name of their own
        from aws_cdk import aws_route53_targets as route53_targets

        route53.ARecord(
            balancer,
            "AliasRecord",
            zone=self.domain_zone,
            record_name=self.domain_name,
            target=route53.RecordTarget.from_alias(route53_targets.LoadBalancerTarget(load_balancer)),
        )
        return self.domain_name

    def _check_certificates(self, props: Props, balancer: Construct) -> None:
        if self.ssl_policy is not None and self.certificate is None:
            raise props.error("certificate", "given with ssl_policy: there is no TLS without one", None)
        if self.xds_certificate is not None and self.domain_name is None:
            raise props.error("domain_name", "given with xds_certificate: clients verify the name that they call", None)
        # Without Envoy the two are one, which was given as the latter.
        for prop, certificate in (("xds_certificate", self.xds_certificate), ("certificate", self.certificate)):
            if certificate is not None:
                why = "a load balancer takes no other certificate"
                check_region(props, prop, balancer, certificate.certificate_arn, why=why)

    def _check_public(self, props: Props, vpc: ec2.IVpc, subnets: ec2.SelectedSubnets) -> None:
        if not self.internet_facing:
            return
        closed = {subnet.node.path for subnet in (*vpc.private_subnets, *vpc.isolated_subnets)}
        if any(subnet.node.path in closed for subnet in subnets.subnets):
            raise props.error(
                "load_balancer_subnets",
                "public ones with internet_facing, because nobody reaches the others from the internet",
                ", ".join(subnet.node.path for subnet in subnets.subnets),
            )

    def _check_domain(self, props: Props) -> None:
        if (self.domain_name is None) != (self.domain_zone is None):
            missing, given = (
                ("domain_zone", "domain_name") if self.domain_zone is None else ("domain_name", "domain_zone")
            )
            raise props.error(missing, f"given together with {given} (or leave out both)", None)
        if self.domain_name is None or self.domain_zone is None:
            return
        try:
            zone = self.domain_zone.zone_name
        except RuntimeError:  # what the CDK's own error comes as
            raise props.error(
                "domain_zone",
                "one that knows its name (import it with HostedZone.from_hosted_zone_attributes and its zone_name)",
                self.domain_zone.node.path,
            ) from None
        if is_unresolved(self.domain_name) or is_unresolved(zone):
            return
        # As DNS compares names: https://www.rfc-editor.org/rfc/rfc4343
        name, domain = (text.lower().removesuffix(".") for text in (self.domain_name, zone))
        if name != domain and not name.endswith(f".{domain}"):
            raise props.error("domain_name", f"{zone} or a name below it, as the zone is", repr(self.domain_name))

    def _check_open(self, props: Props, vpc: ec2.IVpc) -> None:
        if self._is_open and not self.internet_facing and not address_ranges(vpc):
            raise props.error(
                "cluster",
                "one in a VPC whose address range is known, because the whole VPC may call the balancer: import the "
                "VPC with vpc_cidr_block (Vpc.from_vpc_attributes), or make the balancer with "
                "GrpcBalancer(open_listener=False) and name its callers with allow_from",
                f"the VPC {vpc.node.path} without one",
            )


def _check_zones(props: Props, vpc: ec2.IVpc, subnets: ec2.SelectedSubnets, tasks: ec2.SelectedSubnets) -> None:
    """A Network Load Balancer sends nothing to targets in zones that it has no subnet in.

    https://docs.aws.amazon.com/elasticloadbalancing/latest/network/network-load-balancers.html#availability-zones
    """
    if subnets.is_pending_lookup or tasks.is_pending_lookup:
        return
    stack = cdk.Stack.of(vpc)
    served, used = (stack.resolve(each.availability_zones) for each in (subnets, tasks))
    missing = [zone for zone in used if zone not in served]
    if missing:
        raise props.error(
            "load_balancer_subnets",
            f"in every zone of the balancer's tasks, {_listed(used)}, because it sends no calls to other zones "
            "(or give task_subnets in the same zones)",
            f"those in {_listed(served)}",
        )


def _listed(zones: Sequence[object]) -> str:
    return ", ".join(zone if isinstance(zone, str) else f"zone {number}" for number, zone in enumerate(zones, 1))


def add_tasks(listener: elbv2.NetworkListener, service: ecs.FargateService, port: int) -> elbv2.NetworkTargetGroup:
    """Send what comes in to this port of those balancer tasks that are ready."""
    group = listener.add_targets(
        "Tasks",
        port=port,
        protocol=elbv2.Protocol.TCP,
        targets=[service.load_balancer_target(container_name=CONTAINER, container_port=port)],
        health_check=elbv2.HealthCheck(
            protocol=elbv2.Protocol.HTTP,
            port=str(READY_PORT),
            path="/ready",
            interval=_HEALTH_INTERVAL,
            timeout=_HEALTH_TIMEOUT,
            healthy_threshold_count=2,
            unhealthy_threshold_count=2,
        ),
        deregistration_delay=_DEREGISTRATION_DELAY,
        # A caller that is itself a task on the same host could not reach the target by its own address.
        preserve_client_ip=False,
    )
    for name, value in _UNHEALTHY.items():
        group.set_attribute(name, value)
    return group
