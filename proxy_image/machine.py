"""What this machine grants the balancer: its name and zone, its share of the CPUs, its file descriptors."""

import json
import math
import os
import resource
import socket
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from proxy_image.envoy.bootstrap import Node

# https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-metadata-endpoint-v4-fargate.html
_METADATA = "ECS_CONTAINER_METADATA_URI_V4"
_METADATA_SECONDS = 2.0
_MAX_DESCRIPTORS = 1_048_576
_NO_LIMIT = 2**60  # cgroup v1 has no word for it: a number near 2**63


@dataclass(frozen=True, slots=True)
class EcsTask:
    """What ECS says of this task; `cpus` and `memory`, in bytes, are None where the task has no limit."""

    node: Node
    cpus: float | None
    memory: int | None = None


def is_on_ecs(env: Mapping[str, str]) -> bool:
    """Whether ECS says where it may be asked about this task."""
    return env.get(_METADATA, "").startswith("http://")


def read_task(env: Mapping[str, str]) -> EcsTask:
    """This task as ECS knows it; outside ECS, or if ECS does not answer in two seconds, a node named as the host."""
    document: Any = {}
    if is_on_ecs(env):
        try:
            # Not through a proxy that the environment names: the address is the task's own.
            direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
            with direct.open(f"{env[_METADATA]}/task", timeout=_METADATA_SECONDS) as answer:
                document = json.load(answer)
        except (OSError, ValueError, urllib.error.URLError):
            document = {}
    return task_from_metadata(document, socket.gethostname())


def task_from_metadata(document: Any, hostname: str) -> EcsTask:
    if not isinstance(document, dict):
        document = {}
    limits = document.get("Limits")
    cpus, mib = (limits.get("CPU"), limits.get("Memory")) if isinstance(limits, dict) else (None, None)
    node = Node(
        id=_last_part(document.get("TaskARN")) or hostname,
        cluster=_last_part(document.get("Cluster")) or "grpc-lb",
        zone=str(document.get("AvailabilityZone") or ""),
    )
    return EcsTask(
        node=node,
        cpus=float(cpus) if isinstance(cpus, int | float) and cpus > 0 else None,
        memory=int(mib * 2**20) if isinstance(mib, int | float) and mib > 0 else None,
    )


def _last_part(arn: Any) -> str:
    return arn.rpartition("/")[2] if isinstance(arn, str) else ""


def workers(usable_cpus: int, *limits: float | None) -> int:
    """Envoy's worker threads: one for each CPU that may be used, where a limit may grant fewer; at least one."""
    granted = [limit for limit in limits if limit is not None]
    return max(1, math.ceil(min([float(usable_cpus), *granted])))


def usable_cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def cgroup_cpus(root: Path = Path("/sys/fs/cgroup")) -> float | None:
    """The container's CPU limit by cgroup v2 or v1; None where there is none."""
    try:
        quota, period = (root / "cpu.max").read_text().split()
    except (OSError, ValueError):
        try:
            quota = (root / "cpu/cpu.cfs_quota_us").read_text().strip()
            period = (root / "cpu/cpu.cfs_period_us").read_text().strip()
        except OSError:
            return None
    try:
        return int(quota) / int(period) if int(quota) > 0 and int(period) > 0 else None
    except ValueError:  # "max"
        return None


def memory_limit(*limits: int | None) -> int | None:
    """The least of the limits in bytes; None where there is none."""
    return min((limit for limit in limits if limit is not None), default=None)


def cgroup_memory(root: Path = Path("/sys/fs/cgroup")) -> int | None:
    """The container's memory limit in bytes by cgroup v2 or v1; None where there is none."""
    for name in ("memory.max", "memory/memory.limit_in_bytes"):
        try:
            limit = int((root / name).read_text())
        except (OSError, ValueError):  # not this version, or "max"
            continue
        return limit if 0 < limit < _NO_LIMIT else None
    return None


def raise_descriptors() -> int:
    """Takes as many file descriptors as this process may have, for itself and its children; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _MAX_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MAX_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY:
        return _MAX_DESCRIPTORS
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):
            return soft
        return wanted
    return soft
