"""A policy's part in Envoy's routes: hashing, retries, time limits, rate limits, faults."""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import base_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.common.fault.v3 import fault_pb2 as common_fault_pb2
from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.http.local_ratelimit.v3 import local_rate_limit_pb2
from envoy.extensions.retry.host.previous_hosts.v3 import previous_hosts_pb2
from envoy.extensions.retry.priority.previous_priorities.v3 import previous_priorities_config_pb2
from envoy.type.v3 import percent_pb2, token_bucket_pb2

from grpc_lb_contract import Balancing, Fault, ForwardedHeaders, RateLimit, Retry, TrafficPolicy
from grpc_lb_contract.policy.traffic_policy import DEFAULTS
from proxy_image.control_plane.xds.envoy import grpc_web
from proxy_image.control_plane.xds.envoy.cluster_policy import seconds
from proxy_image.control_plane.xds.messages import duration, fraction, packed, uint32

# Only where the server cannot have seen the call (invariant 9), unless the service asks for more:
# https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/http/http_filters/router_filter#x-envoy-retry-on
RETRY_ON = "connect-failure,refused-stream,reset-before-request"
# A try that has run out of time is a reset to Envoy.
RETRY_ON_RUN_OUT = "reset"
# Envoy keeps what it has of a request until a response begins, to send it again to another target. A call that is
# larger is not retried, and while a connection is being made Envoy reads on (default: a stream's window, 256 KiB).
MAX_RETRIED_BYTES = 2**20
OTHER_HOST_ATTEMPTS = 5
MAX_BACK_OFF_TIMES = 10

RATE_LIMIT_FILTER = "envoy.filters.http.local_ratelimit"
FAULT_FILTER = "envoy.filters.http.fault"


# As the best known reverse proxies write them:
# https://doc.traefik.io/traefik/v3.6/reference/install-configuration/entrypoints/#forwarded-headers
_FORWARDED = (
    *("for", "host", "method", "port", "prefix", "proto", "scheme", "server", "tls-client-cert"),
    *("tls-client-cert-info", "uri"),
)
FORWARDED = (*(f"x-forwarded-{what}" for what in _FORWARDED), "x-real-ip", "x-scheme")


def hash_policies(balancing: Balancing) -> tuple[Any, ...]:
    if balancing.metadata_key is None:
        return ()
    policy = route_components_pb2.RouteAction.HashPolicy
    return (policy(header=policy.Header(header_name=balancing.metadata_key)),)


def retry_policy(retry: Retry, *, leaving_the_zone: bool = False) -> Any:
    policy = route_components_pb2.RetryPolicy
    asked_for = sorted(status.value.lower().replace("_", "-") for status in retry.on)
    run_out = (RETRY_ON_RUN_OUT,) if retry.per_try_timeout is not None else ()
    return policy(
        retry_on=",".join((RETRY_ON, *run_out, *asked_for)),
        num_retries=uint32(retry.max_retries),
        per_try_timeout=None if retry.per_try_timeout is None else seconds(retry.per_try_timeout),
        retry_host_predicate=[
            policy.RetryHostPredicate(
                name="envoy.retry_host_predicates.previous_hosts",
                typed_config=packed(previous_hosts_pb2.PreviousHostsPredicate()),
            )
        ],
        # Not every target of a zone that is lost has been ejected yet: a retry goes to the other zones.
        retry_priority=policy.RetryPriority(
            name="envoy.retry_priorities.previous_priorities",
            typed_config=packed(previous_priorities_config_pb2.PreviousPrioritiesConfig(update_frequency=1)),
        )
        if leaving_the_zone
        else None,
        host_selection_retry_max_attempts=OTHER_HOST_ATTEMPTS,
        retry_back_off=policy.RetryBackOff(
            base_interval=seconds(retry.base_backoff), max_interval=seconds(MAX_BACK_OFF_TIMES * retry.base_backoff)
        ),
    )


def own_retry_policy(policy: TrafficPolicy) -> Any:
    """None where the policy on the virtual host will do."""
    leaving = policy.balancing.prefer_zone
    return (
        retry_policy(policy.retry, leaving_the_zone=leaving) if leaving or _is_retried_otherwise(policy.retry) else None
    )


def _is_retried_otherwise(retry: Retry) -> bool:
    """Whether a route needs a policy of its own beside the one on its virtual host. The budget is the cluster's."""
    if retry == DEFAULTS.retry:  # as most
        return False
    budget = {"budget_percent": retry.budget_percent, "budget_min_concurrency": retry.budget_min_concurrency}
    return retry != Retry(**budget)  # type: ignore[arg-type]  # each under its own name


def removed_headers(forwarded: ForwardedHeaders) -> tuple[str, ...]:
    """Some servers take _ for -, so both are gone."""
    if not forwarded.strip:
        return ()
    return tuple(spelling for name in FORWARDED for spelling in (name, name.replace("-", "_")))


def filters(policy: TrafficPolicy) -> dict[str, Any]:
    """Configurations of the filters that are in the listener and off: a route that has one switches it on."""
    found = {}
    if policy.rate_limit.calls_per_second is not None:
        found[RATE_LIMIT_FILTER] = _rate_limit(policy.rate_limit, policy.rate_limit.calls_per_second)
    if policy.fault.delay is not None or policy.fault.abort is not None:
        found[FAULT_FILTER] = _fault(policy.fault)
    switched_on = {name: packed(route_components_pb2.FilterConfig(config=packed(found[name]))) for name in found}
    return {**grpc_web.web_filters(policy.web), **switched_on}


# One bucket for each route, new with each change of the routes: the filter's bucket of a whole service would stand in
# the listener, and Envoy 1.40 has no such filter for clusters.
def _rate_limit(limit: RateLimit, calls_per_second: int) -> Any:
    always = base_pb2.RuntimeFractionalPercent(default_value=percent_pb2.FractionalPercent(numerator=100))
    return local_rate_limit_pb2.LocalRateLimit(
        stat_prefix="rate_limit",
        token_bucket=token_bucket_pb2.TokenBucket(
            max_tokens=limit.burst or calls_per_second,
            tokens_per_fill=uint32(calls_per_second),
            fill_interval=duration(1),
        ),
        filter_enabled=always,
        filter_enforced=always,
        rate_limited_as_resource_exhausted=True,
    )


def _fault(fault: Fault) -> Any:
    message = fault_pb2.HTTPFault(disable_downstream_cluster_stats=True)
    if fault.delay is not None:
        message.delay.CopyFrom(
            common_fault_pb2.FaultDelay(fixed_delay=seconds(fault.delay), percentage=fraction(fault.delay_percent))
        )
    if fault.abort is not None:
        message.abort.CopyFrom(
            fault_pb2.FaultAbort(grpc_status=fault.abort.code, percentage=fraction(fault.abort_percent))
        )
    return message


def listener_filters() -> tuple[tuple[str, Any], ...]:
    """What the listener must have so that routes can switch it on: a listener that changes would end connections."""
    return (
        *grpc_web.listener_filters(),
        (RATE_LIMIT_FILTER, local_rate_limit_pb2.LocalRateLimit(stat_prefix="rate_limit")),
        (FAULT_FILTER, fault_pb2.HTTPFault(disable_downstream_cluster_stats=True)),
    )
