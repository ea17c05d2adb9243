"""Envoy's tracing: OpenTelemetry, the span of the balancer between the caller's and the server's.

https://www.envoyproxy.io/docs/envoy/v1.40.0/api-v3/config/trace/v3/opentelemetry.proto
"""

from __future__ import annotations

from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2, extension_pb2, grpc_service_pb2
from envoy.config.trace.v3 import http_tracer_pb2, opentelemetry_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.http.early_header_mutation.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.request_id.uuid.v3 import uuid_pb2
from envoy.extensions.tracers.opentelemetry.resource_detectors.v3 import static_config_resource_detector_pb2
from envoy.extensions.tracers.opentelemetry.samplers.v3 import (
    parent_based_sampler_pb2,
    trace_id_ratio_based_sampler_pb2,
)
from envoy.type.tracing.v3 import custom_tag_pb2

from proxy_image.control_plane.xds.messages import boolean, duration, fraction, packed
from proxy_image.envoy.shared_values import TRACE_COLLECTOR_CLUSTER
from proxy_image.telemetry import TracingSettings

Hcm = http_connection_manager_pb2.HttpConnectionManager

# A collector that takes no data costs Envoy what is kept for it, no call.
EXPORT_SECONDS = 5.0

# What a caller chooses is cut short: collectors refuse more than 4 MiB at once, and with it the spans of other callers.
_MAX_TEXT = 255
# The name of a span, as OpenTelemetry's conventions for RPC have it, but for the slash before it.
_METHOD = f"%REQ(:PATH):{_MAX_TEXT}%"
# Attributes that Envoy makes of whole headers.
_OF_HEADERS = {
    "user_agent": "USER-AGENT",
    "grpc.path": ":PATH",
    "grpc.authority": ":AUTHORITY",
    "grpc.content_type": "CONTENT-TYPE",
    "grpc.timeout": "GRPC-TIMEOUT",
}
# What Envoy writes into spans as it came.
_IN_SPANS = (
    *_OF_HEADERS.values(),
    "X-REQUEST-ID",
    "X-CLIENT-TRACE-ID",
    "X-ENVOY-DOWNSTREAM-SERVICE-CLUSTER",
)
_ALL_IN_SPANS = "x-grpc-lb-in-spans"
_PRINTABLE = "^[ -~]*$"
_UNSAMPLED = f"00-{1:032x}-{1:016x}-00"


def traced(manager: Any, tracing: TracingSettings) -> None:
    """Puts the balancer's spans into the traces of its calls: one for the call, and one for each try at a target."""
    tracer = opentelemetry_pb2.OpenTelemetryConfig(
        grpc_service=grpc_service_pb2.GrpcService(
            envoy_grpc=grpc_service_pb2.GrpcService.EnvoyGrpc(cluster_name=TRACE_COLLECTOR_CLUSTER),
            timeout=duration(EXPORT_SECONDS),
        ),
        service_name=tracing.service_name,
        sampler=_extension(
            "envoy.tracers.opentelemetry.samplers.parent_based",
            parent_based_sampler_pb2.ParentBasedSamplerConfig(
                wrapped_sampler=_extension(
                    "envoy.tracers.opentelemetry.samplers.trace_id_ratio_based",
                    trace_id_ratio_based_sampler_pb2.TraceIdRatioBasedSamplerConfig(
                        sampling_percentage=fraction(tracing.percent)
                    ),
                )
            ),
        ),
    )
    if tracing.attributes.pairs:
        static = static_config_resource_detector_pb2.StaticConfigResourceDetectorConfig(
            attributes=dict(tracing.attributes.pairs)
        )
        tracer.resource_detectors.append(
            _extension("envoy.tracers.opentelemetry.resource_detectors.static_config", static)
        )
    manager.tracing.CopyFrom(
        Hcm.Tracing(
            provider=http_tracer_pb2.Tracing.Http(name="envoy.tracers.opentelemetry", typed_config=packed(tracer)),
            # The kinds are then server and client, as a caller and a server see the balancer.
            spawn_upstream_span=boolean(True),
            operation=_METHOD,
            upstream_operation=_METHOD,
            custom_tags=[
                custom_tag_pb2.CustomTag(tag=tag, value=f"%REQ({header}):{_MAX_TEXT}%")
                for tag, header in _OF_HEADERS.items()
            ],
        )
    )
    manager.early_header_mutation_extensions.append(_without_odd_calls())
    # The sampler decides, by the trace's own id: Envoy would else decide by a request id, and trace no call without.
    manager.request_id_extension.typed_config.CopyFrom(
        packed(
            uuid_pb2.UuidRequestIdConfig(
                pack_trace_reason=boolean(False), use_request_id_for_trace_sampling=boolean(False)
            )
        )
    )


def _without_odd_calls() -> Any:
    """Calls with anything but printable ASCII where spans would have it count as ones that their caller does not trace.

    That is so for what a caller sends. Of what a server sends, only `grpc-message` is in spans.

    OTLP's texts are UTF-8, and a collector refuses a bundle with one that is not, whosever spans it has beside it. gRPC
    allows nothing else in a path or metadata, and what is UTF-8 may not be so any more once it is cut short.
    https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
    """
    # CEL takes long to find a header: it is asked for one, which all are written into before and which goes afterwards.
    # Of a header that is there twice, this has the first, which is all that Envoy takes of each but tracestate.
    odd = f"!request.headers['{_ALL_IN_SPANS}'].matches('{_PRINTABLE}')"
    odd += f" || ('tracestate' in request.headers && !request.headers['tracestate'].matches('{_PRINTABLE}'))"
    return _extension(
        "envoy.http.early_header_mutation.header_mutation",
        header_mutation_pb2.HeaderMutation(
            mutations=[
                _set_header(_ALL_IN_SPANS, "".join(f"%REQ({header})%" for header in _IN_SPANS)),
                _set_header("traceparent", f"%CEL({odd} ? '{_UNSAMPLED}' : '')%"),  # an empty text sets nothing
                mutation_rules_pb2.HeaderMutation(remove=_ALL_IN_SPANS),
            ]
        ),
    )


def _set_header(name: str, value: str) -> mutation_rules_pb2.HeaderMutation:
    return mutation_rules_pb2.HeaderMutation(
        append=base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key=name, value=value),
            append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
    )


def _extension(name: str, options: Any) -> Any:
    return extension_pb2.TypedExtensionConfig(name=name, typed_config=packed(options))
