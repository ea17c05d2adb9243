"""Settings of a service that a client cannot follow, because gRPC cannot, or that client's language or version."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from grpc_lb_contract import Method, Service, TrafficPolicy
from grpc_lb_contract.policy.traffic_policy import DEFAULTS
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind, Feature

# gRPC's own limit of tries, the first one included (gRFC A6).
MAX_ATTEMPTS = 5

_OWN_RETRIES = "without retry.on, gRPC retries only calls that no server has seen, by rules of its own (gRFC A6)"


@dataclass(frozen=True, slots=True, order=True)
class Unfollowed:
    """`client` is a kind of client: "Python 1.85.1"."""

    service: str
    label: str
    client: str
    problem: str


def unfollowed(service: str, policy: TrafficPolicy, kind: ClientKind) -> Iterator[Unfollowed]:
    for label, problem in _problems(policy, kind.features):
        yield Unfollowed(service, f"grpc-lb.{label}", kind.name, problem)


def unfollowed_of_routes(service: Service, kind: ClientKind) -> Iterator[Unfollowed]:
    """What a service's routes say that the client cannot follow."""
    for overrides in {route.overrides for route in service.routes}:
        policy, _ = overrides.over(service.policy)
        own = overrides.to_settings()
        for label, problem in _problems(policy, kind.features):
            if label in own:
                yield Unfollowed(service.name, f"grpc-lb.routes.NAME.{label}", kind.name, problem)
    for key in {condition.key for route in service.routes for condition in route.metadata if is_unseen(condition.key)}:
        problem = f"a condition on {key} is one on metadata that no call has: {_UNSEEN}"
        yield Unfollowed(service.name, "grpc-lb.metadata", kind.name, problem)


_UNSEEN = "gRPC chooses a target before it adds metadata of its own, and by no binary metadata (gRFC A28, A42)"


def is_unseen(key: str) -> bool:
    """Whether Envoy sees metadata that a client does not when it chooses a route and a target."""
    return key.endswith("-bin") or key in {"te", "user-agent"}


def _problems(policy: TrafficPolicy, features: frozenset[Feature]) -> Iterator[tuple[str, str]]:
    yield from _balancing(policy, features)
    yield from _limits(policy)
    yield from _calls(policy, features)
    outlier, plain = policy.outlier_detection, DEFAULTS.outlier_detection
    by_answers = outlier.success_rate or outlier.consecutive_errors is not None
    if by_answers and Feature.OUTLIER not in features:
        yield "outlier", "no target is ejected for its answers: the client does not know gRFC A50"
    elif outlier.consecutive_errors is not None:
        yield (
            "outlier.consecutive-errors",
            "a target is ejected once all of at least so many calls in an interval failed, with any status",
        )
    if outlier.consecutive_gateway_failures is not None:
        yield "outlier.consecutive-gateway-failures", "gRPC ejects by success rate and failure percentage alone"
    if outlier.consecutive_connect_failures != plain.consecutive_connect_failures:
        yield "outlier.consecutive-connect-failures", "a client skips a target while it cannot connect to it"
    if not by_answers:
        for name in ("base_ejection_time", "max_ejection_percent"):
            if getattr(outlier, name) != getattr(plain, name):
                yield f"outlier.{name.replace('_', '-')}", "a client ejects no target without outlier.success-rate true"
    if policy.health_check.enabled:
        yield "health-check", "the client asks no target for its health: ECS decides"
    if policy.mirror.service is not None:
        yield "mirror.service", "no call is copied"
    if policy.tls.enabled:
        yield "tls", "the client goes by TLS where its channel's credentials say so"


def _balancing(policy: TrafficPolicy, features: frozenset[Feature]) -> Iterator[tuple[str, str]]:
    balancing = policy.balancing
    if balancing.metadata_key is not None:
        if Feature.RING_HASH not in features:
            yield "balancing", "targets take calls in turn: the client does not know ring-hash (gRFC A42)"
        elif balancing.method is Method.MAGLEV:
            yield "balancing", "ring-hash takes the place of maglev"
        if Feature.RING_HASH in features and is_unseen(balancing.metadata_key):
            yield "balancing.metadata-key", f"targets take calls by chance: {_UNSEEN}"
    elif balancing.method is Method.RANDOM:
        yield "balancing", "targets take calls in turn: gRPC has no random"
    elif balancing.method is Method.LEAST_REQUEST and Feature.LEAST_REQUEST not in features:
        yield "balancing", "targets take calls in turn: the client does not know least-request (gRFC A48)"
    elif balancing.active_request_bias != DEFAULTS.balancing.active_request_bias:
        yield "balancing.active-request-bias", "gRPC's least-request has no bias (gRFC A48)"
    if balancing.slow_start is not None:
        yield "balancing.slow-start", "a new target takes its full share at once"


def _limits(policy: TrafficPolicy) -> Iterator[tuple[str, str]]:
    limits = policy.limits
    for name, value in (
        ("pending", limits.pending),
        ("connections", limits.connections),
        ("connections-per-target", limits.connections_per_target),
    ):
        if value is not None:
            yield f"limits.{name}", "gRPC limits the calls of a client alone (gRFC A32)"
    if policy.rate_limit.calls_per_second is not None:
        yield "rate-limit.calls-per-second", "gRPC has no rate limit"


def _calls(policy: TrafficPolicy, features: frozenset[Feature]) -> Iterator[tuple[str, str]]:
    retry, deadline, fault = policy.retry, policy.deadline, policy.fault
    if deadline.default is not None:
        yield "deadline.default", "a call without a deadline gets none: gRPC takes the shorter of two alone (gRFC A31)"
    if deadline.max is not None and Feature.TIMEOUT not in features:
        yield "deadline.max", "calls may take longer: the client does not know gRFC A31"
    elif deadline.max is not None and Feature.EARLY_TIMEOUT in features:
        yield "deadline.max", "calls may take up to 1 s longer: the client starts counting too early (grpc/grpc#34547)"
    if retry.on and Feature.RETRY not in features:
        yield "retry.on", "nothing is retried: the client does not know gRFC A44"
    elif retry.on and retry.max_retries >= MAX_ATTEMPTS:
        yield "retry.max-retries", f"gRPC makes {MAX_ATTEMPTS} tries at most"
    plain = DEFAULTS.retry
    for name, is_followed, problem in (
        ("max_retries", bool(retry.on), _OWN_RETRIES),
        ("base_backoff", bool(retry.on), _OWN_RETRIES),
        ("budget_percent", False, "gRPC has no budget of retries"),
        ("budget_min_concurrency", False, "gRPC has no budget of retries"),
    ):
        if not is_followed and getattr(retry, name) != getattr(plain, name):
            yield f"retry.{name.replace('_', '-')}", problem
    if retry.per_try_timeout is not None:
        yield "retry.per-try-timeout", "a try may take as long as the call"
    if (fault.delay is not None or fault.abort is not None) and Feature.FAULT not in features:
        yield "fault", "no fault is injected: the client does not know gRFC A33"
