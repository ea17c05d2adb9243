"""What a call costs this balancer: CPU time of Envoy with our configuration, beside Envoy as it comes.

    python benchmarks/call_cost.py [--rounds 30] [--calls 3000] [--each 3]

Load, turns and figures are those of envoys.py. "stock Envoy" is the shortest configuration that passes gRPC on; each
other way is ours, some with one thing changed.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any

from envoys import Bootstrap, Way, add_arguments, measure, report

STOCK = "stock Envoy"


def nghttp2(config: Bootstrap) -> None:
    """Envoy's own codec, as one that does not keep the promises."""
    config["layered_runtime"]["layers"][0]["static_layer"]["envoy"] = {}


def stock(port: int, target: int) -> Bootstrap:
    kind = "type.googleapis.com/envoy.extensions"
    router = {"name": "router", "typed_config": {"@type": f"{kind}.filters.http.router.v3.Router"}}
    manager = {
        "@type": f"{kind}.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": "stock",
        "codec_type": "AUTO",
        "http_filters": [router],
        "route_config": {
            "virtual_hosts": [
                {
                    "name": "all",
                    "domains": ["*"],
                    "routes": [{"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}],
                }
            ]
        },
    }
    options = {
        "@type": f"{kind}.upstreams.http.v3.HttpProtocolOptions",
        "explicit_http_config": {"http2_protocol_options": {}},
    }
    endpoint = {"endpoint": {"address": _address(target)}}
    cluster = {
        "name": "echo",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "echo", "endpoints": [{"lb_endpoints": [endpoint]}]},
        "typed_extension_protocol_options": {"envoy.extensions.upstreams.http.v3.HttpProtocolOptions": options},
    }
    chain = {"filters": [{"name": "hcm", "typed_config": manager}]}
    listener = {"name": "calls", "address": _address(port), "filter_chains": [chain]}
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


WAYS = {
    STOCK: Way(other=stock),
    "ours": Way(),
    "ours, without call statistics": Way({"GRPC_LB_CALL_STATISTICS": "off"}),
    "ours, with nghttp2": Way(change=nghttp2),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_arguments(parser)
    options = parser.parse_args()
    for line in report(asyncio.run(measure(WAYS, options.rounds, options.calls, options.each))):
        print(line)


if __name__ == "__main__":
    main()
