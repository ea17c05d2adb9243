"""What a refresh tells CloudWatch, in lines on stdout."""

from __future__ import annotations

import dataclasses

import pytest
from botocore.exceptions import ClientError

from grpc_lb_contract import DocumentTooLarge, pack, share_of_limit
from lambda_src.handler import Handler
from tests.emf import Datum, metrics_in
from tests.grpc_lb_contract.fleets import fleet
from tests.lambda_src.conftest import Sync
from tests.lambda_src.fake_aws import LABELS, failure


@pytest.fixture
def told(sync: Sync) -> Sync:
    """A sync whose function is told a balancer's name."""
    settings = dataclasses.replace(sync.handler._settings, cloudwatch_balancer="Stack/Balancer")
    sync.handler = Handler(settings, sync.handler._refresher)
    return sync


def said(data: list[Datum]) -> dict[str, float]:
    assert {datum.dimensions for datum in data} == {(("Balancer", "Stack/Balancer"),)}
    assert {datum.namespace for datum in data} == {"GrpcLb"}
    return {datum.name: datum.value for datum in data}


def test_a_refresh_tells_of_targets_and_of_what_was_refused(told: Sync, capsys: pytest.CaptureFixture[str]) -> None:
    told.aws.define("rng")
    told.aws.run(1)
    told.aws.run(2)
    told.aws.define("bad", labels={**LABELS, "grpc-lb.port": "many"})
    told.aws.run(3, family="bad", service="bad")
    told.minute()
    found = said(metrics_in(capsys.readouterr().out))
    assert found.pop("DocumentUsed") == pytest.approx(2, abs=1)
    assert found == {"RefreshFailures": 0, "RejectedLabels": 1, "ShadowedRoutes": 0, "DocumentTargets": 2}


def test_failed_attempts_are_counted_and_tell_no_old_news(told: Sync, capsys: pytest.CaptureFixture[str]) -> None:
    """GIVEN ECS that fails, after a refresh, until the invocation's time is over, THEN each attempt counts, and nothing
    else is told again."""
    told.minute()
    capsys.readouterr()
    told.aws.spoil = lambda operation, _: failure("AccessDeniedException") if operation == "ListTasks" else None
    with pytest.raises(ClientError):
        told.minute()
    found = said(metrics_in(capsys.readouterr().out))
    assert found.keys() == {"RefreshFailures"}
    assert found["RefreshFailures"] > 1


def test_without_a_name_nothing_is_told(sync: Sync, capsys: pytest.CaptureFixture[str]) -> None:
    sync.minute()
    assert metrics_in(capsys.readouterr().out) == []


def largest_fleet(size: int, step: int = 1000) -> int:
    """How many targets a document may have, to the step below, of which it may have SIZE."""
    pack(fleet(size))
    while True:
        try:
            pack(fleet(size + step))
        except DocumentTooLarge:
            return size
        size += step


def test_the_share_of_the_limit_reaches_1_where_a_document_gets_too_large() -> None:
    assert share_of_limit(()) < 0.05
    shares = [share_of_limit(tuple(pack(fleet(size)).shards)) for size in (100, 1000)]
    assert shares == sorted(shares)
    # The search begins where the share says that most of the limit is used.
    largest = largest_fleet(int(0.8 / shares[-1]) * 1000)
    assert 0.8 < share_of_limit(tuple(pack(fleet(largest)).shards)) <= 1
