"""Load reports (LRS): clients without a proxy count their own calls, and report them every few seconds.

https://github.com/grpc/proposal/blob/master/A27-xds-global-load-balancing.md#lrs
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

import grpc
from envoy.service.load_stats.v3 import lrs_pb2
from google.protobuf.message import DecodeError

from proxy_image.control_plane.limits.refusal import invalid
from proxy_image.control_plane.xds.messages import duration
from proxy_image.control_plane.xds.proxyless.client_kind import read_client_kind
from proxy_image.control_plane.xds.proxyless.names import read_name
from proxy_image.control_plane.xds.resource_types import ResourceType

SERVICE = "envoy.service.load_stats.v3.LoadReportingService"
METHOD = "StreamLoadStats"
INTERVAL_SECONDS = 5.0

# What one report may add: no client makes more calls in an interval, and none can say so.
MAX_CALLS = 10_000_000
MAX_KINDS = 100
OTHERS = "others"


@dataclass(frozen=True, slots=True)
class Reported:
    """Calls of one report, to one service."""

    service: str
    succeeded: int
    failed: int
    dropped: int
    """Calls that the client itself failed: faults and limits."""


@dataclass(slots=True)
class CallCounts:
    """Calls that clients have reported since this control plane started: by service, the client's zone, its language
    and version, and outcome."""

    counts: Counter[tuple[str, str, str, str]] = field(default_factory=Counter)
    _kinds: set[tuple[str, str]] = field(default_factory=set)

    def add(self, reported: Reported, zone: str, client: str) -> None:
        zone, client = self._known(zone, client)
        for outcome, number in (
            ("ok", reported.succeeded),
            ("error", reported.failed),
            ("dropped", reported.dropped),
        ):
            if number:
                self.counts[reported.service, zone, client, outcome] += number

    def _known(self, zone: str, client: str) -> tuple[str, str]:
        """Zones and versions are what strangers say: those beyond a bound are counted together."""
        if (zone, client) in self._kinds or len(self._kinds) < MAX_KINDS:
            self._kinds.add((zone, client))
            return zone, client
        return OTHERS, OTHERS


def read_report(data: bytes) -> Any:
    """Raises `RefusedError`."""
    try:
        return lrs_pb2.LoadStatsRequest.FromString(data)
    except DecodeError:
        raise invalid(f"request must be a {SERVICE} LoadStatsRequest, got {len(data):,} bytes that are none") from None


def reported(request: Any, services: Collection[str]) -> list[Reported]:
    """The calls to services that there are; a client may say what it likes of others."""
    found = []
    for stats in request.cluster_stats:
        name = read_name(ResourceType.CLUSTER, stats.cluster_name)
        if name is not None and name.plain in services:
            localities = stats.upstream_locality_stats
            found.append(
                Reported(
                    name.plain,
                    _bounded(sum(each.total_successful_requests for each in localities)),
                    _bounded(sum(each.total_error_requests for each in localities)),
                    _bounded(stats.total_dropped_requests),
                )
            )
    return found


def asking() -> Any:
    """The answer that has a client report all that it calls."""
    return lrs_pb2.LoadStatsResponse(send_all_clusters=True, load_reporting_interval=duration(INTERVAL_SECONDS))


async def serve_reports(context: Any, calls: CallCounts, services: Callable[[], Collection[str]]) -> None:
    """One stream, until the client ends it. Raises `RefusedError`."""
    zone, client, first = "", "", True
    while (data := await context.read()) is not grpc.aio.EOF:
        request = read_report(data)
        if first:
            zone, client = request.node.locality.zone[:64], read_client_kind(request.node).name
            first = False
            await context.write(asking())
        for each in reported(request, services()):
            calls.add(each, zone, client)


def _bounded(count: int) -> int:
    return min(count, MAX_CALLS)
