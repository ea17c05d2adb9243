"""Streams and their memory: whoever has most gives way."""

from __future__ import annotations

import pytest

from proxy_image.control_plane.limits.refusal import RefusedError, RefusedStream
from proxy_image.control_plane.limits.xds_streams import Streams, Ticket


class Clients:
    """Streams by name, and who of them was ended, in order."""

    def __init__(self, streams: Streams) -> None:
        self.streams = streams
        self.ended: list[str] = []
        self.reasons: list[str] = []

    def enter(self, name: str, peer: str) -> Ticket:
        def end(refusal: RefusedStream) -> None:
            self.ended.append(name)
            self.reasons.append(f"{refusal.code.name}: {refusal.message}")

        return self.streams.enter(peer, end)


def test_the_host_with_the_most_streams_gives_up_its_newest_for_another() -> None:
    clients = Clients(Streams(most=3))
    for number in range(3):
        clients.enter(f"greedy {number}", f"ipv4:10.0.0.1:{9 - number}")
    clients.enter("honest", "ipv4:10.0.0.2:1")
    assert clients.ended == ["greedy 2"]
    assert len(clients.streams) == 3
    assert clients.reasons[0].startswith("RESOURCE_EXHAUSTED: a balancer serves at most 3 ADS streams")


def test_behind_one_address_the_connection_with_the_most_streams_gives_way() -> None:
    """The load balancer in front hides its clients' addresses."""
    clients = Clients(Streams(most=3))
    for number in range(3):
        clients.enter(f"greedy {number}", "ipv4:10.0.0.1:7")
    clients.enter("honest", "ipv4:10.0.0.1:8")
    assert clients.ended == ["greedy 2"]


def test_a_client_does_not_push_out_one_that_has_no_more_than_itself() -> None:
    clients = Clients(Streams(most=2))
    clients.enter("first", "ipv4:10.0.0.1:1")
    clients.enter("second", "ipv4:10.0.0.2:1")
    with pytest.raises(RefusedError, match="at most 2 ADS streams: close streams, or add balancer tasks"):
        clients.enter("third", "ipv4:10.0.0.3:1")
    assert clients.ended == []


def test_a_stream_that_leaves_makes_room() -> None:
    clients = Clients(Streams(most=1))
    ticket = clients.enter("first", "ipv4:10.0.0.1:1")
    clients.streams.leave(ticket)
    clients.enter("second", "ipv4:10.0.0.1:1")
    assert clients.ended == []


def test_whoever_holds_most_is_ended_where_all_together_hold_too_much() -> None:
    clients = Clients(Streams(most_held=100))
    small, large, last = (clients.enter(name, f"ipv4:10.0.0.1:{name}") for name in ("small", "large", "last"))
    clients.streams.hold(small, 10)
    clients.streams.hold(large, 80)
    clients.streams.hold(last, 15)
    assert clients.ended == ["large"]
    assert clients.streams.held == 25
    # AND what it does afterwards counts no more
    clients.streams.hold(large, 500)
    clients.streams.leave(large)
    assert clients.streams.held == 25


def test_of_equals_whoever_has_held_it_longest_is_ended() -> None:
    """A client that reads holds a response for a moment, one that does not for ever."""
    clients = Clients(Streams(most_held=100))
    stuck, reading = clients.enter("stuck", "ipv4:10.0.0.1:1"), clients.enter("reading", "ipv4:10.0.0.1:2")
    clients.streams.hold(stuck, 60)
    clients.streams.hold(reading, 60)
    assert clients.ended == ["stuck"]
