"""Documents with a policy or weighed groups, and calls that show what becomes of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Any

import grpc

from grpc_lb_contract import Document, Group, Target, TrafficPolicy
from tests.proxy_image.control_plane.calls import start
from tests.proxy_image.control_plane.support import WHO, service


def treated(policy: TrafficPolicy, *targets: Target) -> Document:
    return Document((replace(service("rng", *targets), policy=policy),))


def weighed(weights: Mapping[str, int], *targets: Target, policy: TrafficPolicy | None = None) -> Document:
    groups = tuple(Group(name, weight) for name, weight in weights.items())
    return Document((replace(service("rng", *targets), groups=groups, policy=policy or TrafficPolicy()),))


def ms(milliseconds: float) -> timedelta:
    return timedelta(milliseconds=milliseconds)


async def codes(channel: grpc.aio.Channel, calls: int, **options: Any) -> Counter[grpc.StatusCode]:
    """Calls one after the other; how often which status came back."""
    found: Counter[grpc.StatusCode] = Counter()
    for _ in range(calls):
        call: Any = start(channel.unary_unary(WHO), **{"timeout": 60, **options})
        found[await call.code()] += 1
    return found
