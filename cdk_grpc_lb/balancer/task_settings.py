"""How a balancer's task runs: what a user may tell it, and few do."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import aws_cdk as cdk

from cdk_grpc_lb.tokens import is_unresolved, number_text, texts_of
from cdk_grpc_lb.validation import FARGATE_SIZES, Props

# As proxy_image/settings/variables.py has them.
_LOG_LEVELS = ("debug", "info", "warning", "error")
_MAX_CONCURRENCY = 256
# As proxy_image/metadata.py has them.
_MIN_METADATA_KIB, _MAX_METADATA_KIB = 8, 8192
_MIN_METADATA_ENTRIES, _MAX_METADATA_ENTRIES = 50, 20_000
_WEB_HOST = r"\*|(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*"

# A task's memory follows from what it is to carry: docs/transparency.md, "How much one task carries".
# Streams whose reader pauses, and what Envoy holds of each: a window on either side.
STUCK_STREAMS = 1_000
STUCK_STREAM_KIB = 512
# Envoy's own, with some hundred services.
ENVOY_MIB = 64
# As proxy_image/envoy/overload.py has them: what is kept for the rest of the task, and the share of Envoy's memory
# from which it resets streams.
RESERVED_MIB = 256
RESET_FROM = 0.8

DEFAULT_CPU = 512


def memory_for(stuck_streams: int, cpu: int) -> int:
    """The smallest size of Fargate's, in MiB, in which so many streams may be stuck before one is reset."""
    needed = RESERVED_MIB + (ENVOY_MIB + stuck_streams * STUCK_STREAM_KIB / 1024) / RESET_FROM
    return next(size for size in FARGATE_SIZES[cpu] if size >= needed)


DEFAULT_MEMORY_MIB = memory_for(STUCK_STREAMS, DEFAULT_CPU)
# Without Envoy, the control plane alone.
PROXYLESS_MEMORY_MIB = 512


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """None stands for the default."""

    log_level: str | None
    envoy_concurrency: int | None
    max_metadata: cdk.Size | None
    max_metadata_entries: int | None
    web_hosts: Sequence[str] | None
    """Beside `domain_name`."""
    domain_name: str | None

    def check(self, props: Props) -> None:
        """Raise ValueError for what the image would refuse when it starts."""
        level = self.log_level
        if level is not None and not is_unresolved(level) and level not in _LOG_LEVELS:
            raise props.error("log_level", f"one of {', '.join(_LOG_LEVELS)}", repr(level))
        if self.envoy_concurrency is not None:
            props.whole_number("envoy_concurrency", self.envoy_concurrency, 1, _MAX_CONCURRENCY)
        if self.max_metadata is not None and not self.max_metadata.is_unresolved():
            kib = self.max_metadata.to_kibibytes(rounding=cdk.SizeRoundingBehavior.NONE)
            if not _MIN_METADATA_KIB <= kib <= _MAX_METADATA_KIB or kib != int(kib):
                allowed = f"{_MIN_METADATA_KIB} to {_MAX_METADATA_KIB} whole KiB"
                raise props.error("max_metadata", allowed, f"{kib:g} KiB")
        if self.max_metadata_entries is not None:
            props.whole_number(
                "max_metadata_entries", self.max_metadata_entries, _MIN_METADATA_ENTRIES, _MAX_METADATA_ENTRIES
            )
        self._check_web_hosts(props)

    def _check_web_hosts(self, props: Props) -> None:
        names = "host names such as lb.example.com, *.corp.example.com, or *"
        if isinstance(self.web_hosts, str):
            raise props.error("web_hosts", f"a list of {names}", repr(self.web_hosts))
        for host in texts_of(self.web_hosts or ()):
            if not is_unresolved(host) and re.fullmatch(_WEB_HOST, host) is None:
                raise props.error("web_hosts", names, repr(host))

    def environment(self, cpu: int, *, has_envoy: bool) -> dict[str, str]:
        """The image's own settings for it."""
        told: dict[str, str] = {}
        if self.log_level is not None:
            told["GRPC_LB_LOG_LEVEL"] = self.log_level
        if not has_envoy:
            told["GRPC_LB_ENVOY"] = "false"
        elif self.envoy_concurrency is not None:
            told["GRPC_LB_ENVOY_CONCURRENCY"] = number_text(self.envoy_concurrency)
        elif not is_unresolved(cpu):
            # One worker for each whole CPU: what the task sees of the machine below is more than it may use.
            told["GRPC_LB_ENVOY_CONCURRENCY"] = str(max(1, cpu // 1024))
        if self.max_metadata is not None:
            told["GRPC_LB_METADATA_KIB"] = number_text(self.max_metadata.to_kibibytes())
        if self.max_metadata_entries is not None:
            told["GRPC_LB_METADATA_ENTRIES"] = number_text(self.max_metadata_entries)
        hosts = [*texts_of(self.web_hosts or ()), *([] if self.domain_name is None else [self.domain_name])]
        if hosts:
            told["GRPC_LB_WEB_HOSTS"] = ",".join(hosts)
        return told
