"""Copies of calls to another service: by a cluster of their own, so that they are bounded where calls are not."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2

from grpc_lb_contract import Document, Mirror, Service
from proxy_image.control_plane.xds.messages import fraction

# Envoy waits for the answer to a copy without end: a service that never answers would fill the balancer's memory. And
# where that service does not read what is uploaded, the call waits for its copy once the buffers are full (1 MiB and
# the service's own): until the copy ends.
MAX_COPY_SECONDS = 10.0
MAX_COPIES = 1_000


def copies_of(service: str) -> str:
    """The name of the cluster that takes copies: no service's name holds a `~`."""
    return f"{service}~mirror"


def mirror_policies(mirror: Mirror) -> tuple[Any, ...]:
    if mirror.service is None:
        return ()
    return (
        route_components_pb2.RouteAction.RequestMirrorPolicy(
            cluster=copies_of(mirror.service),
            runtime_fraction=base_pb2.RuntimeFractionalPercent(default_value=fraction(mirror.percent)),
            # The copy has the :authority of the call.
            disable_shadow_host_suffix_append=True,
        ),
    )


def mirrored(document: Document) -> Iterator[Service]:
    """The services that get copies, as the copies are to be treated."""
    names = {service.policy.mirror.service for service in document.services}
    for service in document.services:
        if service.name in names:
            limits = service.policy.limits
            bounded = replace(limits, requests=min(limits.requests or MAX_COPIES, MAX_COPIES))
            yield replace(service, policy=replace(service.policy, limits=bounded))
