"""The calls that a rule takes, as sets that our routes can say, and those sets of which they cannot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from grpc_lb_contract import Condition
from grpc_lb_contract.names import ALL
from traefik_labels.rules.host_patterns import may_take

MAX_SETS = 512
"""While a rule is taken apart; what it ends as must fit a service's routes anyway."""


class TooManyCases(ValueError):  # noqa: N818 - the name says what is the matter
    """A rule of too many cases. Its message goes on after "must be"."""


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls to a host (or a `*.domain`), a gRPC service and one of its methods, whose metadata fits every
    condition. `unsaid` tells what else a rule asks of them that no route can ask; calls that no call of gRPC can be are
    none of these sets.
    """

    host: str = ALL
    grpc_service: str = ALL
    method: str = ALL
    metadata: frozenset[Condition] = frozenset()
    unsaid: frozenset[str] = field(default=frozenset())
    patterns: frozenset[str] = field(default=frozenset())
    """Regular expressions that a rule asks of the host, among what is unsaid."""

    def and_(self, other: Calls) -> Calls | None:
        """Those that are in both; None where none is."""
        host = _narrower_host(self.host, other.host)
        grpc_service = _narrower(self.grpc_service, other.grpc_service)
        method = _narrower(self.method, other.method)
        if host is None or grpc_service is None or method is None:
            return None
        patterns = self.patterns | other.patterns
        if is_exact(host) and not all(may_take(pattern, host) for pattern in patterns):
            return None
        return Calls(host, grpc_service, method, self.metadata | other.metadata, self.unsaid | other.unsaid, patterns)


def is_exact(host: str) -> bool:
    """Whether it is a single name, and no pattern."""
    return "*" not in host


EVERY: tuple[Calls, ...] = (Calls(),)
NONE: tuple[Calls, ...] = ()


def all_of(parts: Iterable[Sequence[Calls]]) -> tuple[Calls, ...]:
    """What is in every part, each part a union of sets. Raises TooManyCases."""
    found = EVERY
    for part in parts:
        both = (one.and_(other) for one in found for other in part)
        found = any_of([[calls for calls in both if calls is not None]])
    return found


def any_of(parts: Iterable[Iterable[Calls]]) -> tuple[Calls, ...]:
    """What is in one part at least. Raises TooManyCases."""
    found = dict.fromkeys(calls for part in parts for calls in part)
    if len(found) > MAX_SETS:
        raise TooManyCases(f"a rule of at most {MAX_SETS} cases, got {len(found)} (write several routers)")
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Block:
    """What one set of our labels says: each host with each gRPC service and each method."""

    hosts: tuple[str, ...]
    grpc_services: tuple[str, ...]
    methods: tuple[str, ...]
    metadata: frozenset[Condition]

    @property
    def routes(self) -> int:
        return len(self.hosts) * (len(self.grpc_services) + len(self.methods))


def blocks_of(sets: Iterable[Calls]) -> tuple[Block, ...]:
    """As few sets of labels as say the same: those that differ only in hosts are one, and then those that differ only
    in gRPC services and methods.
    """
    by_path: dict[object, Block] = {}
    for calls in sets:
        whole = calls.method == ALL
        services: tuple[str, ...] = (calls.grpc_service,) if whole else ()
        methods: tuple[str, ...] = () if whole else (f"{calls.grpc_service}/{calls.method}",)
        block = Block((calls.host,), services, methods, calls.metadata)
        path = services, methods, calls.metadata
        known = by_path.get(path)
        by_path[path] = block if known is None else replace(known, hosts=_with(known.hosts, block.hosts))
    by_hosts: dict[object, Block] = {}
    for block in by_path.values():
        hosts = frozenset(block.hosts), block.metadata
        known = by_hosts.get(hosts)
        by_hosts[hosts] = (
            block
            if known is None
            else replace(
                known,
                grpc_services=_with(known.grpc_services, block.grpc_services),
                methods=_with(known.methods, block.methods),
            )
        )
    return tuple(
        replace(block, grpc_services=(ALL,), methods=()) if ALL in block.grpc_services else block
        for block in by_hosts.values()
    )


def _with(some: tuple[str, ...], more: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*some, *more)))


def _narrower(one: str, other: str) -> str | None:
    if one in (ALL, other):
        return other
    return one if other == ALL else None


def _narrower_host(one: str, other: str) -> str | None:
    found = _narrower(one, other)
    if found is None and _is_below(one, other):
        return one
    return other if found is None and _is_below(other, one) else found


def _is_below(host: str, pattern: str) -> bool:
    """Whether every host that `host` stands for is one of `pattern`, a `*.domain`."""
    return pattern.startswith("*.") and host.endswith(pattern[1:])
