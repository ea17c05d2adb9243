"""How soon balancers know: of tasks that are announced, and of stops that are not."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.freshness.simulation import Simulation, change, start_task
from tests.lambda_src.conftest import enforced, role

__all__ = ["enforced", "role"]

often = pytest.mark.parametrize("times", [40, pytest.param(150, marks=pytest.mark.long)])


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Iterator[Simulation]:
    made = Simulation(monkeypatch)
    made.aws.services["rng"] = "ACTIVE"
    for number in range(1, 5):
        made.aws.run(number)
    made.run(120)
    yield made
    made.close()


@often
@pytest.mark.timeout(1200)
def test_a_task_that_ecs_announces_is_known_three_seconds_after_it_runs(simulation: Simulation, times: int) -> None:
    """GIVEN tasks that start as on Fargate, at least ten seconds after they are made, one every minute and a half"""
    seconds: list[float] = []
    for number in range(100, 100 + times):
        task = start_task(simulation, number)
        simulation.run(10)
        change(simulation, task, lastStatus="PENDING")
        simulation.run(5)
        change(simulation, task, lastStatus="RUNNING")
        running = simulation.time.now
        simulation.run(75)
        seconds += [balancer.serving_since[task] - running for balancer in simulation.balancers]
        simulation.aws.change(task, desiredStatus="STOPPED", lastStatus="STOPPED")
    seconds.sort()
    assert seconds[int(len(seconds) * 0.99) - 1] <= 3.0
    assert 0.5 < seconds[len(seconds) // 2] < 2.0


@often
@pytest.mark.timeout(1200)
def test_a_stop_that_nothing_announced_is_known_within_eight_seconds(simulation: Simulation, times: int) -> None:
    """GIVEN a cluster where nothing changed for minutes, WHEN a task is told to stop, which serves for ten seconds."""
    seconds: list[float] = []
    for number in range(100, 100 + times):
        task = simulation.aws.run(number)
        simulation.run(130)
        assert not any(balancer.source.expects_changes for balancer in simulation.balancers)
        change(simulation, task, desiredStatus="STOPPED", lastStatus="DEACTIVATING", stoppingAt=simulation.time.now)
        stopped = simulation.time.now
        simulation.run(20)
        seconds += [balancer.gone_since[task] - stopped for balancer in simulation.balancers]
        simulation.aws.change(task, lastStatus="STOPPED")
        simulation.run(70)
    seconds.sort()
    assert seconds[int(len(seconds) * 0.99) - 1] <= 8.0
    assert seconds[-1] < 10.0
