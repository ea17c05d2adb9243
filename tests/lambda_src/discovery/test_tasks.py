"""What ECS says of tasks and task definitions, from its answers to targets."""

from __future__ import annotations

from typing import Any

import pytest

from lambda_src.discovery.tasks import task_definition_from, task_from
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import FakeAws, Json, interface


def ports(*mappings: Json) -> tuple[int, ...]:
    described: Any = {"containerDefinitions": [{"name": "app", "portMappings": list(mappings)}]}
    return task_definition_from(described).containers[0].ports


def served(sync: Sync) -> set[tuple[str, int]]:
    return {(target.ip, target.port) for service in sync.document().services for target in service.targets}


def test_the_only_tcp_port_is_the_port(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a gRPC port beside StatsD's, and no label that names one
    mappings = [{"containerPort": 8125, "protocol": "udp"}, {"containerPort": 50051, "protocol": "tcp"}]
    aws.define("rng", portMappings=mappings)
    aws.run(1)
    sync.minute()
    assert served(sync) == {("10.0.0.1", 50051)}
    assert sync.document().diagnostics.rejected_count == 0


def test_a_container_that_maps_udp_alone_is_told_to_map_a_tcp_port(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.define("rng", portMappings=[{"containerPort": 8125, "protocol": "udp"}])
    aws.run(1)
    sync.minute()
    [facts] = logged.about("label rejected")
    assert facts["problem"] == "must be a mapped TCP port, and the container maps none (add a port mapping)"


def test_a_port_label_may_name_any_port_of_a_range(aws: FakeAws, sync: Sync) -> None:
    aws.define(
        "rng",
        labels={"grpc-lb.enable": "true", "grpc-lb.port": "50053"},
        portMappings=[{"containerPortRange": "50051-50055", "protocol": "tcp"}],
    )
    aws.run(1)
    sync.minute()
    assert served(sync) == {("10.0.0.1", 50053)}


def test_a_port_outside_a_range_is_refused_with_the_range(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.define(
        "rng",
        labels={"grpc-lb.enable": "true", "grpc-lb.port": "50056"},
        portMappings=[{"containerPortRange": "50051-50055"}, {"containerPort": 8080}],
    )
    aws.run(1)
    sync.minute()
    [facts] = logged.about("label rejected")
    assert facts["problem"] == "must be one of the mapped ports 8080, 50051-50055"


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"containerPort": 50051}, (50051,)),
        ({"containerPortRange": "50051-50053"}, (50051, 50052, 50053)),
        ({"containerPortRange": "50051-50053", "protocol": "udp"}, ()),
        ({"containerPortRange": "50051-50051"}, (50051,)),
        ({"containerPortRange": "50051-50052", "hostPortRange": "32768-32769"}, (50051, 50052)),
        ({"containerPort": 50051, "hostPort": 0}, (50051,)),
        ({"containerPortRange": "9-1"}, ()),
        ({"containerPortRange": "1-99999999"}, ()),
        ({"containerPortRange": "all"}, ()),
        ({"containerPortRange": "١-٢"}, (1, 2)),
        ({}, ()),
    ],
)
def test_mapped_ports_are_those_of_tcp(mapping: Json, expected: tuple[int, ...]) -> None:
    assert ports(mapping) == expected


def ipv6(name: str, address: str) -> Json:
    return {"type": "ElasticNetworkInterface", "details": [{"name": name, "value": address}]}


@pytest.mark.parametrize(
    "where",
    [
        {"attachments": [ipv6("ipv6Address", "2001:DB8:0::1")]},
        {"attachments": [ipv6("privateIPv6Address", "2001:db8::1")]},
        {"attachments": [], "containers": [{"name": "app", "networkInterfaces": [{"ipv6Address": "2001:db8::1"}]}]},
    ],
)
def test_a_task_that_has_only_an_ipv6_address_serves_there(where: Json, aws: FakeAws, sync: Sync) -> None:
    aws.run(1, **where)
    sync.minute()
    assert served(sync) == {("2001:db8::1", 50051)}


def test_a_task_of_both_families_serves_at_its_ipv4_address(aws: FakeAws, sync: Sync) -> None:
    both = ipv6("ipv6Address", "2001:db8::1")
    both["details"] += interface("10.0.0.9")["details"]
    aws.run(1, attachments=[both])
    sync.minute()
    assert served(sync) == {("10.0.0.9", 50051)}


@pytest.mark.parametrize("address", ["", "0.0.0.0", "::", "fe80::1", "no address"])
def test_what_is_no_address_that_others_reach_is_none(address: str, aws: FakeAws) -> None:
    described: Any = aws.tasks[aws.run(1, attachments=[interface(address)], startedAt=None)]
    assert task_from(described).address is None


def test_a_container_that_has_exited_gets_no_call_while_its_task_runs_on(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a serving task whose gRPC container is not essential
    task, other = aws.run(1), aws.run(2)
    sync.minute()
    assert sync.serving() == {task, other}
    # WHEN that container exits, and its event comes
    ended: list[Json] = [{"name": "app", "lastStatus": "STOPPED", "exitCode": 1}, {"name": "sidecar"}]
    aws.change(task, containers=ended)
    sync.handle(aws.event(task))
    # THEN the task gets no call
    assert (sync.serving(), sync.draining()) == ({other}, set())
    # AND told to stop, it does not drain either: there is no call to finish
    aws.stop(task)
    sync.handle(aws.event(task))
    assert (sync.serving(), sync.draining()) == ({other}, set())


def test_the_last_container_that_exits_leaves_its_service_its_routes(aws: FakeAws, sync: Sync) -> None:
    task = aws.run(1)
    sync.minute()
    aws.change(task, containers=[{"name": "app", "lastStatus": "STOPPED", "exitCode": 0}])
    sync.handle(aws.event(task))
    [service] = sync.document().services
    assert (service.name, service.targets, len(service.routes)) == ("rng", (), 1)
    # AND when ECS has started it again, it serves
    aws.change(task, containers=[{"name": "app", "lastStatus": "RUNNING"}])
    sync.handle(aws.event(task))
    assert sync.serving() == {task}


def test_a_sidecar_that_has_exited_is_nobodys_trouble(aws: FakeAws, sync: Sync) -> None:
    task = aws.run(1, containers=[{"name": "app"}, {"name": "sidecar", "lastStatus": "STOPPED", "exitCode": 1}])
    sync.minute()
    assert sync.serving() == {task}


def test_init_containers_that_have_exited_are_nobodys_trouble(aws: FakeAws, sync: Sync) -> None:
    task = aws.run(
        1,
        containers=[
            {"name": "app", "lastStatus": "RUNNING"},
            {"name": "migrate", "lastStatus": "STOPPED", "exitCode": 0},
            {"name": "fetch-certificates", "lastStatus": "STOPPED", "exitCode": 1},
        ],
    )
    sync.minute()
    assert sync.serving() == {task}


def test_a_port_in_a_range_beside_other_ranges_and_udp_is_found(aws: FakeAws, sync: Sync) -> None:
    aws.define(
        "rng",
        labels={"grpc-lb.enable": "true", "grpc-lb.port": "50052"},
        portMappings=[
            {"containerPortRange": "8000-8010"},
            {"containerPortRange": "50051-50060", "protocol": "udp"},
            {"containerPortRange": "50051-50055", "protocol": "tcp"},
            {"containerPort": 50052, "protocol": "udp"},
        ],
    )
    aws.run(1)
    sync.minute()
    assert served(sync) == {("10.0.0.1", 50052)}


def test_of_a_range_and_no_label_no_port_is_guessed(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.define("rng", portMappings=[{"containerPortRange": "50051-50055"}])
    aws.run(1)
    sync.minute()
    [facts] = logged.about("label rejected")
    assert facts["problem"] == "must be one of the mapped ports 50051-50055"
