"""What Envoy's own answers say, where Envoy would say nothing.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/local_reply
"""

from __future__ import annotations

from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2

from proxy_image.control_plane.xds.messages import packed, uint32

# A gRPC call's 404 is UNIMPLEMENTED, which a server says of a method that it has not.
_NOT_FOUND = 404
_HAS_FRAGMENT = 'response.code_details == "path_normalization_failed"'
NO_FRAGMENTS = "the call's path has a # in it, which this balancer does not pass on: no gRPC method has such a name"

# What Envoy makes UNKNOWN, as of a status that gRPC has no word for: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_UNAVAILABLE = 503
_TOO_LARGE_TO_RETRY = 'response.code_details == "request_payload_exceeded_retry_buffer_limit"'
TOO_LARGE_TO_RETRY = "a try failed, and the call has sent more than this balancer keeps for another one"


def reply(condition: str, status: int, body: str) -> Any:
    """Where a CEL expression holds of an answer of Envoy's own: its HTTP status, and the message of a gRPC call."""
    return http_connection_manager_pb2.ResponseMapper(
        filter=accesslog_pb2.AccessLogFilter(
            extension_filter=accesslog_pb2.ExtensionFilter(
                name="envoy.access_loggers.extension_filters.cel",
                typed_config=packed(cel_pb2.ExpressionFilter(expression=condition)),
            )
        ),
        status_code=uint32(status),
        body={"inline_string": body},
    )


def replies() -> Any:
    return http_connection_manager_pb2.LocalReplyConfig(
        mappers=[
            reply(_HAS_FRAGMENT, _NOT_FOUND, NO_FRAGMENTS),
            reply(_TOO_LARGE_TO_RETRY, _UNAVAILABLE, TOO_LARGE_TO_RETRY),
        ]
    )
