"""Envoy's access log: one JSON line for a call, on standard output, where nothing else is written.

https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/observability/access_log/usage
"""

from __future__ import annotations

from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.core.v3 import substitution_format_string_pb2
from envoy.extensions.access_loggers.stream.v3 import stream_pb2
from google.protobuf import struct_pb2

from proxy_image.control_plane.xds.messages import fraction, packed
from proxy_image.telemetry import AccessLogSettings, Logged

# What a client chooses is cut short, so that a line stays one write to a pipe (PIPE_BUF is 4,096). No metadata but the
# trace's: it may hold secrets.
FIELDS = {
    "time": "%START_TIME(%Y-%m-%dT%H:%M:%S.%3fZ)%",
    "level": "info",
    "source": "access",
    "event": "call",
    # Who opened the connection.
    "client": "%DOWNSTREAM_DIRECT_REMOTE_ADDRESS%",
    "host": "%REQ(:AUTHORITY):255%",
    "method": "%REQ(:PATH):255%",
    "service": "%UPSTREAM_CLUSTER_RAW%",
    "target": "%UPSTREAM_HOST%",
    "tries": "%UPSTREAM_REQUEST_ATTEMPT_COUNT%",
    "grpc_status": "%GRPC_STATUS(SNAKE_STRING)%",
    "flags": "%RESPONSE_FLAGS_LONG%",
    "details": "%RESPONSE_CODE_DETAILS%",
    "connect_error": "%UPSTREAM_TRANSPORT_FAILURE_REASON%",
    "duration_ms": "%DURATION%",
    "first_byte_ms": "%RESPONSE_DURATION%",
    "request_bytes": "%BYTES_RECEIVED%",
    "response_bytes": "%BYTES_SENT%",
    "traceparent": "%REQ(TRACEPARENT):55%",
}

OK = accesslog_pb2.GrpcStatusFilter.OK


# Of the PROXY protocol. What a caller claims in x-forwarded-for is removed before, and would stand here too.
_TOLD_BY_LOAD_BALANCER = "%DOWNSTREAM_REMOTE_ADDRESS%"


def access_log(options: AccessLogSettings, *, proxy_protocol: bool = False) -> Any:
    """`proxy_protocol` says that connections come from a load balancer, which tells whose they are."""
    line = struct_pb2.Struct()
    line.update({**FIELDS, **({"client": _TOLD_BY_LOAD_BALANCER} if proxy_protocol else {})})
    sink = stream_pb2.StdoutAccessLog(
        log_format=substitution_format_string_pb2.SubstitutionFormatString(json_format=line)
    )
    return accesslog_pb2.AccessLog(
        name="envoy.access_loggers.stdout", filter=_filter(options), typed_config=packed(sink)
    )


def _filter(options: AccessLogSettings) -> Any:
    match options.logged:
        case Logged.FAILURES:
            # A call that its caller gave up has no status, and counts as one that is not OK.
            return accesslog_pb2.AccessLogFilter(
                grpc_status_filter=accesslog_pb2.GrpcStatusFilter(statuses=[OK], exclude=True)
            )
        case Logged.SAMPLED:
            return accesslog_pb2.AccessLogFilter(
                runtime_filter=accesslog_pb2.RuntimeFilter(
                    runtime_key="grpc_lb.access_log",
                    percent_sampled=fraction(options.percent),
                    use_independent_randomness=True,
                )
            )
        case Logged.ALL:
            return None
