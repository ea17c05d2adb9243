"""Headers in which proxies report callers to servers."""

from __future__ import annotations

from dataclasses import dataclass

from grpc_lb_contract.policy.value_types import FLAG, PolicySection, setting


@dataclass(frozen=True, slots=True)
class ForwardedHeaders(PolicySection):
    """Headers in which proxies report callers to servers. Unset, they pass unchanged, like all metadata."""

    strip: bool = setting(
        False,
        "forwarded-headers.strip",
        FLAG,
        "Whether to remove x-forwarded-*, x-real-ip and x-scheme from calls, for servers that trust them: without a "
        "proxy in front of the balancer, callers can forge them.",
    )
