"""Which clients there are without a proxy, what they call, and what of their services' policies they cannot follow."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass

from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind
from proxy_image.control_plane.xds.proxyless.load_reports import CallCounts
from proxy_image.control_plane.xds.proxyless.unsupported_settings import Unfollowed

log = logging.getLogger(__name__)

# Versions are what strangers say: those beyond this are not told of one by one.
MAX_TOLD = 1_000


@dataclass(frozen=True, slots=True)
class ClientGroup:
    """So many clients of one kind, in one availability zone ("" where unknown), and the services that they call."""

    name: str
    zone: str
    clients: int
    services: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Subscribed:
    kind: ClientKind
    zone: str
    services: frozenset[str]
    unfollowed: frozenset[Unfollowed]


class ClientRegister:
    def __init__(self) -> None:
        self._streams: dict[int, _Subscribed] = {}
        self._told: set[Unfollowed] = set()
        self.calls = CallCounts()

    def subscribed(
        self,
        stream: object,
        kind: ClientKind,
        zone: str,
        services: Collection[str],
        unfollowed: Collection[Unfollowed],
    ) -> None:
        """What a stream is subscribed to now, in place of what it was before."""
        self._streams[id(stream)] = _Subscribed(kind, zone, frozenset(services), frozenset(unfollowed))
        for each in sorted(unfollowed):
            if each not in self._told and len(self._told) < MAX_TOLD:
                self._told.add(each)
                facts = {field: getattr(each, field) for field in ("service", "label", "client", "problem")}
                log.warning("policy not followed by a client", extra={"facts": facts})

    def gone(self, stream: object) -> None:
        self._streams.pop(id(stream), None)

    @property
    def groups(self) -> tuple[ClientGroup, ...]:
        counts: Counter[tuple[str, str, tuple[str, ...]]] = Counter(
            (each.kind.name, each.zone, tuple(sorted(each.services))) for each in self._streams.values()
        )
        return tuple(
            ClientGroup(name, zone, count, services) for (name, zone, services), count in sorted(counts.items())
        )

    @property
    def unfollowed(self) -> tuple[Unfollowed, ...]:
        """Of the clients that are there now."""
        found: set[Unfollowed] = set()
        for each in self._streams.values():
            found |= each.unfollowed
        return tuple(sorted(found))
