"""docs/transparency.md has a row for every number that Envoy is given, and the test that each row names is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format

from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.resource_types import Audience
from proxy_image.control_plane.xds.snapshot_maker import snapshot
from proxy_image.envoy.bootstrap import Node, bootstrap
from proxy_image.settings import from_environment
from tests.docs.pages import ROOT, page, section, tables
from tests.proxy_image.control_plane.support import rng, target

# Numbers that bound nothing: addresses, identifiers, what a reply says, switches from 0 to 100.
BOUND_NOTHING = re.compile(
    r"port_value|mode|identifier|level|name|status|status_code|enforcing_\w+|value_fixed|numerator|header\.value"
)
# Names that say little without that of what they are in.
GENERAL = {"value", "interval", "timeout", "base_interval", "max_interval", "int_value"}
NUMBER = re.compile(r"-?\d+(\.\d+)?s?")
ROWS = [row for table in tables(section(page("transparency"), "## Defaults"))[:1] for row in table]
NO_TEST = "Envoy's own"


def test_every_number_that_envoy_is_given_has_a_row(tmp_path: Path) -> None:
    documented = set(re.findall(r"`([^`]+)`", " ".join(row[0] for row in ROWS)))
    given = {_name(path) for path in _numbers(tmp_path)}
    assert len(given) > 30
    assert given - documented == set()


@pytest.mark.parametrize("row", range(len(ROWS)), ids=[row[0][:40] for row in ROWS])
def test_the_test_of_a_row_is_there(row: int) -> None:
    cell = next(ROWS[number][4] for number in range(row, -1, -1) if ROWS[number][4] != "the same")
    if cell == NO_TEST:
        return
    for name in re.findall(r"`([^`]+)`", cell):
        assert [*ROOT.glob(f"tests/**/{name.rstrip('/')}")], name


def _numbers(directory: Path) -> Iterator[tuple[str, ...]]:
    settings = from_environment(
        {"GRPC_LB_TARGETS_FILE": "none", "GRPC_LB_STATE_DIR": str(directory), "GRPC_LB_TRACING_PERCENT": "1"}
    )
    yield from _paths(bootstrap(settings, Node("node", "cluster", "zone"), descriptors=10_000, memory=2**30))
    made = snapshot(rng(target(1)), Ports("127.0.0.1", 1, 2), telemetry=settings.telemetry)
    for resources in made.audiences[Audience.ENVOY].by_type.values():
        for resource in resources.values():
            yield from _paths(json_format.MessageToDict(resource.envelope, preserving_proto_field_name=True))


def _paths(value: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    match value:
        case dict():
            for key, inner in value.items():
                yield from _paths(inner, (*path, key))
        case list():
            for inner in value:
                yield from _paths(inner, path)
        case bool():
            return
        case int() | float() | str() if NUMBER.fullmatch(str(value)) and not BOUND_NOTHING.fullmatch(_name(path)):
            yield path


def _name(path: tuple[str, ...]) -> str:
    return ".".join(path[-2:]) if path[-1] in GENERAL else path[-1]
