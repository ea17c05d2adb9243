"""The whole template of every way of use: what a change of the constructs would deploy, to be read in its diff.

`pytest tests/cdk_grpc_lb/test_snapshots.py --snapshot-update` takes a change that is wanted.
"""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from tests.cdk_grpc_lb.template import Synthesised

WAYS = ("Platform", "Team", "Legacy", "Fleet", "Public", "Whole", "Elsewhere")


@pytest.fixture
def template(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


def masked(synthesised: Synthesised) -> Any:
    """Without the hashes of assets, which change with every line of the code in them."""
    return json.loads(re.sub(r"\b[0-9a-f]{64}\b", "HASH", json.dumps(synthesised.body)))


def test_the_example(example: Synthesised, template: SnapshotAssertion) -> None:
    assert masked(example) == template


def test_the_example_with_its_comparison(comparison: Synthesised, template: SnapshotAssertion) -> None:
    assert masked(comparison) == template


@pytest.mark.parametrize("way", WAYS)
def test_a_way_of_use(way: str, ways: dict[str, Synthesised], template: SnapshotAssertion) -> None:
    assert masked(ways[way]) == template


def test_every_way_of_use_has_a_snapshot(ways: dict[str, Synthesised]) -> None:
    assert ways.keys() == set(WAYS)
