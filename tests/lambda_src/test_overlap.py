"""Balancers of several apps in one cluster, which synth cannot compare: the Lambda tells of them."""

from __future__ import annotations

import pytest

from grpc_lb_contract.document.balancers import BALANCER_LABEL, REGISTERED_LABEL, name_of
from lambda_src.discovery.ecs_listing import EcsCluster
from lambda_src.discovery.selection import Selection
from lambda_src.handler import Handler
from lambda_src.publish import ParameterStore
from lambda_src.refresh import Refresher
from lambda_src.settings import Settings
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import PREFIX, FakeAws

OTHER = "/grpc-lb/users/main"


def run_balancer(aws: FakeAws, number: int, prefix: str) -> str:
    family = prefix.strip("/").replace("/", "-")
    aws.define(family, labels={BALANCER_LABEL: prefix})
    return aws.run(number, family=family, service=family)


def restrict(sync: Sync, selection: Selection) -> None:
    store = ParameterStore(sync.aws.client("ssm"), sync.prefix)
    refresher = Refresher(EcsCluster(sync.aws.client("ecs"), sync.cluster), store, sync.time.clock(), selection)
    sync.handler = Handler(Settings(sync.cluster, sync.prefix, selection), refresher)


def test_another_balancer_in_the_cluster_is_warned_of_once(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    # GIVEN a service, the balancer's own task, and a balancer of another app
    aws.run(1)
    run_balancer(aws, 2, PREFIX)
    other = run_balancer(aws, 3, OTHER)
    # WHEN the cluster is looked at twice
    sync.minute()
    sync.minute()
    # THEN one line names the other, and says what to do
    (line,) = logged.about("balancers overlap")
    assert line["others"] == [OTHER]
    assert "only_services or only_label" in line["problem"]
    # AND it is told again when it comes back
    aws.stop(other)
    sync.minute()
    run_balancer(aws, 4, OTHER)
    sync.minute()
    assert len(logged.about("balancers overlap")) == 2


def test_a_balancer_that_is_alone_is_silent(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.run(1)
    run_balancer(aws, 2, PREFIX)
    run_balancer(aws, 3, PREFIX)
    sync.minute()
    assert logged.about("balancers overlap") == []


@pytest.mark.parametrize("selection", [Selection(only_services=("rng",)), Selection(only_label="team=rng")])
def test_one_that_says_what_it_serves_is_silent(selection: Selection, aws: FakeAws, sync: Sync, logged: Lines) -> None:
    aws.run(1)
    run_balancer(aws, 3, OTHER)
    restrict(sync, selection)
    sync.minute()
    assert logged.about("balancers overlap") == []


def test_services_that_are_registered_with_others_are_told_by_name(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    """GIVEN services of several balancers, THEN those of others alone are logged, once, whatever runs or is labelled
    by hand besides.
    """
    for number, (service, balancers) in enumerate(
        {
            "own": [PREFIX],
            "both": [OTHER, PREFIX],
            "users": [OTHER],
            "by-hand": [],
        }.items()
    ):
        registered = {REGISTERED_LABEL: ",".join(map(name_of, balancers))} if balancers else {}
        labels = {"grpc-lb.enable": "true", "grpc-lb.service": service, "grpc-lb.hosts": service, **registered}
        aws.define(service, labels=labels)
        aws.run(number, family=service, service=service)
    sync.minute()
    sync.minute()
    (line,) = logged.about("services of other balancers")
    assert line["services"] == {"users": name_of(OTHER)}
    assert "registered with" in line["problem"]


def test_services_that_this_balancer_does_not_take_are_not_told(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    labels = {"grpc-lb.enable": "true", "grpc-lb.service": "users", REGISTERED_LABEL: name_of(OTHER)}
    aws.define("users", labels=labels)
    aws.run(1, family="users", service="users")
    restrict(sync, Selection(only_services=("rng",)))
    sync.minute()
    assert logged.about("services of other balancers") == []
