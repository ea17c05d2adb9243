"""How many ADS streams there may be, and how much memory they hold together. Whoever has most gives way first."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from proxy_image.control_plane.limits.refusal import RefusedStream, exhausted

MAX_STREAMS = 1_000
# Of HTTP/2: a client that wants more waits by itself. It has one for each service that it calls, or one for all.
MAX_STREAMS_PER_CONNECTION = 100
MAX_HELD_BYTES = 32 * 2**20


@dataclass(eq=False, slots=True)
class Ticket:
    """One stream's place among all. `end` is called where it has to give way."""

    peer: str
    end: Callable[[RefusedStream], None]
    order: int = 0
    held: int = 0
    """Bytes: names it has subscribed to, and responses that it has not read."""
    since: int = field(default=0)

    @property
    def host(self) -> str:
        return self.peer.rpartition(":")[0]


class Streams:
    """The open streams of all gRPC clients."""

    def __init__(self, *, most: int = MAX_STREAMS, most_held: int = MAX_HELD_BYTES) -> None:
        self._most = most
        self._most_held = most_held
        self._tickets: dict[Ticket, None] = {}
        self._held = 0
        self._numbers = itertools.count(1)

    def __len__(self) -> int:
        return len(self._tickets)

    @property
    def held(self) -> int:
        return self._held

    def enter(self, peer: str, end: Callable[[RefusedStream], None]) -> Ticket:
        """A place for a stream of this peer (`ipv4:ADDRESS:PORT`). Raises `RefusedError` where there is none."""
        ticket = Ticket(peer, end, order=next(self._numbers))
        if len(self._tickets) >= self._most:
            self._make_room_for(ticket)
        self._tickets[ticket] = None
        return ticket

    def leave(self, ticket: Ticket) -> None:
        if ticket in self._tickets:
            del self._tickets[ticket]
            self._held -= ticket.held

    def hold(self, ticket: Ticket, size: int) -> None:
        """The stream now holds so many bytes. Whoever holds most gives way where that is too much for all."""
        if ticket not in self._tickets:
            return
        self._held += size - ticket.held
        if size > ticket.held:
            ticket.since = next(self._numbers)
        ticket.held = size
        while self._held > self._most_held:
            largest = max(self._tickets, key=lambda each: (each.held, -each.since))
            message = (
                f"all streams together may hold {self._most_held:,} bytes of names and unread responses, and this one "
                f"holds most, {largest.held:,}: subscribe to fewer names, read responses sooner"
            )
            self._end(largest, message)

    def _make_room_for(self, ticket: Ticket) -> None:
        hosts = Counter(each.host for each in self._tickets)
        host = max(hosts, key=lambda each: (hosts[each], each))
        peers = Counter(each.peer for each in self._tickets if each.host == host)
        most = max(peers.values())
        gives_way = hosts[host] > hosts[ticket.host] + 1 if host != ticket.host else most > peers[ticket.peer] + 1
        message = f"a balancer serves at most {self._most:,} ADS streams: close streams, or add balancer tasks"
        if not gives_way:
            raise exhausted(message)
        newest = max((each for each in self._tickets if peers[each.peer] == most), key=lambda each: each.order)
        self._end(newest, f"{message} ({newest.peer} has {most}, and others wait)")

    def _end(self, ticket: Ticket, message: str) -> None:
        self.leave(ticket)
        ticket.end(exhausted(message).refusal)
