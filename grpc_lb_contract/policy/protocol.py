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
        "The service that gets a copy of calls. Its answers are dropped, and neither they nor their absence touch the "
        "call. A copy is sent once, and ends after 10 s.",
    )
    percent: float = setting(100.0, "mirror.percent", PERCENT, "Share of the calls that are copied.")

    def conflicts(self) -> list[tuple[str, str]]:
        if self.service is None and self.percent != 100.0:
            return [("percent", "must stand beside mirror.service")]
        return []


@dataclass(frozen=True, slots=True)
class Tls(PolicySection):
    """TLS from the balancer to the targets. Unset, calls and health checks go to them in plain text (h2c)."""

    enabled: bool = setting(
        False, "tls", FLAG, "Whether calls and health checks go to the targets by TLS (1.2 or 1.3)."
    )
    server_name: str | None = setting(
        None,
        "tls.server-name",
        SERVER_NAME,
        "The host name that targets are asked for (SNI), and with verify system the one that their certificates must "
        "hold. Unset, none is asked for.",
    )
    verify: TlsVerify = setting(
        TlsVerify.NONE,
        "tls.verify",
        choice(TlsVerify),
        "What a target's certificate is held to: system, that one of the balancer's CAs vouches for it; none, nothing "
        "(but a pin), as AWS's own load balancers do: encrypted, from a target that nobody vouches for.",
    )
    pins: Several[str] = setting(
        frozenset(),
        "tls.pin",
        list_of(PIN),
        "Public keys of which a target's certificate must hold one, beside what verify asks for.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        if not self.enabled:
            set_in_vain = (
                ("server_name", self.server_name),
                ("verify", self.verify is not TlsVerify.NONE),
                ("pins", self.pins),
            )
            return [(name, "must stand beside tls true") for name, value in set_in_vain if value]
        if self.verify is TlsVerify.SYSTEM and self.server_name is None:
            # Any certificate of any public CA would do.
            return [("verify", "must stand beside tls.server-name where it is system")]
        return []


@dataclass(frozen=True, slots=True)
class ForwardedHeaders(PolicySection):
    """Headers by which proxies tell servers about callers. Unset, they pass as callers send them, as all metadata."""

    strip: bool = setting(
        False,
        "forwarded-headers.strip",
        FLAG,
        "Whether x-forwarded-*, x-real-ip and x-scheme are taken from calls, for servers that believe them: where no "
        "proxy stands before the balancer, a caller writes what it likes into them.",
    )


@dataclass(frozen=True, slots=True)
class Web(PolicySection):
    """gRPC-Web, the form of gRPC that browsers speak, over HTTP/1.1 and HTTP/2. Unset, calls of it are refused."""

    enabled: bool = setting(
        False, "web", FLAG, "Whether the service takes gRPC-Web calls of browsers too, over HTTP/1.1 and HTTP/2."
    )
    allow_origins: Several[str] = setting(
        frozenset(),
        "web.allow-origins",
        list_of(ORIGIN),
        "Origins whose pages may call (CORS), * for all. Unset, pages of the balancer's own origin only.",
    )
    allow_headers: Several[str] = setting(
        frozenset(),
        "web.allow-headers",
        list_of(METADATA_KEY),
        "Request metadata that pages may send, beside what gRPC-Web itself needs.",
    )
    expose_headers: Several[str] = setting(
        frozenset(),
        "web.expose-headers",
        list_of(METADATA_KEY),
        "Response metadata that pages may read, beside grpc-status, grpc-message and grpc-status-details-bin. Trailers "
        "after a message are part of the body, and always readable.",
    )
    max_age: timedelta | None = setting(
        None,
        "web.max-age",
        time_within(SECOND, DAY),
        "How long a browser may go by one answer about what is allowed. Unset, as long as it likes: mostly 5 s.",
    )

    def conflicts(self) -> list[tuple[str, str]]:
        found = [
            (name, "must stand beside web true")
            for name in ("allow_origins", "allow_headers", "expose_headers", "max_age")
            if not self.enabled and getattr(self, name)
        ]
        if not found and not self.allow_origins:
            found = [
                (name, "must stand beside web.allow-origins")
                for name in ("allow_headers", "expose_headers", "max_age")
                if getattr(self, name)
            ]
        return found
