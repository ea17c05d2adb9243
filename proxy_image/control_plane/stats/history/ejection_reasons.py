"""Targets that Envoy ejected, and why: as far as its counts tell."""

from __future__ import annotations

from proxy_image.control_plane.stats.envoy_stats import EJECTIONS, Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.history.ejection_log import WHY

_NOTHING = ServiceCounts({})


def why_ejected(service: str, address: str, before: Reading | None, after: Reading) -> str:
    """By what grew between two readings: Envoy counts its reasons for all targets of a service together."""
    old = _NOTHING if before is None else before.services.get(service, _NOTHING)
    new = after.services.get(service, _NOTHING)
    failed = new.targets.get(address, TargetCounts()).connections_failed
    if failed > old.targets.get(address, TargetCounts()).connections_failed:
        return "connections to it fail"
    reasons = [WHY[kind.upper()] for kind in EJECTIONS if new.ejected_for.get(kind, 0) > old.ejected_for.get(kind, 0)]
    return ", or ".join(reasons) or "calls to it fail in a row"
