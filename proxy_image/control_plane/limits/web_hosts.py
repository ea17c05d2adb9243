"""Which Host a request may name: a page of another origin may have its own name point here (DNS rebinding).

The browser then takes what this server says for that page's own data. It still names the page's host, and so such
requests are told apart: by RFC 9110, 15.5.20, they are misdirected.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "GRPC_LB_WEB_HOSTS"
ANY = "*"

# No one else's page has such a name: they are of the machine itself, of private networks (RFC 6761, RFC 6762, RFC 8375,
# and ICANN's decision on .internal), or given by AWS to a load balancer that someone puts in front.
_PRIVATE = (".localhost", ".local", ".internal", ".home.arpa")
_LOAD_BALANCER, _OF_AWS = ".elb.", (".amazonaws.com", ".amazonaws.com.cn")
_MISDIRECTED = 421
_SHOWN = 100


def is_allowed(host: str, names: Sequence[str]) -> bool:
    """Whether a Host header's value is this server's.

    names: what else may be named: `grpc.example.com`, `*.example.com` for all below it, `*` for any.
    """
    name = _without_port(host).lower().removesuffix(".")
    return _is_own(name) or any(_matches(name, each.lower().removesuffix(".")) for each in names)


def _is_own(name: str) -> bool:
    try:
        ipaddress.ip_address(name.removeprefix("[").removesuffix("]"))
    except ValueError:
        # A name of one label is this network's own: "localhost", a container's, a machine's.
        is_load_balancer = _LOAD_BALANCER in name and name.endswith(_OF_AWS)
        return "." not in name or name.endswith(_PRIVATE) or is_load_balancer
    return True


def _matches(name: str, pattern: str) -> bool:
    return pattern in (ANY, name) or (pattern.startswith("*.") and name.endswith(pattern[1:]))


def _without_port(host: str) -> str:
    """RFC 3986, 3.2.2 and 3.2.3; what is no host and port stays as it is."""
    parts = re.fullmatch(r"(\[[^\]]*\]|[^:]*)(:[0-9]*)?", host)
    return host if parts is None else parts[1]


class Hosts:
    """Answers 421 to requests for other hosts. One without a Host (HTTP/1.0) comes from no browser."""

    def __init__(self, app: ASGIApp, names: Sequence[str] = ()) -> None:
        self._app = app
        self._names = tuple(names)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            for name, value in scope["headers"]:
                if name == b"host" and not is_allowed(value.decode("latin-1"), self._names):
                    await self._refuse(value.decode("latin-1"))(scope, receive, send)
                    return
        await self._app(scope, receive, send)

    def _refuse(self, host: str) -> PlainTextResponse:
        return PlainTextResponse(
            f"Host must be an IP address, localhost or a name of a private network, got {host[:_SHOWN]!r}: "
            f"add it to {VARIABLE} of the balancer where it is this balancer's name\n",
            _MISDIRECTED,
        )
