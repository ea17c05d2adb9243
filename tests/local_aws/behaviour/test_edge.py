"""What AWS documents of itself is what a caller of the local one meets."""

from __future__ import annotations

import statistics

import pytest

from local_aws.behaviour.edge import Edge, gone_definition
from local_aws.behaviour.timings import BUCKET_OF, DOCUMENTED, INSTANT, QUOTAS


def edge(seed: int = 1) -> Edge:
    return Edge(DOCUMENTED, seed)


@pytest.mark.parametrize("operation", BUCKET_OF)
def test_a_caller_gets_the_burst_at_once_and_then_the_sustained_rate(operation: str) -> None:
    # GIVEN AWS's documented quota of the operation
    quota = QUOTAS[BUCKET_OF[operation]]
    aws = edge()
    # WHEN a thousand calls come at once, and then one every millisecond for 10 s
    burst = sum(aws.meet(operation, {}, 100.0).rejection is None for _ in range(1000))
    after = sum(aws.meet(operation, {}, 100 + millisecond / 1000).rejection is None for millisecond in range(1, 10_001))
    # THEN the burst passes, and of the rest as many as the rate allows
    assert burst == quota.burst
    assert after == pytest.approx(10 * quota.per_second, abs=1)


def test_operations_of_one_bucket_share_it_and_those_of_others_do_not() -> None:
    aws = edge()
    for _ in range(100):
        aws.meet("ListTasks", {}, 0)
    rejection = aws.meet("DescribeTasks", {}, 0).rejection
    assert rejection is not None
    assert rejection.code == "ThrottlingException"
    assert aws.meet("DescribeTaskDefinition", {}, 0).rejection is None
    assert aws.meet("RegisterTaskDefinition", {}, 0).rejection is None  # no quota of ours


def test_a_caller_that_rests_gets_no_more_than_the_burst() -> None:
    aws = edge()
    for now in (0, 10_000):
        assert sum(aws.meet("PutParameter", {}, now).rejection is None for _ in range(50)) == 3


def test_latency_has_its_median_and_a_tail() -> None:
    aws = edge()
    seconds = sorted(aws.meet("None", {}, 0).seconds for _ in range(10_000))
    assert statistics.median(seconds) == pytest.approx(0.05, rel=0.05)
    assert 0.15 < seconds[9_900] < 0.3
    assert seconds[0] > 0


def test_the_same_seed_is_the_same_aws() -> None:
    def drawn(seed: int) -> list[object]:
        aws = edge(seed)
        return [(aws.meet("ListTasks", {}, 0), aws.delays(), aws.lag(), aws.is_cold()) for _ in range(50)]

    assert drawn(7) == drawn(7)
    assert drawn(7) != drawn(8)


@pytest.mark.parametrize(("tier", "limit"), [(None, 4096), ("Standard", 4096), ("Advanced", 8192)])
def test_a_parameter_holds_so_many_bytes_not_characters(tier: str | None, limit: int) -> None:
    put = {"Name": "/a"} | ({} if tier is None else {"Tier": tier})
    assert edge().meet("PutParameter", {**put, "Value": "é" * (limit // 2)}, 0).rejection is None
    rejection = edge().meet("PutParameter", {**put, "Value": "é" * (limit // 2) + "x"}, 0).rejection
    assert rejection is not None
    assert rejection.code == "ValidationException"
    assert str(limit) in rejection.message


@pytest.mark.parametrize(
    ("value", "is_taken"), [('{"a":{"b":"{"}}', True), ("{{", True), ("a{{ssm:b}}c", False), ("{{\n}}", False)]
)
def test_a_parameter_holds_no_reference_to_another(value: str, is_taken: bool) -> None:
    rejection = edge().meet("PutParameter", {"Name": "/a", "Value": value}, 0).rejection
    assert (rejection is None) is is_taken


def test_events_are_late_overtake_one_another_and_come_again() -> None:
    aws = edge()
    # WHEN 1,000 events are sent, one every 10 ms
    arrivals = [(number / 100 + delay, number) for number in range(1000) for delay in aws.delays()]
    order = [number for _, number in sorted(arrivals)]
    # THEN each comes, some twice, and not in the order in which they were sent
    assert set(order) == set(range(1000))
    assert 1000 < len(order) < 1060
    assert order != sorted(order)
    assert all(0.1 <= at - number / 100 <= 2.0 for at, number in arrivals)


def test_an_inactive_definition_is_described_only_while_something_refers_to_it() -> None:
    assert gone_definition("arn", inactive=False, referenced=False) is None
    assert gone_definition("arn", inactive=True, referenced=True) is None
    rejection = gone_definition("arn", inactive=True, referenced=False)
    assert rejection is not None
    assert rejection.code == "ClientException"


def test_without_its_behaviour_aws_is_instant_and_patient() -> None:
    aws = Edge(INSTANT, 1)
    met = [aws.meet("PutParameter", {}, 0) for _ in range(100)]
    assert all(one.seconds == 0 and one.rejection is None for one in met)
    assert [aws.delays(), aws.lag(), aws.is_cold()] == [(0.0,), 0.0, False]
