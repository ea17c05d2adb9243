"""A policy's part in Envoy's clusters: balancing, circuit breakers, ejection, health checks."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from envoy.config.cluster.v3 import circuit_breaker_pb2, cluster_pb2, outlier_detection_pb2
from envoy.config.core.v3 import base_pb2, health_check_pb2
from envoy.type.v3 import percent_pb2

from grpc_lb_contract import Balancing, HealthCheck, Limits, Method, OutlierDetection, Retry
from grpc_lb_contract.policy.sections.outlier_detection import SUCCESS_RATE_MIN_TARGETS
from proxy_image.control_plane.xds.messages import boolean, duration, uint32
from proxy_image.envoy.shared_values import NO_LIMIT

Cluster = cluster_pb2.Cluster

# Ejections in a row last longer, up to this many times the first, so that a target that is back serves soon.
MAX_EJECTION_TIMES = 10

METHODS = {
    Method.ROUND_ROBIN: Cluster.ROUND_ROBIN,
    Method.LEAST_REQUEST: Cluster.LEAST_REQUEST,
    Method.RANDOM: Cluster.RANDOM,
    Method.RING_HASH: Cluster.RING_HASH,
    Method.MAGLEV: Cluster.MAGLEV,
}


def set_balancing(message: Any, balancing: Balancing) -> None:
    message.lb_policy = METHODS[balancing.method]
    if balancing.method is Method.LEAST_REQUEST:
        message.least_request_lb_config.active_request_bias.CopyFrom(
            base_pb2.RuntimeDouble(
                default_value=balancing.active_request_bias, runtime_key="grpc_lb.active_request_bias"
            )
        )
    if balancing.slow_start is not None:
        options = {
            Method.ROUND_ROBIN: message.round_robin_lb_config,
            Method.LEAST_REQUEST: message.least_request_lb_config,
        }[balancing.method]
        options.slow_start_config.CopyFrom(
            # From Envoy's 10 % on, in proportion to the time.
            Cluster.SlowStartConfig(slow_start_window=seconds(balancing.slow_start))
        )


def circuit_breakers(limits: Limits, retry: Retry) -> Any:
    thresholds = circuit_breaker_pb2.CircuitBreakers.Thresholds
    return circuit_breaker_pb2.CircuitBreakers(
        thresholds=[
            thresholds(
                max_connections=uint32(limits.connections or NO_LIMIT),
                max_pending_requests=uint32(limits.pending or NO_LIMIT),
                max_requests=uint32(limits.requests or NO_LIMIT),
                retry_budget=thresholds.RetryBudget(
                    budget_percent=percent_pb2.Percent(value=retry.budget_percent),
                    min_retry_concurrency=uint32(retry.budget_min_concurrency),
                ),
            )
        ],
        # Envoy has no other limit for each target.
        per_host_thresholds=[]
        if limits.connections_per_target is None
        else [thresholds(max_connections=uint32(limits.connections_per_target))],
    )


def outlier_detection(ejection: OutlierDetection) -> Any:
    # By failures to reach a host, and by answers only on request. Envoy maps gRPC statuses to HTTP's, where
    # UNIMPLEMENTED counts as 501, so that a client that calls a method which is not there would eject healthy tasks
    # (envoy#8228). A gateway failure is 502 to 504: UNAVAILABLE and DEADLINE_EXCEEDED.
    return outlier_detection_pb2.OutlierDetection(
        split_external_local_origin_errors=True,
        consecutive_local_origin_failure=uint32(ejection.consecutive_connect_failures),
        enforcing_consecutive_local_origin_failure=uint32(100),
        enforcing_local_origin_success_rate=uint32(0),
        consecutive_5xx=_count(ejection.consecutive_errors),
        enforcing_consecutive_5xx=_enforced(ejection.consecutive_errors is not None),
        consecutive_gateway_failure=_count(ejection.consecutive_gateway_failures),
        enforcing_consecutive_gateway_failure=_enforced(ejection.consecutive_gateway_failures is not None),
        enforcing_success_rate=_enforced(ejection.success_rate),
        success_rate_minimum_hosts=uint32(SUCCESS_RATE_MIN_TARGETS) if ejection.success_rate else None,
        success_rate_request_volume=uint32(ejection.success_rate_min_calls) if ejection.success_rate else None,
        interval=seconds(ejection.base_ejection_time),
        base_ejection_time=seconds(ejection.base_ejection_time),
        max_ejection_time=seconds(MAX_EJECTION_TIMES * ejection.base_ejection_time),
        max_ejection_percent=uint32(ejection.max_ejection_percent),
        always_eject_one_host=boolean(False),
    )


def health_checks(check: HealthCheck) -> tuple[Any, ...]:
    if not check.enabled:
        return ()
    return (
        health_check_pb2.HealthCheck(
            timeout=seconds(check.timeout),
            interval=seconds(check.interval),
            # Where no call has come yet Envoy asks once a minute, unless told otherwise.
            no_traffic_interval=seconds(check.interval),
            unhealthy_threshold=uint32(check.unhealthy_threshold),
            healthy_threshold=uint32(check.healthy_threshold),
            grpc_health_check=health_check_pb2.HealthCheck.GrpcHealthCheck(service_name=check.service or ""),
        ),
    )


def seconds(time: timedelta) -> Any:
    return duration(time.total_seconds())


def _count(number: int | None) -> Any:
    return None if number is None else uint32(number)


def _enforced(switched_on: bool) -> Any:
    return uint32(100 if switched_on else 0)
