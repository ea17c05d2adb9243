"""What the control plane knows now, as the report and as the few facts of /healthz."""

from __future__ import annotations

import time
from collections.abc import Sequence

from proxy_image.control_plane.fleet.fleet import Member
from proxy_image.control_plane.fleet.problems import fleet_problems
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report.problems import Standing
from proxy_image.control_plane.report.report import Report, proxyless_of, report
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.watcher import Watcher
from proxy_image.control_plane.xds.resource_types import Audience
from proxy_image.envoy.bootstrap import Node


def current_report(
    reconciler: Reconciler, state: ControlPlaneState, watcher: Watcher, own: Node, others: Sequence[Member] = ()
) -> Report:
    now = time.time()
    standing = Standing(
        generation=reconciler.generation,
        origin=reconciler.origin,
        target_list_age_seconds=_age(state),
        trouble=reconciler.problem,
        envoy_connected=state.streams[Audience.ENVOY] > 0,
        envoy_unreadable=watcher.problem,
        has_envoy=watcher.has_envoy,
        heap_percent=watcher.readings[-1].heap_percent if watcher.readings else 0,
        refuses_calls=bool(watcher.readings) and watcher.readings[-1].refuses_calls,
        rejections=tuple(state.journal.rejections.values()),
        shortened=None if reconciler.shortened is None else reconciler.shortened.fix,
        left_out=tuple(sorted(reconciler.left_out)),
        envoy_restarted_seconds_ago=tuple(now - at for at in state.journal.envoy_restarts),
    )
    return report(
        reconciler.document,
        reconciler.newcomers,
        tuple(watcher.readings),
        state.journal,
        standing,
        at=now,
        grpc_clients=state.streams[Audience.GRPC],
        proxyless=proxyless_of(state.clients),
        task=own.id,
        zone=own.zone,
        silences=watcher.silence.now,
        usual=watcher.hour.usual(),
        more_problems=tuple(fleet_problems(others, now)),
    )


def facts(reconciler: Reconciler, state: ControlPlaneState) -> dict[str, object]:
    """What /healthz says: that the control plane runs, and how things stand."""
    services = () if reconciler.document is None else reconciler.document.services
    return {
        "generation": reconciler.generation,
        "origin": reconciler.origin,
        "target_list_age_seconds": _age(state),
        "services": len(services),
        "targets": sum(len(service.targets) for service in services),
        "targets_not_admitted": reconciler.waiting,
        "envoy_connected": state.streams[Audience.ENVOY] > 0,
        "grpc_clients": state.streams[Audience.GRPC],
        "problem": None
        if reconciler.problem is None
        else {"reason": reconciler.problem[0], "message": reconciler.problem[1]},
    }


def _age(state: ControlPlaneState) -> float | None:
    return None if (age := state.target_list_age_seconds) is None else round(age, 3)
