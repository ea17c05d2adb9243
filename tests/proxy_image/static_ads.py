"""A control plane for the supervisor's tests: two listeners, one cluster, over the settings' unix socket; no more.

TARGET names the one target as ip:port. While the file ABSENT exists it does not come up; with ORPHAN=1 it leaves a
process without a parent behind, which ends at once.
"""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import envoy.config.cluster.v3.cluster_pb2
import envoy.config.listener.v3.listener_pb2
import envoy.extensions.filters.http.health_check.v3.health_check_pb2
import envoy.extensions.filters.http.router.v3.router_pb2
import envoy.extensions.filters.network.http_connection_manager.v3.http_connection_manager_pb2
import envoy.extensions.upstreams.http.v3.http_protocol_options_pb2  # noqa: F401 - registers the types ParseDict needs
import grpc
from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf import any_pb2, json_format

from proxy_image.envoy.shared_values import CALLS_STAT_PREFIX, CONNECTION_DRAIN_SECONDS
from proxy_image.settings import Settings, from_environment
from proxy_image.supervisor import heartbeat

_TYPES = "type.googleapis.com/envoy."
_HCM = f"{_TYPES}extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = {
    "name": "router",
    "typed_config": {"@type": f"{_TYPES}extensions.filters.http.router.v3.Router"},
}
_HTTP = f"{_TYPES}extensions.upstreams.http.v3.HttpProtocolOptions"


def resources(settings: Settings, target: str) -> dict[str, list[Any]]:
    ip, _, port = target.partition(":")
    endpoint = {"endpoint": {"address": _address(ip, int(port))}}
    cluster = {
        "@type": f"{_TYPES}config.cluster.v3.Cluster",
        "name": "target",
        "type": "STATIC",
        "connect_timeout": "1s",
        "load_assignment": {"cluster_name": "target", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": _HTTP,
                "explicit_http_config": {"http2_protocol_options": {}},
            }
        },
    }
    route = {"match": {"prefix": "/"}, "route": {"cluster": "target", "timeout": "0s"}}
    calls = {
        "stat_prefix": CALLS_STAT_PREFIX,
        "stream_idle_timeout": "0s",
        "drain_timeout": f"{CONNECTION_DRAIN_SECONDS}s",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [_ROUTER],
    }
    health = {
        "name": "health",
        "typed_config": {
            "@type": f"{_TYPES}extensions.filters.http.health_check.v3.HealthCheck",
            "pass_through_mode": False,
            "headers": [{"name": ":path", "string_match": {"exact": "/ready"}}],
        },
    }
    readiness = {"stat_prefix": "readiness", "route_config": {}, "http_filters": [health, _ROUTER]}
    return {
        f"{_TYPES}config.cluster.v3.Cluster": [cluster],
        f"{_TYPES}config.listener.v3.Listener": [
            _listener("calls", settings.bind_address, settings.port, calls, "MODIFY_ONLY"),
            _listener("readiness", settings.bind_address, settings.ready_port, readiness, "DEFAULT"),
        ],
    }


def _address(ip: str, port: int) -> dict[str, Any]:
    return {"socket_address": {"address": ip, "port_value": port}}


def _listener(name: str, ip: str, port: int, manager: dict[str, Any], drain_type: str) -> dict[str, Any]:
    return {
        "@type": f"{_TYPES}config.listener.v3.Listener",
        "name": name,
        "address": _address(ip, port),
        "drain_type": drain_type,
        "filter_chains": [{"filters": [{"name": "http", "typed_config": {"@type": _HCM, **manager}}]}],
    }


async def serve() -> None:
    settings = from_environment()
    told = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, told.set)
    served = resources(settings, os.environ["TARGET"])

    async def stream(requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        async for request in requests:
            if request.version_info == "" and request.type_url in served:
                packed = [json_format.ParseDict(one, any_pb2.Any()) for one in served[request.type_url]]
                yield discovery_pb2.DiscoveryResponse(
                    version_info="1", nonce="1", type_url=request.type_url, resources=packed
                )

    handler = grpc.stream_stream_rpc_method_handler(
        stream,
        request_deserializer=discovery_pb2.DiscoveryRequest.FromString,
        response_serializer=discovery_pb2.DiscoveryResponse.SerializeToString,
    )
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "envoy.service.discovery.v3.AggregatedDiscoveryService", {"StreamAggregatedResources": handler}
            ),
        )
    )
    settings.ads_socket.unlink(missing_ok=True)
    server.add_insecure_port(f"unix:{settings.ads_socket}")
    await server.start()
    heartbeat.BEAT_SECONDS = float(os.environ.get("BEAT_SECONDS", heartbeat.BEAT_SECONDS))
    beating = asyncio.create_task(heartbeat.beat(settings.heartbeat_socket))
    await told.wait()
    beating.cancel()
    await server.stop(0)


if __name__ == "__main__":
    if "ABSENT" in os.environ and Path(os.environ["ABSENT"]).exists():
        sys.exit(3)
    if os.environ.get("ORPHAN") == "1":
        subprocess.run(["/bin/sh", "-c", "sleep 0.2 &"], check=True)
    asyncio.run(serve())
