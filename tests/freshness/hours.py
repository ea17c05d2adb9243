"""An hour in which nothing happens, and one of deployments without rest: which API calls each makes."""

from __future__ import annotations

import pytest

from tests.freshness.simulation import Simulation, change, start_task
from tests.lambda_src.fake_aws import task_name

HOUR = 3600.0
TASKS = 4
EVERY_SECONDS = 60.0
"""A task is replaced this often in the hour of deployments."""


def idle_hour(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], int]:
    simulation = _warm(monkeypatch)
    simulation.run(HOUR)
    simulation.close()
    return dict(simulation.calls)


def deploying_hour(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], int]:
    simulation = _warm(monkeypatch)
    for turn in range(int(HOUR / EVERY_SECONDS)):
        task, old = start_task(simulation, TASKS + turn + 1), task_name(turn + 1)
        for seconds, who, states in (
            (12, task, {"lastStatus": "PENDING"}),
            (8, task, {"lastStatus": "RUNNING"}),
            (5, old, {"desiredStatus": "STOPPED", "stoppingAt": simulation.time.now}),
            (2, old, {"lastStatus": "DEACTIVATING"}),
            (20, old, {"lastStatus": "STOPPING"}),
            (5, old, {"lastStatus": "DEPROVISIONING"}),
            (5, old, {"lastStatus": "STOPPED"}),
        ):
            simulation.run(seconds)
            change(simulation, who, **states)
        simulation.run(EVERY_SECONDS - 57)
    simulation.close()
    return dict(simulation.calls)


def _warm(monkeypatch: pytest.MonkeyPatch) -> Simulation:
    simulation = Simulation(monkeypatch)
    simulation.aws.services["rng"] = "ACTIVE"
    for number in range(1, TASKS + 1):
        simulation.aws.run(number)
    simulation.run(600)
    simulation.calls.clear()
    return simulation
