"""A setting is parsed once at each hop, where a process boundary is a hop, and written once for the next one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from grpc_lb_contract import Document, Registration, Route, Service, assemble, pack, read_index, read_labels
from grpc_lb_contract.policy.traffic_policy import TABLE

LABEL = "grpc-lb.deadline.default"


class Counts:
    """How often the texts of one setting were parsed, and its values written."""

    def __init__(self) -> None:
        self.parses = self.writes = 0

    def taken(self) -> tuple[int, int]:
        """(parses, writes) since the last time."""
        found = self.parses, self.writes
        self.parses = self.writes = 0
        return found


@pytest.fixture
def counts() -> Iterator[Counts]:
    """Counts what happens to `grpc-lb.deadline.default`, whoever does it."""
    counted = Counts()
    (row,) = (row for row in TABLE if row.label == LABEL)
    kind = row.setting.kind
    read, write = kind.read, kind.write

    def counting(name: str, inner: Callable[[Any], Any]) -> Callable[[Any], Any]:
        def counts_itself(value: Any) -> Any:
            setattr(counted, name, getattr(counted, name) + 1)
            return inner(value)

        return counts_itself

    object.__setattr__(kind, "read", counting("parses", read))
    object.__setattr__(kind, "write", counting("writes", write))
    yield counted
    object.__setattr__(kind, "read", read)
    object.__setattr__(kind, "write", write)


def registered(counts: Counts) -> Registration:
    reading = read_labels(
        {"grpc-lb.enable": "true", LABEL: "5s"}, mapped_ports=[50051], default_service="rng", family="rng"
    )
    assert not reading.errors
    assert reading.registration is not None
    return reading.registration


def test_a_label_is_parsed_once_by_the_lambda_and_written_once_into_the_document(counts: Counts) -> None:
    registration = registered(counts)
    assert counts.taken() == (1, 0)
    # WHEN the service is part of a document that is packed for SSM
    document = Document((Service(registration.service, (Route(),), policy=registration.policy),))
    packed = pack(document)
    assert counts.taken() == (0, 1)
    # AND a balancer reads it
    assert assemble(read_index(packed.index), packed.shards) == document
    assert counts.taken() == (1, 0)
