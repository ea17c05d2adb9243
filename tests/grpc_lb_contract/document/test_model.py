from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from grpc_lb_contract import Document, Group, Service, TargetState
from tests.grpc_lb_contract.fleets import fleet, target

ROOT = Path(__file__).parents[3]


def test_the_order_of_what_is_given_does_not_matter() -> None:
    one = Service("rng", groups=(Group("a"), Group("b")), targets=(target(1, group="a"), target(2, group="b")))
    other = Service("rng", groups=(Group("b"), Group("a")), targets=(target(2, group="b"), target(1, group="a")))

    assert one == other
    assert Document((one, Service("a"))) == Document((Service("a"), other))


def test_of_two_targets_with_one_address_the_one_that_serves_stays() -> None:
    serving = target(1)
    draining = replace(serving, state=TargetState.DRAINING, task="stopped")

    for targets in [(serving, draining), (draining, serving)]:
        assert Service("rng", groups=(Group("rng-service"),), targets=targets).targets == (serving,)


def test_a_target_of_a_group_that_the_service_lacks_is_refused() -> None:
    with pytest.raises(ValueError, match=r"must be one of service rng's groups blue, got 'rng-service'"):
        Service("rng", groups=(Group("blue"),), targets=(target(1),))


def test_two_groups_of_one_name_are_refused() -> None:
    with pytest.raises(ValueError, match="names of their own"):
        Service("rng", groups=(Group("a", 1), Group("a", 2)))


@pytest.mark.parametrize("weight", [-1, 1001, True])
def test_a_weight_out_of_bounds_is_refused(weight: int) -> None:
    with pytest.raises(ValueError, match=r"weight must be (a whole number )?0\.\.1000, got"):
        Group("a", weight)


def test_a_service_is_found_by_name() -> None:
    document = fleet(4, services=2)

    found = document.service("service-1")

    assert found is not None
    assert found.name == "service-1"
    assert document.service("service-2") is None


def test_the_contract_needs_the_standard_library_alone() -> None:
    without_installed_packages = [sys.executable, "-I", "-S", "-c"]
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); import grpc_lb_contract; print('imported')"

    finished = subprocess.run([*without_installed_packages, program], capture_output=True, text=True)

    assert finished.stdout.strip() == "imported", finished.stderr
