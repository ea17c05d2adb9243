"""How long a balancer that is told to stop has, and what it does with the time."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk

from cdk_grpc_lb.validation import MAX_STOP_SECONDS, Props, number_text

_DEFAULT_DELAY = cdk.Duration.seconds(50)
_DEFAULT_TIME = cdk.Duration.seconds(30)

# The time the supervisor needs beside the two drain times: to notice SIGTERM, and to stop what did not drain.
_MARGIN_SECONDS = 15
_MAX_SECONDS = MAX_STOP_SECONDS - _MARGIN_SECONDS


@dataclass(frozen=True, slots=True)
class Drain:
    """Fail readiness and serve on for `delay`, then send connections away and let their calls finish within `time`."""

    delay: cdk.Duration
    time: cdk.Duration

    @classmethod
    def checked(cls, props: Props, delay: cdk.Duration | None, time: cdk.Duration | None) -> Drain:
        """None is the default. Raises ValueError for times that Fargate does not grant."""
        delay = delay if delay is not None else _DEFAULT_DELAY
        time = time if time is not None else _DEFAULT_TIME
        props.seconds("drain_delay", delay, 0, MAX_STOP_SECONDS)
        props.seconds("drain_time", time, 0, MAX_STOP_SECONDS)
        drain = cls(delay, time)
        if drain.known and drain.total_seconds > _MAX_SECONDS:
            raise props.error(
                "drain_time",
                f"at most {_MAX_SECONDS} seconds together with drain_delay, because Fargate kills "
                f"{MAX_STOP_SECONDS} seconds after SIGTERM",
                f"{drain.total_seconds:g} seconds",
            )
        return drain

    @property
    def known(self) -> bool:
        return not (self.delay.is_unresolved() or self.time.is_unresolved())

    @property
    def total_seconds(self) -> float:
        return self.delay.to_seconds() + self.time.to_seconds()

    @property
    def stop_timeout(self) -> cdk.Duration:
        """What ECS waits before SIGKILL: both times and a margin, or the most there is for times not known at synth."""
        return cdk.Duration.seconds(self.total_seconds + _MARGIN_SECONDS if self.known else MAX_STOP_SECONDS)

    @property
    def environment(self) -> dict[str, str]:
        """The image's own settings for it."""
        return {
            "GRPC_LB_DRAIN_DELAY_SECONDS": number_text(self.delay.to_seconds()),
            "GRPC_LB_DRAIN_SECONDS": number_text(self.time.to_seconds()),
        }
