"""Names of services here, one for each of Traefik's: names that Traefik tells apart must not become one."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence

from traefik_labels.cluster.parts import Part

_LONGEST = 63
_HASH = 8


def name_services(parts: Sequence[Part]) -> None:
    wanted: defaultdict[str, set[str]] = defaultdict(set)
    said: set[tuple[str, str]] = set()
    for part in parts:
        for one in part.served:
            wanted[one.wanted].add(one.service)
            if one.is_said:
                said.add((one.wanted, one.service))
    for part in parts:
        for one in part.served:
            # The one whose name it is keeps it: as it stands, then as a label says it, then the first.
            keeps = min(wanted[one.wanted], key=lambda name: (name != one.wanted, (one.wanted, name) not in said, name))
            one.name = one.wanted if one.is_said else None
            if one.service != keeps:
                one.name = f"{one.wanted[: _LONGEST - _HASH - 1].rstrip('-')}-{_hash(one.service)}"
                part.draft.differs(
                    one.label, f"it is {one.name} here: {one.wanted} is another service, which Traefik calls {keeps}"
                )


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode(errors="surrogatepass")).hexdigest()[:_HASH]
