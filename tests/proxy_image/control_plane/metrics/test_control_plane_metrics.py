from __future__ import annotations

from grpc_lb_contract import Document
from proxy_image.control_plane.metrics.control_plane_metrics import Metrics
from tests.proxy_image.control_plane.support import service, target


def test_the_counts_of_targets_are_those_of_the_document_in_use() -> None:
    metrics = Metrics()

    def counts() -> dict[tuple[str, str], float]:
        (family,) = (each for each in metrics.registry.collect() if each.name == "grpc_lb_targets")
        return {(each.labels["service"], each.labels["state"]): each.value for each in family.samples}

    stays, goes = service("stays", target(1)), service("goes", target(2), target(3, draining=True))
    metrics.applied(Document((stays, goes)))
    assert counts() == {
        ("stays", "serving"): 1,
        ("stays", "draining"): 0,
        ("goes", "serving"): 1,
        ("goes", "draining"): 1,
    }
    metrics.applied(Document((stays, service("comes", target(2)))))
    assert counts() == {
        ("stays", "serving"): 1,
        ("stays", "draining"): 0,
        ("comes", "serving"): 1,
        ("comes", "draining"): 0,
    }
    metrics.applied(Document((service("stays", target(1, draining=True)),)))
    assert counts() == {("stays", "serving"): 0, ("stays", "draining"): 1}
