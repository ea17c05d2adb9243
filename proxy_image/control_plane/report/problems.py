"""What is wrong now, and what to do about it: one sentence each, made of facts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum, StrEnum

from proxy_image.control_plane.report import formats
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.stats.history.entries import Rejection
from proxy_image.control_plane.xds.capabilities import LeftOut

# However seldom a balancer reads (settings/variables.py: 20 s at most), a list this old was missed.
STALE_SECONDS = 30.0
NEAR_LIMIT = 0.8
NEAR_FULL_PERCENT = 80
NO_ANSWER = "no answer"
"""The state of a target to which Envoy sends calls, and which answers none."""
TAKES_CALLS = ("serving", NO_ANSWER)
# A restart stays on the page for as long as someone may ask what that was.
RECENT_SECONDS = 900.0


class Severity(StrEnum):
    ERROR = "error"
    """Calls fail, or will as soon as something changes."""
    WARNING = "warning"


class Urgency(IntEnum):
    """What comes first among problems of one severity."""

    CALLS_HANG = 0
    CALLS_FAIL = 1
    ORDINARY = 5
    NOBODY_CALLS = 9


@dataclass(frozen=True, slots=True)
class Problem:
    """runbook: its section of docs/operate/alarms.md, "" where there is none. service: the one that it is of, or "".
    of_another: whether it is of another balancer.
    """

    severity: Severity
    title: str
    detail: str
    do: str
    runbook: str = ""
    service: str = ""
    urgency: int = Urgency.ORDINARY
    of_another: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """How the control plane stands, apart from any one service. None: no document was ever confirmed."""

    generation: str | None
    origin: Origin
    target_list_age_seconds: float | None
    trouble: tuple[Trouble, str] | None
    envoy_connected: bool
    envoy_unreadable: str | None
    has_envoy: bool = True
    """False where the balancer serves clients without a proxy alone."""
    heap_percent: int = 0
    refuses_calls: bool = False
    rejections: tuple[Rejection, ...] = ()
    shortened: str | None = None
    """What to do where not every host holds the routes of less specific ones; None where all do."""
    left_out: tuple[LeftOut, ...] = ()
    envoy_restarted_seconds_ago: tuple[float, ...] = ()


_DO = {
    Trouble.UNREACHABLE: "calls continue with the last known targets. Check the task's way to SSM: route, NAT "
    "gateway or VPC endpoint, security group.",
    Trouble.THROTTLED: "calls continue, and the balancer reads less often by itself. Raise SSM's throughput in this "
    "account, or GRPC_LB_POLL_SECONDS and GRPC_LB_IDLE_POLL_SECONDS of the balancers.",
    Trouble.DENIED: "allow ssm:GetParameter and ssm:GetParameters on the parameter prefix to the balancer's task role. "
    "The message says whether another policy denies it: of the organisation, or of a VPC endpoint.",
    Trouble.MISSING: "look at the Lambda's log and its dead-letter queue: it writes the document. Check that "
    "GRPC_LB_PARAMETER_PREFIX is the Lambda's.",
    Trouble.TORN: "nothing if it passes within seconds: the Lambda is writing. It repairs what lasts within a minute.",
    Trouble.UNKNOWN_FORMAT: "deploy the balancer and the Lambda from one version: their formats differ.",
    Trouble.BROKEN: "if it is a targets file, correct it where the message says. The Lambda rewrites what is in SSM "
    "within a minute; if not, look at its log.",
    Trouble.INTERNAL: "this is a bug of the balancer: please report it with the message and the log around it.",
}


def standing_problems(standing: Standing) -> Iterator[Problem]:
    yield from _envoy_problems(standing)
    yield from _document_problems(standing)
    yield from _policy_problems(standing)


def _envoy_problems(standing: Standing) -> Iterator[Problem]:
    if not standing.has_envoy:
        pass
    elif not standing.envoy_connected:
        yield Problem(
            Severity.ERROR,
            "Envoy is not connected to this control plane",
            "If it runs, it keeps its last configuration; changes of targets do not reach it.",
            "look for 'envoy' in this task's log: the supervisor restarts it. If it stays disconnected, replace the "
            "task.",
        )
    elif standing.envoy_unreadable is not None:
        yield Problem(
            Severity.WARNING,
            "Envoy's statistics cannot be read",
            f"{standing.envoy_unreadable}. Numbers on this page are old.",
            "nothing if it passes within seconds (Envoy is starting). Otherwise look at Envoy's lines in this task's "
            "log.",
        )
    if standing.refuses_calls or standing.heap_percent >= NEAR_FULL_PERCENT:
        yield Problem(
            Severity.ERROR if standing.refuses_calls else Severity.WARNING,
            "Envoy rejects new calls" if standing.refuses_calls else "Envoy's memory is nearly used up",
            f"{standing.heap_percent} % of the memory that it may take is in use. The streams that hold the most are "
            "reset; other in-flight calls continue.",
            "give the balancer more memory (memory_limit_mib) or more tasks. The service with the most calls in "
            "flight holds the most.",
        )
    restarts = [ago for ago in standing.envoy_restarted_seconds_ago if ago <= RECENT_SECONDS]
    if restarts:
        yield Problem(
            Severity.WARNING,
            "Envoy was restarted" + (f" {len(restarts)} times" if len(restarts) > 1 else ""),
            f"The last time {min(restarts):.0f} s ago. Its in-flight calls were cut, and its counts restarted.",
            "look for 'envoy stopped' in this task's log. If its reason is 'signal SIGKILL', the task ran out of "
            "memory: give the balancer more (memory_limit_mib). Otherwise please report it.",
            runbook="ProcessStopped",
        )


def _document_problems(standing: Standing) -> Iterator[Problem]:
    if standing.trouble is not None:
        trouble, message = standing.trouble
        yield Problem(
            Severity.ERROR if standing.generation is None else Severity.WARNING,
            f"The target document is not taken ({trouble.value.replace('_', ' ')})",
            message,
            _DO[trouble],
            runbook="TargetsStale",
        )
    if standing.generation is None:
        yield Problem(
            Severity.ERROR,
            "No target document yet",
            "This balancer has never had targets, so it is not ready and takes no calls.",
            "look at the Lambda's log: its first refresh writes the document, within a minute.",
            runbook="NoBalancerReady",
        )
    elif standing.origin is Origin.LAST_GOOD:
        yield Problem(
            Severity.WARNING,
            "The targets come from this balancer's own disk",
            "It could not read the document when it started, and uses the last one that it had read.",
            "solve the problem with the document; the balancer uses it as soon as it is readable.",
            runbook="TargetsStale",
        )
    age = standing.target_list_age_seconds
    if age is not None and age > STALE_SECONDS:
        yield Problem(
            Severity.WARNING,
            "The target list is stale",
            f"It was last confirmed {age:.0f} s ago. Calls continue; tasks that stopped since are ejected once they "
            "cannot be reached, and new tasks get no calls.",
            "solve the problem with the document.",
            runbook="TargetsStale",
        )


def _policy_problems(standing: Standing) -> Iterator[Problem]:
    for left_out in standing.left_out:
        yield Problem(
            Severity.WARNING,
            f"{left_out.service} asks for what this balancer cannot do",
            f"{left_out.label} {left_out.problem}, got {left_out.value!r}.",
            "correct the label in its task definition, or give the balancer what it lacks.",
            service=left_out.service,
        )
    if standing.shortened is not None:
        yield Problem(
            Severity.WARNING,
            "Some hosts have only their own routes",
            "There are too many hosts and routes to copy those of less specific hosts to each: calls to such a host "
            "for other gRPC services get UNIMPLEMENTED.",
            f"{standing.shortened}.",
        )
    for rejection in standing.rejections:
        yield Problem(
            Severity.ERROR,
            f"A client rejected its configuration ({rejection.audience}, {rejection.resource_type})",
            f"{rejection.node}: {rejection.error}. It keeps its last configuration.",
            "this is a bug of the balancer, or an incompatible version: please report it with this message. Until "
            "then, undo the last change of labels or policies.",
            runbook="ResourceRejected",
        )


def fault_problems(name: str, faults: Collection[str]) -> Iterator[Problem]:
    if faults:
        yield Problem(
            Severity.WARNING,
            f"Faults are injected into the calls of {name}",
            f"As its labels ask for: {'; '.join(faults)}.",
            f"nothing if this is a test. Otherwise remove the grpc-lb.fault labels from the task definition of {name}.",
            service=name,
        )


def service_problems(
    name: str,
    states: Sequence[tuple[str, str]],
    breakers: Collection[tuple[str, int, int]],
    *,
    fails: bool = True,
) -> Iterator[Problem]:
    """states: of each target its address and state, in the order in which they are told; breakers: name, used, limit;
    fails: whether its calls fail now.
    """
    if not any(state in TAKES_CALLS for _, state in states):
        yield _no_target(name, states, fails=fails)
    ejected = [address for address, state in states if state == "ejected"]
    if ejected:
        yield Problem(
            Severity.WARNING,
            f"{len(ejected)} of {len(states)} targets of {name} "
            + ("is ejected" if len(ejected) == 1 else "are ejected"),
            f"Envoy sends no calls to {formats.some(ejected)} for some seconds, then tries again; the page of {name} "
            "says why.",
            "look at the log of the task, and whether its security group lets the balancer in on this port.",
            runbook="TargetsEjected",
            service=name,
        )
    unhealthy = [address for address, state in states if state == "unhealthy"]
    if unhealthy:
        yield Problem(
            Severity.WARNING,
            f"{len(unhealthy)} of {len(states)} targets of {name} "
            + ("does" if len(unhealthy) == 1 else "do")
            + " not pass the health checks",
            f"{formats.some(unhealthy)}: not SERVING when this balancer asks, as the service's labels want.",
            "look at the log of the task. A server without grpc.health.v1.Health never passes: give it one, or remove "
            "the grpc-lb.health-check labels.",
            service=name,
        )
    waiting = [address for address, state in states if state == "not admitted"]
    if waiting:
        yield Problem(
            Severity.WARNING,
            f"{len(waiting)} new "
            + ("target" if len(waiting) == 1 else "targets")
            + f" of {name} cannot be reached yet",
            f"{formats.some(waiting)}: running, but no connection accepted yet. Calls come once one is, or after 10 s.",
            "nothing if the server is still starting. Otherwise check the port label and the security group.",
            service=name,
        )
    for breaker, used, limit in breakers:
        if used >= NEAR_LIMIT * limit > 0:
            yield Problem(
                Severity.ERROR if used >= limit else Severity.WARNING,
                f"{name} is near its limit of {breaker}",
                f"{used} of {limit}; "
                + (
                    "calls wait for those there are."
                    if breaker == "connections"
                    else "calls beyond it fail at once with UNAVAILABLE."
                ),
                "scale the service out, or raise the limit in its policy.",
                runbook="LimitNear",
                service=name,
            )


def _no_target(name: str, states: Sequence[tuple[str, str]], *, fails: bool) -> Problem:
    detail = ", ".join(f"{address} is {state}" for address, state in states[:5]) or "It has no target."
    if not fails and all(state == "draining" for _, state in states):
        return Problem(
            Severity.WARNING,
            f"{name} is being stopped, or scaled to 0",
            f"{detail} Nobody calls it." if not states else f"{detail}. Nobody calls it.",
            "nothing if that is meant. Otherwise start tasks of it with the label grpc-lb.enable=true.",
            runbook="NoTargets",
            service=name,
            urgency=Urgency.NOBODY_CALLS,
        )
    return Problem(
        Severity.ERROR,
        f"{name} has no target that takes calls",
        detail,
        "start tasks of it with the label grpc-lb.enable=true, or find out why they stop: their logs, their health "
        "checks in ECS.",
        runbook="NoTargets",
        service=name,
        urgency=Urgency.CALLS_FAIL,
    )
