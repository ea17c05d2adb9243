"""The four resource types, their order on the wire, and the two audiences."""

from __future__ import annotations

from enum import StrEnum


class Audience(StrEnum):
    """Who asks. Each gets resources fit for it: a gRPC client rejects what it does not know, and with it the answer."""

    ENVOY = "envoy"
    GRPC = "grpc"


class ResourceType(StrEnum):
    """A type of resource by its xDS name.

    The order is the one in which updates do no harm (make before break):
    https://www.envoyproxy.io/docs/envoy/v1.40.0/api-docs/xds_protocol#eventual-consistency-considerations
    """

    CLUSTER = "CDS"
    ENDPOINTS = "EDS"
    LISTENER = "LDS"
    ROUTES = "RDS"

    @property
    def url(self) -> str:
        return _URLS[self]

    @property
    def is_full(self) -> bool:
        """Whether an answer lists all that there is, so that what it leaves out is gone (state of the world)."""
        return self in (ResourceType.CLUSTER, ResourceType.LISTENER)

    @property
    def warms(self) -> ResourceType | None:
        """The type of which a client waits for a fresh answer, under the same name, before it uses this one."""
        return {ResourceType.CLUSTER: ResourceType.ENDPOINTS, ResourceType.LISTENER: ResourceType.ROUTES}.get(self)


_URLS = {
    ResourceType.CLUSTER: "type.googleapis.com/envoy.config.cluster.v3.Cluster",
    ResourceType.ENDPOINTS: "type.googleapis.com/envoy.config.endpoint.v3.ClusterLoadAssignment",
    ResourceType.LISTENER: "type.googleapis.com/envoy.config.listener.v3.Listener",
    ResourceType.ROUTES: "type.googleapis.com/envoy.config.route.v3.RouteConfiguration",
}

BY_URL = {url: resource_type for resource_type, url in _URLS.items()}
