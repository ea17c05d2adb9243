"""How long a balancer that is told to stop has, and what it does with the time."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk

from cdk_grpc_lb.validation import MAX_STOP_SECONDS, Props

_DEFAULT_DELAY_SECONDS, _DEFAULT_TIME_SECONDS = 50, 30

# The time the supervisor needs beside the two drain times: to notice SIGTERM, and to stop what did not drain.
_MARGIN_SECONDS = 15
_MAX_SECONDS = MAX_STOP_SECONDS - _MARGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Drain:
    """Fail readiness and serve on for `delay` seconds, then send connections away and let their calls finish within
    `time` seconds. A text stands for a number that only the deployment knows.
    """

    delay: float | str
    time: float | str

    @classmethod
    def checked(cls, props: Props, delay: cdk.Duration | None, time: cdk.Duration | None) -> Drain:
        """None is the default. Raises ValueError for times that Fargate does not grant."""
        drain = cls(
            _seconds(props, "drain_delay", delay, _DEFAULT_DELAY_SECONDS),
            _seconds(props, "drain_time", time, _DEFAULT_TIME_SECONDS),
        )
        total = drain.total_seconds
        if total is not None and total > _MAX_SECONDS:
            raise props.error(
                "drain_time",
                f"at most {_MAX_SECONDS} seconds together with drain_delay, because Fargate kills "
                f"{MAX_STOP_SECONDS} seconds after SIGTERM",
                f"{total:g} seconds",
            )
        return drain

    @property
    def total_seconds(self) -> float | None:
        """None where either is not known at synth."""
        if isinstance(self.delay, str) or isinstance(self.time, str):
            return None
        return self.delay + self.time

    @property
    def stop_timeout(self) -> cdk.Duration:
        """What ECS waits before SIGKILL: both times and a margin, or the most there is for times not known at synth."""
        total = self.total_seconds
        return cdk.Duration.seconds(MAX_STOP_SECONDS if total is None else total + _MARGIN_SECONDS)

    @property
    def environment(self) -> dict[str, str]:
        """The image's own settings for it."""
        return {
            "GRPC_LB_DRAIN_DELAY_SECONDS": _text(self.delay),
            "GRPC_LB_DRAIN_SECONDS": _text(self.time),
        }


def _seconds(props: Props, prop: str, given: cdk.Duration | None, default: int) -> float | str:
    if given is None:
        return default
    known = props.seconds(prop, given, 0, MAX_STOP_SECONDS)
    return known if known is not None else cdk.Token.as_string(given.to_seconds())


def _text(seconds: float | str) -> str:
    return seconds if isinstance(seconds, str) else f"{seconds:g}"
