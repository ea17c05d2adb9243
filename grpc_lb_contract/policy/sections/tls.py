"""TLS from the balancer to the targets."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import StrEnum

from grpc_lb_contract.names import is_host
from grpc_lb_contract.policy.value_types import FLAG, PolicySection, Several, ValueType, choice, list_of, setting


def _pin(text: str) -> str | None:
    try:
        return text if len(base64.b64decode(text, validate=True)) == 32 else None
    except (binascii.Error, ValueError):
        return None


SERVER_NAME = ValueType(
    "a host name without a port",
    lambda text: text.lower() if is_host(text.lower()) and "*" not in text else None,
    str,
)
PIN = ValueType("the SHA-256 of a public key (SubjectPublicKeyInfo) in base64: 44 characters", _pin, str)


class TlsVerify(StrEnum):
    """What of a target's certificate is verified."""

    NONE = "none"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Tls(PolicySection):
    """TLS from the balancer to the targets. Unset, calls and health checks use plain text (h2c)."""

    enabled: bool = setting(False, "tls", FLAG, "Whether calls and health checks to the targets use TLS (1.2 or 1.3).")
    server_name: str | None = setting(
        None,
        "tls.server-name",
        SERVER_NAME,
        "The host name sent to targets (SNI). With verify system, their certificates must contain it. Unset, no name "
        "is sent.",
    )
    verify: TlsVerify = setting(
        TlsVerify.NONE,
        "tls.verify",
        choice(TlsVerify),
        "How a target's certificate is verified. system: it must be issued by one of the balancer's CAs. none: not at "
        "all, except for a pin, as with AWS's own load balancers; calls are encrypted, but the target is not "
        "authenticated.",
    )
    pins: Several[str] = setting(
        frozenset(),
        "tls.pin",
        list_of(PIN),
        "Public keys, one of which a target's certificate must contain, in addition to what verify requires.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        if not self.enabled:
            without_effect = (
                ("server_name", self.server_name),
                ("verify", self.verify is not TlsVerify.NONE),
                ("pins", self.pins),
            )
            return [(name, "needs tls true") for name, value in without_effect if value]
        if self.verify is TlsVerify.SYSTEM and self.server_name is None:
            # Any certificate of any public CA would do.
            return [("verify", "needs tls.server-name to be system")]
        return []
