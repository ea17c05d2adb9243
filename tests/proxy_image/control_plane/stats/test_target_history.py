"""What is remembered of documents and targets."""

from __future__ import annotations

from dataclasses import replace

from grpc_lb_contract import Cause, CauseKind, Stop
from grpc_lb_contract.document.cause import HEALTH_CHECK_FAILS
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts
from proxy_image.control_plane.stats.history.entries import What, identity
from proxy_image.control_plane.stats.history.journal import MAX_TARGETS, Journal
from tests.proxy_image.control_plane.support import rng, target


def envoy(uptime: int = 10, **counts: TargetCounts) -> Reading:
    return Reading(
        0.0,
        {"rng": ServiceCounts({f"127.0.0.1:{port[1:]}": each for port, each in counts.items()})},
        uptime_seconds=uptime,
    )


def history(journal: Journal, port: int) -> list[What]:
    return [event.what for event in journal.targets[identity("rng", target(port))]]


def test_a_target_joins_drains_and_leaves() -> None:
    journal = Journal()
    one, two = rng(target(1)), rng(target(1, draining=True), target(2))
    journal.applied(None, one, "ssm")
    journal.applied(one, two, "ssm")
    journal.applied(two, rng(target(2)), "ssm")
    assert history(journal, 1) == [What.JOINED, What.DRAINING, What.LEFT]
    last = journal.changes[-1]
    assert (last.joined_count, last.left_count, last.targets) == (0, 1, 1)
    assert last.left == ("rng 127.0.0.1:1 (task task-1)",)


def test_why_a_target_left_is_told_in_words_that_fit_whether_its_task_stopped_or_goes_on() -> None:
    journal, before, after = Journal(), rng(target(1), target(2), target(3)), rng(target(3))
    journal.applied(None, before, "ssm")
    reasons = {"task-1": f"{HEALTH_CHECK_FAILS} (container app)", "task-2": "Scaling activity"}
    cause = Cause(CauseKind.SCHEDULED, stops=tuple(Stop(task, reason) for task, reason in reasons.items()))
    journal.applied(before, after, "ssm", cause=cause)
    said = [journal.targets[identity("rng", target(port))][-1].why for port in (1, 2)]
    assert said == ["its health check in ECS fails (container app)", "its task stopped: Scaling activity"]


def test_a_target_is_ejected_and_returns_with_the_reason() -> None:
    journal = Journal()
    journal.applied(None, rng(target(1)), "ssm")
    readings = [
        envoy(p1=TargetCounts()),
        envoy(p1=TargetCounts(ejected=True, connections_failed=2)),
        envoy(p1=TargetCounts(ejected=True, connections_failed=3)),
        envoy(p1=TargetCounts(connections_failed=3)),
    ]
    for before, after in zip([None, *readings], readings, strict=False):
        journal.read(before, after)
    assert history(journal, 1) == [What.JOINED, What.EJECTED, What.RETURNED]
    assert "connections to it fail" in journal.targets[identity("rng", target(1))][1].why


def test_a_restart_of_envoy_is_noted() -> None:
    journal = Journal()
    journal.read(envoy(uptime=100), envoy(uptime=2))
    assert len(journal.envoy_restarts) == 1


def test_a_rejection_stays_until_the_client_accepts_or_goes() -> None:
    journal = Journal()
    journal.rejected("grpc", "CDS", "client-1", "unknown policy")
    journal.rejected("grpc", "CDS", "client-2", "unknown policy")
    journal.accepted("grpc", "CDS", "client-1")
    assert [each.node for each in journal.rejections.values()] == ["client-2"]
    journal.gone("grpc", "client-2")
    assert journal.rejections == {}


def test_memory_is_bounded_however_many_targets_come_and_go() -> None:
    journal = Journal()
    before = None
    for start in range(0, 20_000, 1_000):
        document = rng(*(target(start + port + 1) for port in range(1_000)))
        journal.applied(before, document, "ssm")
        before = document
    assert len(journal.targets) == MAX_TARGETS
    assert all(identity("rng", each) in journal.targets for each in document.services[0].targets)
    assert len(journal.changes[-1].joined) == 50
    assert journal.changes[-1].joined_count == 1_000


def test_another_task_at_the_same_address_is_another_target() -> None:
    journal = Journal()
    old = target(1)
    new = replace(old, task="task-other")
    journal.applied(None, rng(old), "ssm")
    journal.applied(rng(old), rng(new), "ssm")
    assert [event.what for event in journal.targets[identity("rng", new)]] == [What.JOINED]
    assert history(journal, 1) == [What.JOINED, What.LEFT]
