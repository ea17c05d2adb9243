"""The memory of a balancer's task, from what it is to carry: docs/transparency.md, "How much one task carries"."""

from __future__ import annotations

from cdk_grpc_lb.validation import FARGATE_SIZES

# Streams whose reader pauses, and what Envoy holds of each: a window on either side.
STUCK_STREAMS = 1_000
STUCK_STREAM_KIB = 512
# Envoy's own, with some hundred services.
ENVOY_MIB = 64
# As proxy_image/envoy/bootstrap.py has them: what is kept for the rest of the task, and the share of Envoy's memory
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
