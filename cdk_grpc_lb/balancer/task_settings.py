"""How a balancer's task runs: what a user may tell it, and few do."""

from __future__ import annotations

from dataclasses import dataclass

import aws_cdk as cdk

from cdk_grpc_lb.validation import Props

# As proxy_image/settings.py has them.
_LOG_LEVELS = ("debug", "info", "warning", "error")
_MAX_CONCURRENCY = 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """None stands for the default."""

    log_level: str | None
    envoy_concurrency: int | None

    def check(self, props: Props) -> None:
        """Raise ValueError for what the image would refuse when it starts."""
        level = self.log_level
        if level is not None and not cdk.Token.is_unresolved(level) and level not in _LOG_LEVELS:
            raise props.error("log_level", f"one of {', '.join(_LOG_LEVELS)}", repr(level))
        if self.envoy_concurrency is not None:
            props.whole_number("envoy_concurrency", self.envoy_concurrency, 1, _MAX_CONCURRENCY)

    def environment(self, cpu: int, *, has_envoy: bool) -> dict[str, str]:
        """The image's own settings for it."""
        told: dict[str, str] = {}
        if self.log_level is not None:
            told["GRPC_LB_LOG_LEVEL"] = self.log_level
        if not has_envoy:
            told["GRPC_LB_ENVOY"] = "false"
        elif self.envoy_concurrency is not None:
            told["GRPC_LB_ENVOY_CONCURRENCY"] = _number(self.envoy_concurrency)
        elif not cdk.Token.is_unresolved(cpu):
            # One worker for each whole CPU: what the task sees of the machine below is more than it may use.
            told["GRPC_LB_ENVOY_CONCURRENCY"] = str(max(1, cpu // 1024))
        return told


def _number(value: int) -> str:
    return cdk.Token.as_string(value) if cdk.Token.is_unresolved(value) else str(value)
