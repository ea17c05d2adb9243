"""Which tests run in the same process, where several run side by side: those that share what is made but once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from types import ModuleType
from typing import Any

import pytest


def groups_of(shared: Mapping[str, frozenset[str]]) -> dict[str, str]:
    """Test → group, from test → the fixtures of the session that it needs. Tests that need one in common, or are linked
    by others that do, have one group; a test that needs none has no group.
    """
    leader: dict[str, str] = {}

    def find(fixture: str) -> str:
        while leader.setdefault(fixture, fixture) != fixture:
            fixture = leader[fixture]
        return fixture

    for fixtures in shared.values():
        first, *others = sorted(fixtures) or [""]
        for other in others:
            one, another = sorted((find(first), find(other)))
            leader[another] = one
    return {test: find(min(fixtures)) for test, fixtures in shared.items() if fixtures}


def makes_constructs(item: pytest.Item) -> bool:
    """Whether a test makes constructs: aws-cdk-lib runs in a Node of each process, where its code is slow at first."""
    module = getattr(item, "module", None)
    return module is not None and _has_constructs(module)


@cache  # a module has many tests
def _has_constructs(module: ModuleType) -> bool:
    kinds = [value for value in vars(module).values() if isinstance(value, (ModuleType, type))]
    origins = (kind.__name__ if isinstance(kind, ModuleType) else kind.__module__ for kind in kinds)
    return any(origin.partition(".")[0] in ("aws_cdk", "cdk_grpc_lb", "app") for origin in origins)


def session_fixtures(item: pytest.Item) -> frozenset[str]:
    """The fixtures of these tests, not of plugins, that are made once a session or folder, that this test needs."""
    return frozenset(
        f"{definition.func.__module__}:{name}"
        for name, definition in _fixtures(item)
        if definition.scope in ("session", "package")
    )


def shares_with_its_module(item: pytest.Item) -> bool:
    """Whether a test needs what is made once for all tests of its file: a balancer, of which one is enough."""
    return any(definition.scope == "module" for _, definition in _fixtures(item))


def _fixtures(item: pytest.Item) -> Iterator[tuple[str, Any]]:
    definitions: Mapping[str, Iterable[Any]] = item._fixtureinfo.name2fixturedefs  # type: ignore[attr-defined]  # pytest has no public way
    for name, found in definitions.items():
        for definition in list(found)[-1:]:
            if definition.baseid.startswith("tests"):
                yield name, definition
