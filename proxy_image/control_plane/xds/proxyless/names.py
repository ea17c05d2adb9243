"""The names that clients ask for: `xds:///NAME`, `xds:///NAME:PORT`, and with an authority `xds://AUTHORITY/NAME`.

gRFC A47 makes of the last one `xdstp://AUTHORITY/TYPE/NAME`; what it leads to keeps its authority, so that a client
whose bootstrap has servers for that authority alone finds all of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from urllib.parse import quote, unquote

from proxy_image.control_plane.xds.resource_types import ResourceType

SCHEME = "xdstp://"
# The sentence about an unknown name is a name itself, and must be shorter than the longest, percent-encoded too.
MAX_SAID = 63
MAX_LISTED_LENGTH = 200
_SEPARATOR_LENGTH = len(",%20")

# What servers ask for (gRFC A36): they are no clients, and a listener for clients would be rejected.
SERVERS = "grpc/server"

_PORT = re.compile(r":\d{1,5}$")
_UNKNOWN = "unknown name "
_UNKNOWN_PLUS = "unknown+name+"
# C-core writes a cluster's name into JSON as it is.
_NOT_SAID = re.compile(r"[\x00-\x1f\x7f'\"\\]")


@dataclass(frozen=True, slots=True)
class Name:
    """A resource's name without its authority, and the authority: None for the names of old."""

    plain: str
    authority: str | None = None

    def of(self, resource_type: ResourceType, plain: str) -> str:
        """The full name of what this one leads to."""
        if self.authority is None:
            return plain
        quoted = _without_escapes(plain) if is_unknown(plain) else quote(plain, safe=":',")
        return f"{SCHEME}{self.authority}/{resource_type.url.rpartition('/')[2]}/{quoted}"


def read_name(resource_type: ResourceType, text: str) -> Name | None:
    """None for what names no resource of this type."""
    if not text or text.startswith(SERVERS):
        return None
    if not text.startswith(SCHEME):
        return Name(text)
    authority, _, rest = text.removeprefix(SCHEME).partition("/")
    type_name, _, identifier = rest.partition("/")
    if type_name != resource_type.url.rpartition("/")[2]:
        return None
    plain = unquote(identifier.partition("?")[0].partition("#")[0])
    return Name(plain.replace("+", " ") if plain.startswith(_UNKNOWN_PLUS) else plain, authority)


def called(name: str) -> str:
    """What a client means: a port is the task's own affair, and the dot at the end of a host name is DNS's."""
    return _PORT.sub("", name).removesuffix(".")


def unknown(name: str, services: Iterable[str], hosts: Iterable[str]) -> str:
    """The sentence that a caller reads: the name of a cluster without targets, which clients quote in their error."""
    there = [*services, *hosts]
    lengths = accumulate(len(each) + _SEPARATOR_LENGTH for each in there)
    listed = [each for each, length in zip(there, lengths, strict=True) if length <= MAX_LISTED_LENGTH]
    more = f" and {len(there) - len(listed)} more" if len(listed) < len(there) else ""
    said = _NOT_SAID.sub("_", name[:MAX_SAID])
    return f"{_UNKNOWN}'{said}': must be a service or host of this control plane: {_said(listed)}{more}"


def _said(listed: Iterable[str]) -> str:
    return ", ".join(listed) or "none"


def _without_escapes(sentence: str) -> str:
    """Without what Go encodes when it asks, while its routes have it as it is: that ended its process (1.85)."""
    return re.sub(r"[^A-Za-z0-9.:,+-]", "_", sentence.replace(" ", "+").replace("'", ""))


def is_unknown(cluster: str) -> bool:
    return cluster.startswith(_UNKNOWN)
