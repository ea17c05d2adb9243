"""A balancer without a load balancer: callers find its tasks by a name in DNS, which ECS keeps in Cloud Map."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb.balancer.image import CALLS_PORT
from cdk_grpc_lb.network.names import is_dns_label
from cdk_grpc_lb.paths import identity_of
from cdk_grpc_lb.tokens import is_unresolved
from cdk_grpc_lb.validation import Props

if TYPE_CHECKING:
    from aws_cdk import aws_servicediscovery as servicediscovery

DEFAULT_NAME = "grpc"
# Far below the 50 seconds for which a task that is told to stop serves on: by then no answer has it any more.
_TIME_TO_LIVE = cdk.Duration.seconds(10)

_OF_A_LOAD_BALANCER = (
    "port",
    "internet_facing",
    "certificate",
    "ssl_policy",
    "domain_name",
    "domain_zone",
    "load_balancer_subnets",
    "client_addresses",
    "xds_certificate",
)

# The paths of the balancers that have the names of a namespace.
_HOLDERS: dict[str, dict[str, str]] = {}


@dataclass(frozen=True, slots=True)
class CloudMap:
    """A name, within a private namespace, for the addresses of a balancer's tasks."""

    namespace: servicediscovery.INamespace
    name: str

    @classmethod
    def checked(
        cls,
        props: Props,
        namespace: servicediscovery.INamespace | None,
        name: str | None,
        given: Mapping[str, Any],
    ) -> CloudMap | None:
        """None without a namespace. Raises ValueError for props that only a load balancer can follow.

        :param given: All props of the balancer, by name; those that are None or False are not given.
        """
        if namespace is None:
            if name is not None:
                raise props.error("cloud_map_namespace", "given with cloud_map_name (or leave out both)", None)
            return None
        for prop in _OF_A_LOAD_BALANCER:
            value = given[prop]
            if value is not None and value is not False and not (prop == "port" and value == CALLS_PORT):
                fix = "there is no load balancer, callers reach the tasks themselves; leave out either"
                raise props.conflict("cloud_map_namespace", prop, fix)
        if namespace.type.name != "DNS_PRIVATE":
            raise props.error(
                "cloud_map_namespace",
                "a servicediscovery.PrivateDnsNamespace, because clients look up private addresses in DNS",
                f"{namespace.node.path}, which is {namespace.type.name}",
            )
        own_name = DEFAULT_NAME if name is None else name
        if not is_unresolved(own_name) and not is_dns_label(own_name):
            raise props.error("cloud_map_name", "up to 63 of a-z, 0-9 and -, without a dot", repr(own_name))
        holder = _HOLDERS.setdefault(identity_of(namespace), {}).setdefault(own_name, props.path)
        if holder != props.path:
            allowed = f"another one than that of {holder}, because a namespace has each name once"
            raise props.error("cloud_map_name", allowed, repr(own_name))
        return cls(namespace, own_name)

    @property
    def host(self) -> str:
        return f"{self.name}.{self.namespace.namespace_name}"

    @property
    def options(self) -> ecs.CloudMapOptions:
        return ecs.CloudMapOptions(
            cloud_map_namespace=self.namespace, name=self.name, dns_ttl=_TIME_TO_LIVE, failure_threshold=1
        )
