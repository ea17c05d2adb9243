"""How large a request of an xDS client may be."""

from __future__ import annotations

from typing import Any

from envoy.service.discovery.v3 import discovery_pb2
from google.protobuf.message import DecodeError

from proxy_image.control_plane.limits.refusal import exhausted, invalid

# 1,000 names of 100 characters and a node's metadata fit. A name may be longer: it is unknown, and no other that the
# client calls suffers from it.
MAX_REQUEST_BYTES = 128 * 2**10
MAX_NAMES_PER_TYPE = 1_000
MAX_NODE_ID_LENGTH = 256
MAX_TYPE_URL_LENGTH = 256
MAX_NONCE_LENGTH = 256
MAX_UNKNOWN_TYPES = 16

# A NACK's reason is for people to read.
MAX_TEXT_LENGTH = 1_000


def read_request(data: bytes) -> Any:
    """The DiscoveryRequest in these bytes. Raises `RefusedError`."""
    try:
        return discovery_pb2.DiscoveryRequest.FromString(data)
    except DecodeError:
        raise invalid(
            f"request must be an envoy.service.discovery.v3.DiscoveryRequest, got {len(data):,} bytes that are none"
        ) from None


def check_request(request: Any) -> None:
    """Raises `RefusedError` where a gRPC client's request is larger than any client's needs to be."""
    _check_length("node.id", request.node.id, MAX_NODE_ID_LENGTH)
    _check_length("type_url", request.type_url, MAX_TYPE_URL_LENGTH)
    _check_length("response_nonce", request.response_nonce, MAX_NONCE_LENGTH)
    if len(request.resource_names) > MAX_NAMES_PER_TYPE:
        raise exhausted(
            f"resource_names must be at most {MAX_NAMES_PER_TYPE:,} of a type, got {len(request.resource_names):,} of "
            f"{request.type_url}: subscribe to the services that this client calls"
        )


def check_unknown_types(count: int) -> None:
    if count > MAX_UNKNOWN_TYPES:
        raise invalid(f"at most {MAX_UNKNOWN_TYPES} unknown types may be asked for on one stream, got {count}")


def shortened(text: str) -> str:
    """A client's text as it goes into logs, onto pages and into memory."""
    return text if len(text) <= MAX_TEXT_LENGTH else f"{text[:MAX_TEXT_LENGTH]}… ({len(text):,} characters)"


def _check_length(field: str, text: str, longest: int) -> None:
    if len(text) > longest:
        raise invalid(f"{field} must be at most {longest} characters, got {len(text):,}: {text[:40]!r}…")
