"""Ports that are taken, and addresses that are not there."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

import pytest

from local_aws import addresses
from local_aws.addresses import GATEWAY_PORT, Range, claim_range
from local_aws.errors import LocalAwsError
from local_aws.layout import Layout
from local_aws.lifecycle.preflight import check_ports, listened_ports
from local_aws.stand_in.resources import check_port_is_free


def template(port: int) -> dict[str, object]:
    return {
        "Resources": {
            "Listener": {"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": {"Port": str(port)}},
            "Tasks": {
                "Type": "AWS::ECS::TaskDefinition",
                "Properties": {"ContainerDefinitions": [{"PortMappings": [{"ContainerPort": 50311}]}, {}]},
            },
            "Topic": {"Type": "AWS::SNS::Topic"},
        }
    }


def test_the_template_says_which_ports_will_be_listened_on() -> None:
    assert sorted(listened_ports(template(50312))) == [50311, 50312]


def test_a_port_taken_on_all_addresses_is_told_with_its_owner_and_the_way_out() -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(LocalAwsError) as refused:
            check_ports([template(port)], Range(200))
        comm = Path("/proc/self/comm").read_text().strip()
        assert str(refused.value) == (
            f"port {port} must be free on 127.0.200.10, got 'Address already in use by process {os.getpid()}, {comm}'; "
            f"stop that program (ss -ltnp 'sport = :{port}')"
        )
        with pytest.raises(ValueError, match=f"port {port} must be free on 127.0.200.11"):
            check_port_is_free("127.0.200.11", port)
    check_ports([template(port)], Range(200))


@pytest.mark.parametrize(
    ("layout", "problem"),
    [
        (Layout(app_folder=Path("/none")), "--app must be a folder with a cdk.json, got /none"),
        (Layout(assembly=Path("/none")), "--assembly must be a folder that `cdk synth` wrote, .*, got /none"),
    ],
)
def test_a_folder_with_nothing_to_deploy_is_told_before_anything_starts(layout: Layout, problem: str) -> None:
    with pytest.raises(LocalAwsError, match=problem):
        layout.check_app()


def test_two_runs_get_two_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    # GIVEN a run that has a range
    first = claim_range()
    number = first.addresses.number
    with first.held, first.front:
        assert first.front.getsockname() == (f"127.0.{number}.1", GATEWAY_PORT)
        with pytest.raises(OSError, match="in use"):
            socket.create_server((f"127.0.{number}.1", GATEWAY_PORT))
        # WHEN another one asks for this very one first THEN it gets a free one, also in an outage, where nobody listens
        ahead = [number, *(other for other in range(16, 250) if other != number)]
        monkeypatch.setattr(random, "sample", lambda *_arguments, **_named: ahead)
        first.front.close()
        second = claim_range()
        with second.held, second.front:
            assert second.addresses.number != number


def test_a_port_that_is_taken_everywhere_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("0.0.0.0", 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setattr(addresses, "GATEWAY_PORT", port)
        with pytest.raises(LocalAwsError, match=f"with port {port} free .* ss -ltnp 'sport = :{port}'"):
            claim_range()
