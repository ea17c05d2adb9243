"""What Envoy's own answers say, where Envoy would say nothing.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_conn_man/local_reply
"""

from __future__ import annotations

from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import base_pb2, substitution_format_string_pb2
from envoy.extensions.access_loggers.filters.cel.v3 import cel_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from google.protobuf import struct_pb2

from grpc_lb_contract import Status
from proxy_image.control_plane.xds.messages import packed, uint32

# A gRPC call's 404 is UNIMPLEMENTED, which a server says of a method that it has not.
_NOT_FOUND = 404
_HAS_FRAGMENT = 'response.code_details == "path_normalization_failed"'
NO_FRAGMENTS = "the call's path has a # in it, which this balancer does not pass on: no gRPC method has such a name"

# What Envoy makes UNKNOWN, as of a status that gRPC has no word for: https://github.com/grpc/grpc/blob/master/doc/http-grpc-status-mapping.md
_UNAVAILABLE = 503
_TOO_LARGE_TO_RETRY = 'response.code_details == "request_payload_exceeded_retry_buffer_limit"'
TOO_LARGE_TO_RETRY = "a try failed, and the call has sent more than this balancer keeps for another one"

# Envoy takes gRPC-Web for no gRPC when it answers in a server's place, and makes UNAVAILABLE of both HTTP statuses.
# With the status and the words that a gRPC call gets, these are the same for both.
_ALSO_FOR_WEB = (
    ("max_duration_timeout", Status.DEADLINE_EXCEEDED, "downstream duration timeout"),
    ("local_rate_limited", Status.RESOURCE_EXHAUSTED, "local_rate_limited"),
)
_OK = 200
# A gRPC call whose content type has parameters is none to Envoy either, which would give this answer no content type,
# as clients of gRPC need. That of gRPC-Web has none by now: its filter has written gRPC's.
_NO_PARAMETERS = "!request.headers['content-type'].contains(';')"

# A client of the Connect protocol reads why a unary call failed in JSON, and makes UNIMPLEMENTED of a stream's 404:
# https://connectrpc.com/docs/protocol/#error-codes
_SPEAKS_CONNECT = (
    "'connect-protocol-version' in request.headers && !request.headers['content-type'].startsWith('application/grpc')"
)
NO_CONNECT = (
    "this balancer takes gRPC, and gRPC-Web where a service has the label grpc-lb.web, but not the Connect protocol: "
    "use the client's gRPC transport (createGrpcTransport in connect-es, connect.WithGRPC() in connect-go)"
)


def reply(condition: str, status: int, body: str, **headers: str) -> Any:
    """Where a CEL expression holds of an answer of Envoy's own: its HTTP status, and the message of a gRPC call."""
    return http_connection_manager_pb2.ResponseMapper(
        filter=_where(condition),
        status_code=uint32(status),
        body={"inline_string": body},
        headers_to_add=[
            base_pb2.HeaderValueOption(header=base_pb2.HeaderValue(key=key.replace("_", "-"), value=value))
            for key, value in headers.items()
        ],
    )


def _where(condition: str) -> Any:
    return accesslog_pb2.AccessLogFilter(
        extension_filter=accesslog_pb2.ExtensionFilter(
            name="envoy.access_loggers.extension_filters.cel",
            typed_config=packed(cel_pb2.ExpressionFilter(expression=condition)),
        )
    )


def _to_connect() -> Any:
    body = struct_pb2.Struct()
    body.update({"code": "unimplemented", "message": NO_CONNECT})
    return http_connection_manager_pb2.ResponseMapper(
        filter=_where(_SPEAKS_CONNECT),
        status_code=uint32(_NOT_FOUND),
        body_format_override=substitution_format_string_pb2.SubstitutionFormatString(json_format=body),
    )


def _with_status(details: str, status: Status, message: str) -> Any:
    """Without a body and with a status of gRPC, which Envoy's gRPC-Web filter leaves as it is."""
    condition = f'response.code_details == "{details}" && {_NO_PARAMETERS}'
    return reply(condition, _OK, "", grpc_status=str(status.code), grpc_message=message)


def replies() -> Any:
    return http_connection_manager_pb2.LocalReplyConfig(
        mappers=[
            reply(_HAS_FRAGMENT, _NOT_FOUND, NO_FRAGMENTS),
            reply(_TOO_LARGE_TO_RETRY, _UNAVAILABLE, TOO_LARGE_TO_RETRY),
            *(_with_status(*each) for each in _ALSO_FOR_WEB),
            _to_connect(),
        ]
    )
