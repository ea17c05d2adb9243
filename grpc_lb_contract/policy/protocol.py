"""Policy about protocol and copies: TLS to the targets, gRPC-Web for browsers, copies of calls to another service."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from grpc_lb_contract.names import ALL, SERVICE_NAME, SERVICE_NAME_RULE, is_host
from grpc_lb_contract.policy.value_types import (
    DAY,
    FLAG,
    METADATA_KEY,
    PERCENT,
    SECOND,
    PolicySection,
    Several,
    ValueType,
    choice,
    list_of,
    setting,
    time_within,
)


def _pin(text: str) -> str | None:
    try:
        return text if len(base64.b64decode(text, validate=True)) == 32 else None
    except (binascii.Error, ValueError):
        return None


# As browsers write it: https://www.rfc-editor.org/rfc/rfc6454#section-6.2. A scheme's own port is left out.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,31}://([a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?")
_WITH_ITS_OWN_PORT = re.compile(r"https://.*:443|http://.*:80")


def _origin(text: str) -> str | None:
    text = text.lower()
    fits = text == ALL or (_ORIGIN.fullmatch(text) and not _WITH_ITS_OWN_PORT.fullmatch(text))
    return text if fits else None


SERVICE = ValueType(
    f"the name of a service: {SERVICE_NAME_RULE}", lambda text: text if SERVICE_NAME.fullmatch(text) else None, str
)
SERVER_NAME = ValueType(
    "a host name without a port",
    lambda text: text.lower() if is_host(text.lower()) and "*" not in text else None,
    str,
)
PIN = ValueType("the SHA-256 of a public key (SubjectPublicKeyInfo) in base64: 44 characters", _pin, str)
ORIGIN = ValueType(
    "an origin such as https://app.example.com, without a path and the scheme's own port, or *", _origin, str
)


class TlsVerify(StrEnum):
    """What of a target's certificate is verified."""

    NONE = "none"
    SYSTEM = "system"


@dataclass(frozen=True, slots=True)
class Mirror(PolicySection):
    """Copies of calls to another service, whose answers are dropped. Unset, there are none."""

    service: str | None = setting(
        None,
        "mirror.service",
        SERVICE,
        "The service that gets copies of calls. Its answers are dropped, and a missing answer does not affect the "
        "call. A copy is sent once, and ends after 10 s.",
    )
    percent: float = setting(100.0, "mirror.percent", PERCENT, "Percentage of the calls that are copied.")

    def conflicts(self) -> list[tuple[str, str]]:
        if self.service is None and self.percent != 100.0:
            return [("percent", "needs mirror.service")]
        return []


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


@dataclass(frozen=True, slots=True)
class Web(PolicySection):
    """gRPC-Web, gRPC for browsers, over HTTP/1.1 and HTTP/2. Unset, such calls are rejected."""

    enabled: bool = setting(
        False, "web", FLAG, "Whether the service also accepts gRPC-Web calls from browsers, over HTTP/1.1 and HTTP/2."
    )
    allow_origins: Several[str] = setting(
        frozenset(),
        "web.allow-origins",
        list_of(ORIGIN),
        "Origins whose pages may call the service (CORS), or * for all. Unset, only pages from the balancer's own "
        "origin.",
    )
    allow_headers: Several[str] = setting(
        frozenset(),
        "web.allow-headers",
        list_of(METADATA_KEY),
        "Request metadata that pages may send, in addition to what gRPC-Web needs.",
    )
    expose_headers: Several[str] = setting(
        frozenset(),
        "web.expose-headers",
        list_of(METADATA_KEY),
        "Response metadata that pages may read, in addition to grpc-status, grpc-message and grpc-status-details-bin. "
        "Trailers after a message are part of the body, and always readable.",
    )
    max_age: timedelta | None = setting(
        None,
        "web.max-age",
        time_within(SECOND, DAY),
        "How long a browser may cache a preflight response. Unset, the browser decides: usually 5 s.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        found = [
            (name, "needs web true")
            for name in ("allow_origins", "allow_headers", "expose_headers", "max_age")
            if not self.enabled and getattr(self, name)
        ]
        if not found and not self.allow_origins:
            found = [
                (name, "needs web.allow-origins")
                for name in ("allow_headers", "expose_headers", "max_age")
                if getattr(self, name)
            ]
        return found
