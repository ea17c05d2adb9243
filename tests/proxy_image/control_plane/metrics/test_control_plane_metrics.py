from __future__ import annotations

import math

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from grpc_lb_contract import Document
from proxy_image.control_plane.metrics.control_plane_metrics import WorkCollector, of_document
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.xds.resource_types import Audience, ResourceType
from tests.proxy_image.control_plane.support import service, target


def test_the_counts_of_targets_are_those_of_the_document_in_use() -> None:
    def counts(document: Document | None) -> dict[tuple[str, str], float]:
        (family,) = (each for each in of_document(document, Origin.SSM, 0) if each.name == "grpc_lb_targets")
        return {(each.labels["service"], each.labels["state"]): each.value for each in family.samples}

    assert counts(None) == {}
    stays, goes = service("stays", target(1)), service("goes", target(2), target(3, draining=True))
    assert counts(Document((stays, goes))) == {
        ("stays", "serving"): 1,
        ("stays", "draining"): 0,
        ("goes", "serving"): 1,
        ("goes", "draining"): 1,
    }
    assert counts(Document((service("stays", target(1, draining=True)),))) == {
        ("stays", "serving"): 0,
        ("stays", "draining"): 1,
    }


def test_the_state_is_told_as_prometheus_reads_it() -> None:
    """GIVEN a control plane that has worked, THEN Prometheus' own parser finds each count, also those of nothing."""
    state = ControlPlaneState()
    registry = CollectorRegistry()
    registry.register(WorkCollector(state))

    def samples() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(generate_latest(registry).decode())
        return {(each.name, *each.labels.values()): each.value for family in families for each in family.samples}

    before = samples()
    assert math.isnan(before.pop(("grpc_lb_target_list_age_seconds",)))
    assert before["grpc_lb_xds_rejections_total", "envoy", "CDS"] == 0
    state.stream_opened(Audience.ENVOY)
    state.rejected(Audience.ENVOY, ResourceType.CLUSTER, "node", "no such policy")
    state.response_sent(Audience.ENVOY, ResourceType.CLUSTER)
    state.troubles[Trouble.THROTTLED] += 1
    state.confirmed()
    for seconds in (0.25, 0.3, 400.0):
        state.event_to_envoy.observe(seconds)
    after = samples()
    assert after.keys() - {("grpc_lb_target_list_age_seconds",)} >= before.keys()
    assert 0 <= after["grpc_lb_target_list_age_seconds",] < 60
    assert after["grpc_lb_xds_streams", "envoy"] == 1
    assert after["grpc_lb_xds_rejections_total", "envoy", "CDS"] == 1
    assert after["grpc_lb_xds_responses_total", "envoy", "CDS"] == 1
    assert after["grpc_lb_reading_failures_total", "throttled"] == 1
    # THEN a bound belongs to its bucket, and buckets hold those below
    buckets = {name[1]: value for name, value in after.items() if name[0] == "grpc_lb_event_to_envoy_seconds_bucket"}
    assert (buckets["0.25"], buckets["0.5"], buckets["300.0"], buckets["+Inf"]) == (1, 2, 2, 3)
    assert after["grpc_lb_event_to_envoy_seconds_count",] == 3
    assert after["grpc_lb_event_to_envoy_seconds_sum",] == 400.55
