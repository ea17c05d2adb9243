"""A service's policy as a person would tell it: what its owner chose, and what holds where nothing was chosen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta

from grpc_lb_contract import (
    Balancing,
    Deadline,
    Fault,
    HealthCheck,
    Limits,
    Method,
    Mirror,
    OutlierDetection,
    RateLimit,
    Retry,
    Route,
    Tls,
    TlsVerify,
    TrafficPolicy,
    Web,
)
from grpc_lb_contract.policy.traffic_policy import TABLE, PolicySetting
from grpc_lb_contract.policy.value_types import ConflictError, PolicySection

DEFAULT = (
    "Nothing was chosen: each target in turn; calls are retried only where no server can have seen them; the "
    "callers' own deadlines; no limits; a target that cannot be reached twice in a row is ejected for 1 s or more."
)


def policy_words(policy: TrafficPolicy) -> tuple[str, ...]:
    """What its owner chose, in phrases; none where all is at its default. Each choice changes a phrase or adds one."""
    return tuple(phrase for section in _chosen(policy) for phrase in section)


def _chosen(policy: TrafficPolicy) -> Iterator[Iterator[str]]:
    chosen: dict[str, list[PolicySetting]] = {}
    for row in TABLE:
        if row.value_in(policy) != row.default:
            chosen.setdefault(row.part, []).append(row)
    for name, rows in chosen.items():
        section = getattr(policy, name)
        words = _WORDS.get(name)
        if words is None:
            yield _plain(section, rows)
        else:
            yield words(section)
            yield _plain(section, [row for row in rows if not _tells(words, section, row)])


def _tells(words: Callable[..., Iterator[str]], section: PolicySection, row: PolicySetting) -> bool:
    """Whether the section's words depend on a setting. One that only the contract knows is told by its label."""
    if row.name == "enabled":
        return True  # without it there would be no words
    try:
        without = replace(section, **{row.name: row.default})
    except ConflictError:
        return True  # other settings stand on it, so that words about those are words about it
    return list(words(section)) != list(words(without))


def _plain(section: PolicySection, rows: Sequence[PolicySetting]) -> Iterator[str]:
    if rows:
        yield ", ".join(f"{row.setting.label} {row.setting.kind.write(getattr(section, row.name))}" for row in rows)


def _balancing(balancing: Balancing) -> Iterator[str]:
    match balancing.method:
        case Method.LEAST_REQUEST:
            bias = balancing.active_request_bias
            yield "least request: the less busy of two targets" + (f", bias {bias:g}" if bias != 1 else "")
        case Method.RANDOM:
            yield "a target by chance"
        case Method.RING_HASH | Method.MAGLEV:
            yield f"calls with the same {balancing.metadata_key} go to the same target ({balancing.method.value})"
    if balancing.slow_start is not None:
        yield f"new targets come to their full share within {span(balancing.slow_start)}"
    if balancing.prefer_zone:
        yield "calls stay in the balancer's zone while that has its share of the targets"


def _limits(limits: Limits) -> Iterator[str]:
    for most, what in (
        (limits.requests, "calls at once"),
        (limits.pending, "calls waiting for a connection"),
        (limits.connections, "connections"),
        (limits.connections_per_target, "connections to one target"),
    ):
        if most is not None:
            yield f"at most {most:,} {what}"


def _outlier_detection(ejection: OutlierDetection) -> Iterator[str]:
    reasons = [f"{ejection.consecutive_connect_failures:,} failures to reach it"]
    if ejection.consecutive_gateway_failures is not None:
        reasons.append(f"{ejection.consecutive_gateway_failures:,} answers UNAVAILABLE or DEADLINE_EXCEEDED")
    if ejection.consecutive_errors is not None:
        reasons.append(f"{ejection.consecutive_errors:,} error answers")
    said = f"a target is ejected for {span(ejection.base_ejection_time)} or more after {' or '.join(reasons)} in a row"
    if ejection.success_rate:
        said += (
            f", or where it answers far worse than the others (of {ejection.success_rate_min_calls:,} calls or more)"
        )
    yield f"{said}; at most {ejection.max_ejection_percent} % at once"


def _health_check(check: HealthCheck) -> Iterator[str]:
    of = "" if check.service is None else f" of {check.service}"
    yield (
        f"each target is asked for the health{of} every {span(check.interval)}, has {span(check.timeout)} to answer, "
        f"gets no call after {_times(check.unhealthy_threshold, 'failure')} and calls again after "
        f"{_times(check.healthy_threshold, 'pass', 'passes')}"
    )


def _retry(retry: Retry) -> Iterator[str]:
    if not retry.max_retries:
        yield "never retried"
        return
    also = f" {', '.join(sorted(retry.on))} and" if retry.on else ""
    yield f"retries{also} what no server has seen, up to {_times(retry.max_retries, 'time')}"
    if retry.per_try_timeout is not None:
        yield f"a try may take {span(retry.per_try_timeout)}, then comes the next"
    fresh = Retry()
    if retry.base_backoff != fresh.base_backoff:
        yield f"pauses of up to {span(retry.base_backoff)} between tries"
    if (retry.budget_percent, retry.budget_min_concurrency) != (fresh.budget_percent, fresh.budget_min_concurrency):
        yield f"retries may be {retry.budget_percent:g} % of the calls in flight, or {retry.budget_min_concurrency:,}"


def _deadline(deadline: Deadline) -> Iterator[str]:
    if deadline.max is not None:
        yield f"deadlines: the caller's, at most {span(deadline.max)}"
    if deadline.default is not None:
        yield f"{span(deadline.default)} for calls without a deadline"


def _rate_limit(limit: RateLimit) -> Iterator[str]:
    burst = f", {limit.burst:,} at once" if limit.burst is not None else ""
    yield f"at most {limit.calls_per_second or 0:,} calls/s to each route{burst}; beyond that RESOURCE_EXHAUSTED"


def fault_words(fault: Fault) -> Iterator[str]:
    if fault.delay is not None:
        yield f"on purpose {fault.delay_percent:g} % of the calls are held back for {span(fault.delay)}"
    if fault.abort is not None:
        yield f"on purpose {fault.abort_percent:g} % of the calls are answered {fault.abort}"


def _mirror(mirror: Mirror) -> Iterator[str]:
    yield f"{mirror.percent:g} % of the calls are copied to {mirror.service}, whose answers are dropped"


def _tls(tls: Tls) -> Iterator[str]:
    name = "" if tls.server_name is None else f" as {tls.server_name}"
    checks = [f"one of {len(tls.pins)} pinned keys" if len(tls.pins) > 1 else "a pinned key"] * bool(tls.pins)
    checks += ["a certificate of a known CA"] * (tls.verify is TlsVerify.SYSTEM)
    verified = f"verified: {' and '.join(checks)}" if checks else "certificates are not verified"
    yield f"TLS to the targets{name}; {verified}"


def _web(web: Web) -> Iterator[str]:
    origins = ", ".join(sorted(web.allow_origins)).replace("*", "any origin") or "the balancer's own origin"
    yield f"gRPC-Web from pages of {origins}"


_WORDS: Mapping[str, Callable[..., Iterator[str]]] = {
    "balancing": _balancing,
    "limits": _limits,
    "outlier_detection": _outlier_detection,
    "health_check": _health_check,
    "retry": _retry,
    "deadline": _deadline,
    "rate_limit": _rate_limit,
    "mirror": _mirror,
    "tls": _tls,
    "web": _web,
    "fault": fault_words,
}


def span(time: timedelta) -> str:
    """
    >>> span(timedelta(milliseconds=250)), span(timedelta(seconds=5)), span(timedelta(minutes=90))
    ('250 ms', '5 s', '90 min')
    """
    for unit, name in ((timedelta(hours=1), "h"), (timedelta(minutes=1), "min"), (timedelta(seconds=1), "s")):
        if time >= unit and not time % unit:
            return f"{time // unit:,} {name}"
    return f"{time / timedelta(milliseconds=1):,g} ms"


def _times(count: int, what: str, many: str | None = None) -> str:
    return f"{count:,} {what if count == 1 else many or what + 's'}"


def route_words(route: Route) -> str:
    """Which calls it takes, and what it says beside that.

    >>> route_words(Route("a.test", "rng.v1.RandomNumber", method="Get", priority=5))
    'a.test / rng.v1.RandomNumber / Get (priority 5)'
    """
    host = "any host" if route.host == "*" else route.host
    called = "any gRPC service" if route.grpc_service == "*" else route.grpc_service
    method = "" if route.method == "*" else f" / {route.method}"
    conditions = f" if {' and '.join(map(str, route.metadata))}" if route.metadata else ""
    others = [f"priority {route.priority}"] if route.priority else []
    others += [f"{label} {text}" for label, text in route.overrides.to_settings().items()]
    return f"{host} / {called}{method}{conditions}" + (f" ({', '.join(others)})" if others else "")
