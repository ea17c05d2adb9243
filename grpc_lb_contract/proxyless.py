"""What a gRPC client without a proxy is given: where its control plane is, and what to call."""

from __future__ import annotations

import json
from collections.abc import Sequence

BOOTSTRAP = "GRPC_XDS_BOOTSTRAP_CONFIG"
BOOTSTRAP_FILE = "GRPC_XDS_BOOTSTRAP"
"""The environment variable that names a file with the same; gRPC reads that one first (gRFC A27)."""
BOOTSTRAP_NAME = "bootstrap.json"


def xds_target(service_name: str) -> str:
    """What a client without a proxy calls."""
    return f"xds:///{service_name}"


def bootstrap(addresses: Sequence[str], node_id: str, *, tls: bool = False) -> str:
    """What a gRPC client of any language needs to find its targets at the first of these control planes that answers.

    The format is gRFC A27's. `ignore_resource_deletion` (A53): a name that is gone leaves a client what it had. Node
    fails without a locality. With `tls` the client verifies the server by its own CAs (A65). Further servers are used
    by clients that know gRFC A71.
    """
    servers = [
        {
            "server_uri": address,
            "channel_creds": [{"type": "tls" if tls else "insecure"}],
            "server_features": ["xds_v3", "ignore_resource_deletion"],
        }
        for address in addresses
    ]
    return json.dumps({"xds_servers": servers, "node": {"id": node_id, "cluster": "", "locality": {"zone": ""}}})


def with_place(text: str, node_id: str, zone: str) -> str:
    """A bootstrap for a client of this id in this availability zone. Raises ValueError for what is none."""
    try:
        config = json.loads(text)
    except ValueError:
        config = None
    if not isinstance(config, dict):
        raise ValueError(f"must be a bootstrap, a JSON object, got {text[:100]!r}")  # noqa: TRY004 - as for no JSON
    known = config.get("node")
    config["node"] = {**(known if isinstance(known, dict) else {}), "id": node_id, "locality": {"zone": zone}}
    return json.dumps(config)
