from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.sources.targets_file import TargetsFileError, TargetsFileSource, parse_targets
from tests.proxy_image.control_plane.fakes import RememberingSink

ONE = {"services": [{"name": "rng", "targets": ["127.0.0.1:50051"]}]}


def parse(content: Any) -> Document:
    return parse_targets(json.dumps(content), "targets.json")


def rng_target(port: int, **more: Any) -> Target:
    fields = {"ip": "127.0.0.1", "zone": "", "state": TargetState.SERVING, "group": "rng", **more}
    return Target(port=port, task=f"{fields['ip']}:{port}", **fields)


def test_a_name_and_targets_are_enough() -> None:
    assert parse(ONE) == Document((Service("rng", (Route(),), (Group("rng"),), (rng_target(50051),)),))


def test_hosts_and_grpc_services_make_routes() -> None:
    document = parse(
        {"services": [{"name": "rng", "hosts": ["a.test", "*.b.test"], "grpc_services": ["x.Y"], "targets": []}]}
    )
    assert document.services[0].routes == (Route("*.b.test", "x.Y"), Route("a.test", "x.Y"))


def test_a_target_may_say_its_zone_and_that_it_drains() -> None:
    document = parse(
        {"services": [{"name": "rng", "targets": [{"address": "[::1]:50051", "zone": "a", "draining": True}]}]}
    )
    assert document.services[0].targets == (rng_target(50051, ip="::1", zone="a", state=TargetState.DRAINING),)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "the file must be an object with services"),
        ({}, "must have services, got only nothing"),
        ({"service": []}, r"got 'service' \(services\?\)"),
        ({"services": {}}, "services of the file must be a list"),
        ({"services": [1]}, "service 1 must be an object"),
        ({"services": [{"name": "rng"}]}, "service 1 must have targets"),
        ({"services": [{"name": "rng", "host": ["a"], "targets": []}]}, r"got 'host' \(hosts\?\)"),
        ({"services": [{"name": "RNG", "targets": []}]}, "got 'RNG'"),
        ({"services": [{"name": 3, "targets": []}]}, "name of service 1 must be a text"),
        ({"services": [{"name": "rng", "hosts": ["a:1"], "targets": []}]}, "got 'a:1'"),
        ({"services": [{"name": "rng", "hosts": [1], "targets": []}]}, "hosts of service rng must each be a text"),
        ({"services": [{"name": "rng", "targets": ["localhost:50051"]}]}, "got 'localhost:50051'"),
        ({"services": [{"name": "rng", "targets": ["127.0.0.1"]}]}, "an IP address and a port"),
        ({"services": [{"name": "rng", "targets": ["127.0.0.1:0"]}]}, "an IP address and a port"),
        ({"services": [{"name": "rng", "targets": [5]}]}, "an IP address and a port"),
        ({"services": [{"name": "rng", "targets": [{"address": "127.0.0.1:1", "drain": True}]}]}, r"draining\?"),
        ({"services": [ONE["services"][0], ONE["services"][0]]}, "names of their own"),
        ({"services": [ONE["services"][0], {"name": "two", "targets": []}]}, "which holds it"),
    ],
)
def test_a_bad_field_is_named(content: Any, message: str) -> None:
    with pytest.raises(TargetsFileError, match=message) as failed:
        parse(content)
    assert "targets.json" in str(failed.value)


@pytest.mark.parametrize("text", ["", "{", "services: []", "[" * 100_000])
def test_what_is_not_json_is_said_so(text: str) -> None:
    with pytest.raises(TargetsFileError, match=r"targets file targets\.json must be JSON"):
        parse_targets(text, "targets.json")


async def test_a_start_with_a_missing_file_is_an_error(tmp_path: Path) -> None:
    source = TargetsFileSource(tmp_path / "none.json", poll_seconds=1, sink=RememberingSink())
    with pytest.raises(TargetsFileError, match=r"none\.json cannot be read"):
        await source.start()


async def test_a_changed_file_is_read_and_an_unchanged_one_confirmed(tmp_path: Path) -> None:
    path, sink = tmp_path / "targets.json", RememberingSink()
    path.write_text(json.dumps(ONE))
    source = TargetsFileSource(path, poll_seconds=1, sink=sink)
    await source.start()
    await source.read()
    assert (sink.origins, sink.confirmations) == ([Origin.FILE], 2)
    path.write_text(json.dumps({"services": []}))
    await source.read()
    assert sink.document == Document()


async def test_a_file_that_turns_bad_or_goes_leaves_the_targets_as_they_are(tmp_path: Path) -> None:
    path, sink = tmp_path / "targets.json", RememberingSink()
    path.write_text(json.dumps(ONE))
    source = TargetsFileSource(path, poll_seconds=1, sink=sink)
    await source.start()
    path.write_text("{")
    await source.read()
    path.unlink()
    await source.read()
    assert sink.troubles == [Trouble.BROKEN, Trouble.MISSING]
    assert sink.document == parse(ONE)
    path.write_text(json.dumps({"services": []}))
    await source.read()
    assert sink.document == Document()
