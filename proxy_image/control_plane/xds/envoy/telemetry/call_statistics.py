"""Envoy's counts of calls by service, gRPC status and method, and how long they took: as callers saw them.

Made by the access logger that writes no log but statistics. It costs less than the filter `grpc_stats`, which takes
each message apart (docs/operate/tracing.md has the figures), it sees calls that never reached a target too, and it
holds so many series and no more, whatever clients and servers send.
https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/extensions/access_loggers/stats/v3/stats.proto
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from envoy.config.accesslog.v3 import accesslog_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.access_loggers.stats.v3 import stats_pb2
from envoy.type.matcher.v3 import string_pb2
from google.protobuf import wrappers_pb2

from proxy_image.control_plane.xds.envoy.grpc_web import GRPC
from proxy_image.control_plane.xds.messages import packed, with_stats_scope
from proxy_image.envoy.shared_values import CALLS_STATISTICS, METHODS_STATISTICS
from proxy_image.telemetry import CallStatistics

# Of each kind. A service has as many as there are statuses that its calls end with: 20,000 are 1,000 services and more.
MAX_OF_SERVICES = 20_000
# Methods are what clients say they are: where there are more, those that came first are counted.
MAX_OF_METHODS = 1_000
MAX_METHOD = 128

# A status that gRPC does not know. A server may make up as many as it likes, and each would be a series of its own.
OTHER = "other"

_SERVICE = "%UPSTREAM_CLUSTER_RAW%"
_METHOD = f"%REQ(:PATH):{MAX_METHOD}%"
_STATUS = "%GRPC_STATUS_NUMBER%"
# Whole milliseconds. Finer ones there are only of calls that a target answered, and Envoy logs an error for each other.
_DURATION = "%DURATION%"
# To Envoy, a call is UNKNOWN too that was cut short and has no status, as its flags say.
_UNKNOWN_WITH_FLAGS = "2/%RESPONSE_FLAGS%"
_UNKNOWN = accesslog_pb2.GrpcStatusFilter.UNKNOWN
_KNOWN = tuple(status for status in accesslog_pb2.GrpcStatusFilter.Status.values() if status != _UNKNOWN)

# Browsers' preflights, and requests that are no gRPC at all, are no calls.
_IS_CALL = accesslog_pb2.AccessLogFilter(
    header_filter=accesslog_pb2.HeaderFilter(
        header=route_components_pb2.HeaderMatcher(
            name="content-type", string_match=string_pb2.StringMatcher(prefix=GRPC)
        )
    )
)

Config = stats_pb2.Config


def call_statistics(kind: CallStatistics) -> Iterator[Any]:
    yield from _loggers(CALLS_STATISTICS, {"service": _SERVICE}, MAX_OF_SERVICES)
    if kind is CallStatistics.METHODS:
        yield from _loggers(METHODS_STATISTICS, {"service": _SERVICE, "method": _METHOD}, MAX_OF_METHODS)


def _loggers(prefix: str, tags: dict[str, str], most: int) -> Iterator[Any]:
    of_call = [Config.Tag(name=name, value_format=value) for name, value in tags.items()]

    def logger(status: str, *statuses: Any, exclude: bool = False) -> Any:
        tagged = [*of_call, Config.Tag(name="status", value_format=status)]
        ended = Config.Counter(
            stat=Config.Stat(name="ended", tags=tagged), value_fixed=wrappers_pb2.UInt64Value(value=1)
        )
        duration = Config.Histogram(
            stat=Config.Stat(name="duration_ms", tags=of_call),
            unit=Config.Histogram.Milliseconds,
            value_format=_DURATION,
        )
        options = with_stats_scope(Config(counters=[ended], histograms=[duration]), prefix, most)
        return accesslog_pb2.AccessLog(
            name="envoy.access_loggers.stats",
            filter=accesslog_pb2.AccessLogFilter(
                and_filter=accesslog_pb2.AndFilter(
                    filters=[
                        accesslog_pb2.AccessLogFilter(
                            grpc_status_filter=accesslog_pb2.GrpcStatusFilter(statuses=statuses, exclude=exclude)
                        ),
                        _IS_CALL,
                    ]
                )
            ),
            typed_config=packed(options),
        )

    yield logger(_STATUS, *_KNOWN)
    yield logger(_UNKNOWN_WITH_FLAGS, _UNKNOWN)
    yield logger(OTHER, _UNKNOWN, *_KNOWN, exclude=True)
