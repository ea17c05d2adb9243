"""Who calls: the addresses that headers claim are removed, and the one that the load balancer tells is passed on."""

from __future__ import annotations

from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.listener.v3 import listener_components_pb2
from envoy.extensions.filters.listener.proxy_protocol.v3 import proxy_protocol_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2

from proxy_image.control_plane.xds.messages import boolean, packed
from proxy_image.envoy.shared_values import FORGEABLE_HEADERS

# What servers read the caller's address from. Nothing that comes to a balancer may set them: the load balancer in front
# works on connections and adds no header.
ADDRESS_HEADERS = ("x-forwarded-for", "x-envoy-external-address", *FORGEABLE_HEADERS)


def take_forged_addresses_out(manager: Any) -> None:
    """Before routes are chosen, so that no condition on metadata is met by a forged one."""
    mutations = [mutation_rules_pb2.HeaderMutation(remove=name) for name in ADDRESS_HEADERS]
    manager.early_header_mutation_extensions.append(
        extension_pb2.TypedExtensionConfig(
            name="envoy.http.early_header_mutation.header_mutation",
            typed_config=packed(header_mutation_pb2.HeaderMutation(mutations=mutations)),
        )
    )


def tell_servers(manager: Any) -> None:
    """In ``x-forwarded-for``, which routes see too."""
    manager.use_remote_address.CopyFrom(boolean(True))
    manager.skip_xff_append = False


def from_proxy_protocol(*, or_without: bool = False) -> Any:
    """https://docs.aws.amazon.com/elasticloadbalancing/latest/network/edit-target-group-attributes.html#proxy-protocol"""
    return listener_components_pb2.ListenerFilter(
        name="envoy.filters.listener.proxy_protocol",
        typed_config=packed(proxy_protocol_pb2.ProxyProtocol(allow_requests_without_proxy_protocol=or_without)),
    )
