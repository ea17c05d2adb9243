"""Envoy's bootstrap: what it says, and that a real Envoy takes it."""

import mmap
import subprocess
from pathlib import Path

import pytest

from grpc_lb_contract.names import SERVICE_NAME
from proxy_image.control_plane.xds.envoy.http2 import STREAM_WINDOW
from proxy_image.envoy.binary import find_envoy
from proxy_image.envoy.bootstrap import Node, bootstrap, to_json
from proxy_image.envoy.command_line import arguments, move_seconds
from proxy_image.envoy.overload import max_heap_bytes
from proxy_image.envoy.shared_values import (
    CONNECTION_DRAIN_SECONDS,
    CONTROL_PLANE_CLUSTER,
    OWN_CLUSTERS,
    TRACE_COLLECTOR_CLUSTER,
)
from proxy_image.settings import Settings, from_environment
from tests.waiting import PATIENCE_SECONDS

NODE = Node(id="task", cluster="cluster", zone="eu-central-1a")


@pytest.mark.parametrize("more", [{}, {"GRPC_LB_TRACING_PERCENT": "1"}], ids=["plain", "traced"])
def test_a_real_envoy_takes_the_bootstrap_without_a_warning(tmp_path: Path, more: dict[str, str]) -> None:
    settings = _settings(tmp_path, **more)
    settings.run_dir.mkdir()
    config = settings.run_dir / "envoy.json"
    config.write_text(to_json(bootstrap(settings, NODE, descriptors=20_000, memory=2**30)))
    command = (str(find_envoy(None)), *arguments(settings, config, concurrency=2), "--mode", "validate")
    checked = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE_SECONDS)
    assert checked.returncode == 0, checked.stderr
    assert '"level":"warning"' not in checked.stderr
    assert "OK" in checked.stdout


def test_a_real_envoy_has_every_feature_that_is_switched(tmp_path: Path) -> None:
    """Envoy says nothing of names under FLAGS_envoy_quiche that it does not know."""
    (layer,) = bootstrap(_settings(tmp_path), NODE, descriptors=20_000)["layered_runtime"]["layers"]
    switched = layer["static_layer"]["envoy"]["reloadable_features"]
    assert switched
    with find_envoy(None).open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as binary:
        assert [name for name in switched if binary.find(name.encode()) < 0] == []


def test_tracing_adds_its_collector_and_nothing_to_a_balancer_without(tmp_path: Path) -> None:
    without = bootstrap(_settings(tmp_path), NODE, descriptors=20_000)
    assert [cluster["name"] for cluster in without["static_resources"]["clusters"]] == [CONTROL_PLANE_CLUSTER]
    assert [layer["name"] for layer in without["layered_runtime"]["layers"]] == ["calls"]
    for collector, kind in (("10.0.0.1:4317", "STATIC"), ("[::1]:4317", "STATIC"), ("collector.test:1", "STRICT_DNS")):
        settings = _settings(tmp_path, GRPC_LB_TRACING_PERCENT="1", GRPC_LB_TRACING_COLLECTOR=collector)
        _, cluster = bootstrap(settings, NODE, descriptors=20_000)["static_resources"]["clusters"]
        assert (cluster["name"], cluster["type"]) == (TRACE_COLLECTOR_CLUSTER, kind)


def test_no_service_can_have_the_name_of_an_own_cluster_which_would_take_its_calls(tmp_path: Path) -> None:
    settings = _settings(tmp_path, GRPC_LB_TRACING_PERCENT="1")
    own = [each["name"] for each in bootstrap(settings, NODE, descriptors=20_000)["static_resources"]["clusters"]]
    assert set(own) == OWN_CLUSTERS
    assert [name for name in own if SERVICE_NAME.fullmatch(name)] == []


def test_workers_wait_for_their_configuration_however_late_it_comes(tmp_path: Path) -> None:
    dynamic = bootstrap(_settings(tmp_path), NODE, descriptors=20_000)["dynamic_resources"]
    assert dynamic["lds_config"]["initial_fetch_timeout"] == "0s"
    assert dynamic["cds_config"]["initial_fetch_timeout"] == "0s"


def test_invariant_12_nothing_of_the_bootstrap_listens_on_the_network(tmp_path: Path) -> None:
    config = bootstrap(_settings(tmp_path), NODE, descriptors=20_000)
    assert "listeners" not in config["static_resources"]
    assert config["admin"]["address"] == {"pipe": {"path": f"{tmp_path}/run/admin.sock", "mode": 0o600}}
    assert "socket_address" not in to_json(config)


def test_client_connections_leave_descriptors_for_those_to_targets(tmp_path: Path) -> None:
    (monitor,) = bootstrap(_settings(tmp_path), NODE, descriptors=20_000)["overload_manager"]["resource_monitors"]
    assert monitor["typed_config"]["max_active_downstream_connections"] == 15_000


@pytest.mark.parametrize(("task_mib", "heap_mib"), [(256, 128), (512, 256), (1024, 768), (4096, 3840)])
def test_envoys_heap_leaves_memory_for_the_rest_of_the_task(task_mib: int, heap_mib: int) -> None:
    assert max_heap_bytes(task_mib * 2**20) == heap_mib * 2**20


def test_invariant_8_no_call_that_holds_little_is_cut_for_memory(tmp_path: Path) -> None:
    """GIVEN a heap that fills, THEN streams end that hold a window of messages unread, before any call is refused."""
    overload = bootstrap(_settings(tmp_path), NODE, descriptors=20_000, memory=2**30)["overload_manager"]
    assert 2 ** overload["buffer_factory_config"]["minimum_account_to_track_power_of_two"] >= STREAM_WINDOW / 4
    triggers = {action["name"].rpartition(".")[2]: action["triggers"][0] for action in overload["actions"]}
    assert (
        triggers["reset_high_memory_stream"]["scaled"]["saturation_threshold"]
        <= (triggers["stop_accepting_requests"]["threshold"]["value"])
    )


@pytest.mark.parametrize("drain_seconds", [4, 5, 12, 30, 120, 3600])
def test_idle_clients_can_be_sent_away_in_the_last_third_of_envoys_drain_time(drain_seconds: float) -> None:
    assert move_seconds(drain_seconds) / 3 > CONNECTION_DRAIN_SECONDS
    assert move_seconds(drain_seconds) <= drain_seconds


def _settings(state_dir: Path, **more: str) -> Settings:
    return from_environment({"GRPC_LB_TARGETS_FILE": "x.json", "GRPC_LB_STATE_DIR": str(state_dir), **more})
