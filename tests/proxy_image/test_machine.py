"""What the machine and ECS say, read with doubt."""

import os
import resource
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy_image.envoy.bootstrap import Node
from proxy_image.machine import (
    EcsTask,
    cgroup_cpus,
    cgroup_memory,
    memory_limit,
    raise_descriptors,
    read_task,
    task_from_metadata,
    workers,
)
from tests.proxy_image.task_metadata import task_metadata

METADATA = {
    "Cluster": "arn:aws:ecs:us-west-2:111122223333:cluster/default",
    "TaskARN": "arn:aws:ecs:us-west-2:111122223333:task/default/158d1c8083dd49d6b527399fd6414f5c",
    "AvailabilityZone": "us-west-2b",
    "Limits": {"CPU": 0.25, "Memory": 512},
}
NODE = Node(id="158d1c8083dd49d6b527399fd6414f5c", cluster="default", zone="us-west-2b")


@pytest.fixture
def metadata() -> Iterator[str]:
    with task_metadata(METADATA) as url:
        yield url


def test_on_ecs_the_node_is_the_task(metadata: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
    monkeypatch.delenv("no_proxy", raising=False)
    assert read_task({"ECS_CONTAINER_METADATA_URI_V4": f"{metadata}/v4/id"}) == EcsTask(
        node=NODE, cpus=0.25, memory=512 * 2**20
    )


@pytest.mark.parametrize("path", ["/elsewhere", ""])
def test_where_ecs_does_not_answer_the_node_is_the_host(metadata: str, path: str) -> None:
    assert read_task({"ECS_CONTAINER_METADATA_URI_V4": f"{metadata}{path}"}).node.id == os.uname().nodename


def test_outside_ecs_the_node_is_the_host() -> None:
    task = read_task({})
    assert task.node == Node(id=os.uname().nodename, cluster="grpc-lb", zone="")
    assert task.cpus is None
    assert task.memory is None


_json = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.sampled_from([*METADATA, "CPU"]), inner),
)


@given(_json)
def test_whatever_ecs_answers_there_is_a_node(document: Any) -> None:
    assert task_from_metadata(document, "host").node.id


def test_a_worker_for_each_cpu_that_is_granted() -> None:
    assert workers(2) == 2
    assert workers(2, None, 0.25) == 1
    assert workers(4, 1.5, None) == 2
    assert workers(1, 8.0, 8.0) == 1


def test_cgroup_limits_of_both_versions_are_read(tmp_path: Path) -> None:
    assert cgroup_cpus(tmp_path) is None
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("50000\n")
    (tmp_path / "cpu/cpu.cfs_period_us").write_text("100000\n")
    assert cgroup_cpus(tmp_path) == 0.5
    (tmp_path / "cpu/cpu.cfs_quota_us").write_text("-1\n")
    assert cgroup_cpus(tmp_path) is None
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert cgroup_cpus(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cgroup_cpus(tmp_path) is None


def test_memory_limits_of_both_cgroup_versions_are_read_and_the_least_limit_counts(tmp_path: Path) -> None:
    assert cgroup_memory(tmp_path) is None
    (tmp_path / "memory").mkdir()
    (tmp_path / "memory/memory.limit_in_bytes").write_text("9223372036854771712\n")
    assert cgroup_memory(tmp_path) is None
    (tmp_path / "memory/memory.limit_in_bytes").write_text("1048576\n")
    assert cgroup_memory(tmp_path) == 1_048_576
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory/memory.limit_in_bytes").unlink()
    assert cgroup_memory(tmp_path) is None
    (tmp_path / "memory.max").write_text("2097152\n")
    assert cgroup_memory(tmp_path) == 2_097_152
    assert memory_limit(2_097_152, 1_048_576) == memory_limit(None, 1_048_576) == 1_048_576
    assert memory_limit(None, None) is None


def test_the_soft_limit_of_descriptors_rises_to_the_hard_one() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
        raised = raise_descriptors()
        assert raised == resource.getrlimit(resource.RLIMIT_NOFILE)[0] > 256
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
