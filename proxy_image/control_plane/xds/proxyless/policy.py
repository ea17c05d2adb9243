"""A policy in the words of gRPC's xDS: each part as far as the client can follow it, and nothing that is not asked for.

Each part that is there costs every call something, and one that a client does not know may make it reject the answer.
"""

from __future__ import annotations

import zlib
from datetime import timedelta
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import extension_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.load_balancing_policies.least_request.v3 import least_request_pb2
from envoy.extensions.load_balancing_policies.round_robin.v3 import round_robin_pb2
from envoy.extensions.load_balancing_policies.wrr_locality.v3 import wrr_locality_pb2

from grpc_lb_contract import Balancing, Deadline, Fault, Limits, Method, OutlierDetection, Retry
from grpc_lb_contract.policy.sections.outlier_detection import SUCCESS_RATE_MIN_TARGETS
from proxy_image.control_plane.xds.envoy.cluster_policy import MAX_EJECTION_TIMES, seconds
from proxy_image.control_plane.xds.envoy.route_policy import FAULT_FILTER, MAX_BACK_OFF_TIMES
from proxy_image.control_plane.xds.messages import fraction, packed, uint32
from proxy_image.control_plane.xds.proxyless.client_kind import Feature
from proxy_image.envoy.shared_values import NO_LIMIT

Features = frozenset[Feature]

# C-core takes a call's start for 1 s plus the fraction of a second at which the process began earlier than it was.
MAX_EARLY = timedelta(seconds=2)

# gRPC ejects a target whose failures are more than this share, so that all but all of its calls must have failed.
FAILED_PERCENT = 99

# In thousandths: 1.9 standard deviations, Envoy's and gRPC's default.
SUCCESS_RATE_STDEV_FACTOR = 1900

UNREACHED_FAULTS = 1_000_000_000


def retry_policy(retry: Retry, features: Features) -> Any:
    """None where no status is retried: calls that no server saw are retried by gRPC itself (gRFC A6)."""
    if Feature.RETRY not in features or not retry.on or not retry.max_retries:
        return None
    policy = route_components_pb2.RetryPolicy
    return policy(
        retry_on=",".join(sorted(status.value.lower().replace("_", "-") for status in retry.on)),
        num_retries=uint32(retry.max_retries),
        retry_back_off=policy.RetryBackOff(
            base_interval=seconds(retry.base_backoff), max_interval=seconds(MAX_BACK_OFF_TIMES * retry.base_backoff)
        ),
    )


def max_stream_duration(deadline: Deadline, features: Features) -> Any:
    """gRPC takes the shorter of this and the caller's deadline (gRFC A31), which is a ceiling and no default."""
    if Feature.TIMEOUT not in features or deadline.max is None:
        return None
    late = MAX_EARLY if Feature.EARLY_TIMEOUT in features else timedelta()
    return route_components_pb2.RouteAction.MaxStreamDuration(max_stream_duration=seconds(deadline.max + late))


def hash_policies(balancing: Balancing, features: Features) -> tuple[Any, ...]:
    if balancing.metadata_key is None or Feature.RING_HASH not in features:
        return ()
    policy = route_components_pb2.RouteAction.HashPolicy
    return (policy(header=policy.Header(header_name=balancing.metadata_key)),)


def fault_filters(fault: Fault, features: Features) -> dict[str, Any]:
    if Feature.FAULT not in features or (fault.delay is None and fault.abort is None):
        return {}
    message = fault_pb2.HTTPFault(max_active_faults=uint32(_unreached(fault)))
    if fault.delay is not None:
        message.delay.CopyFrom(
            common_fault_pb2.FaultDelay(fixed_delay=seconds(fault.delay), percentage=fraction(fault.delay_percent))
        )
    if fault.abort is not None:
        message.abort.CopyFrom(
            fault_pb2.FaultAbort(grpc_status=fault.abort.code, percentage=fraction(fault.abort_percent))
        )
    return {FAULT_FILTER: packed(message)}


def _unreached(fault: Fault) -> int:
    """Another number for other percentages: C-core 58 takes faults that differ in nothing else for the same ones."""
    percentages = f"{fault.abort_percent} {fault.delay_percent}".encode()
    return UNREACHED_FAULTS + zlib.crc32(percentages) % UNREACHED_FAULTS


def set_balancing(cluster: Any, balancing: Balancing, features: Features) -> None:
    if balancing.metadata_key is not None and Feature.RING_HASH in features:
        cluster.lb_policy = cluster_pb2.Cluster.RING_HASH
        return
    cluster.lb_policy = cluster_pb2.Cluster.ROUND_ROBIN
    if balancing.method is Method.LEAST_REQUEST and Feature.POLICY_LIST in features:
        cluster.load_balancing_policy.CopyFrom(
            _first_of(
                wrr_locality_pb2.WrrLocality(
                    endpoint_picking_policy=_first_of(least_request_pb2.LeastRequest(), round_robin_pb2.RoundRobin())
                )
            )
        )


def circuit_breakers(limits: Limits) -> Any:
    # gRPC's own limit of 1,024 calls (gRFC A32) is there unless another is.
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[thresholds(max_requests=uint32(limits.requests or NO_LIMIT))]
    )


def outlier_detection(ejection: OutlierDetection, features: Features) -> Any:
    """None where only failures to reach a target count: each balancing policy passes over what it cannot connect to."""
    by_failures = ejection.consecutive_errors
    if Feature.OUTLIER not in features or not (ejection.success_rate or by_failures):
        return None
    return outlier_detection_pb2.OutlierDetection(
        interval=seconds(ejection.base_ejection_time),
        base_ejection_time=seconds(ejection.base_ejection_time),
        max_ejection_time=seconds(MAX_EJECTION_TIMES * ejection.base_ejection_time),
        max_ejection_percent=uint32(ejection.max_ejection_percent),
        enforcing_success_rate=uint32(100 if ejection.success_rate else 0),
        # Node 1.14 has no default for it.
        success_rate_stdev_factor=uint32(SUCCESS_RATE_STDEV_FACTOR),
        success_rate_minimum_hosts=uint32(SUCCESS_RATE_MIN_TARGETS),
        success_rate_request_volume=uint32(ejection.success_rate_min_calls),
        enforcing_failure_percentage=uint32(100 if by_failures else 0),
        failure_percentage_threshold=uint32(FAILED_PERCENT),
        failure_percentage_minimum_hosts=uint32(2),
        failure_percentage_request_volume=uint32(by_failures or 0),
    )


def _first_of(*policies: Any) -> Any:
    made = cluster_pb2.LoadBalancingPolicy
    return made(
        policies=[
            made.Policy(
                typed_extension_config=extension_pb2.TypedExtensionConfig(
                    name=policy.DESCRIPTOR.full_name, typed_config=packed(policy)
                )
            )
            for policy in policies
        ]
    )
