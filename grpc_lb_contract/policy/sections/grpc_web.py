"""gRPC-Web, for browsers."""

# ruff: noqa: RUF009 - `setting` makes a dataclass field, as `field` does

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import timedelta

from grpc_lb_contract.names import ALL
from grpc_lb_contract.policy.value_types import (
    DAY,
    FLAG,
    METADATA_KEY,
    SECOND,
    PolicySection,
    Several,
    ValueType,
    list_of,
    setting,
    time_within,
)

# As browsers write it: https://www.rfc-editor.org/rfc/rfc6454#section-6.2. A scheme's own port is left out.
_ORIGIN = re.compile(r"[a-z][a-z0-9+.-]{0,31}://([a-z0-9_.-]{1,253}|\[[0-9a-f:.]{2,45}\])(:[1-9][0-9]{0,4})?")
_WITH_ITS_OWN_PORT = re.compile(r"https://.*:443|http://.*:80")


def _origin(text: str) -> str | None:
    text = text.lower()
    fits = text == ALL or (_ORIGIN.fullmatch(text) and not _WITH_ITS_OWN_PORT.fullmatch(text))
    return text if fits else None


ORIGIN = ValueType(
    "an origin such as https://app.example.com, without a path and the scheme's own port, or *", _origin, str
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
