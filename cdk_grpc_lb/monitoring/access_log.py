"""Which calls of a balancer have a line in its log."""

from __future__ import annotations

from dataclasses import dataclass

from cdk_grpc_lb.tokens import is_unresolved, number_text
from cdk_grpc_lb.validation import Props


@dataclass(frozen=True, slots=True, kw_only=True)
class AccessLog:
    """Which calls have a JSON line in the balancer's log group, for which CloudWatch charges: about 600 bytes each.

    Made with ``AccessLog.failures()``, ``AccessLog.sampled(percent)`` or ``AccessLog.all()``.

    :param calls: Which calls: ``failures``, ``sampled`` or ``all``.
    :param percent: The percentage of the calls, if they are sampled. By default 1.
    """

    calls: str
    percent: float = 1.0

    @classmethod
    def failures(cls) -> AccessLog:
        """Calls that ended without the gRPC status OK, also those that never reached a target."""
        return cls(calls="failures")

    @classmethod
    def sampled(cls, percent: float) -> AccessLog:
        """A share of all calls.

        :param percent: The percentage, 0 to 100.
        """
        return cls(calls="sampled", percent=percent)

    @classmethod
    def all(cls) -> AccessLog:
        """Every call."""
        return cls(calls="all")


def check_access_log(props: Props, access_log: AccessLog) -> None:
    """Raise ValueError for what no balancer could be told."""
    known = ("failures", "sampled", "all")
    if not is_unresolved(access_log.calls) and access_log.calls not in known:
        raise props.error("access_log.calls", f"one of {', '.join(known)}", repr(access_log.calls))
    props.percent("access_log.percent", access_log.percent)


def access_log_environment(access_log: AccessLog | None) -> dict[str, str]:
    """The image's own settings for it."""
    if access_log is None:
        return {}
    return {
        "GRPC_LB_ACCESS_LOG": access_log.calls,
        "GRPC_LB_ACCESS_LOG_PERCENT": number_text(access_log.percent),
    }
