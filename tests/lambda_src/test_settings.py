from __future__ import annotations

import re

import pytest

from lambda_src.discovery.selection import Selection
from lambda_src.settings import Settings

GOOD = {
    "GRPC_LB_CLUSTER": "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/Main_1",
    "GRPC_LB_PARAMETER_PREFIX": "/grpc-lb/stack/id",
}


def test_the_environment_names_cluster_and_prefix() -> None:
    assert Settings.from_environment(GOOD) == Settings(GOOD["GRPC_LB_CLUSTER"], "/grpc-lb/stack/id")


@pytest.mark.parametrize("name", GOOD)
def test_a_missing_variable_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"environment variable {name} must be .*, and is not set"):
        Settings.from_environment({key: value for key, value in GOOD.items() if key != name})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GRPC_LB_CLUSTER", "main"),
        ("GRPC_LB_CLUSTER", ""),
        ("GRPC_LB_PARAMETER_PREFIX", "grpc-lb"),
        ("GRPC_LB_PARAMETER_PREFIX", "/grpc-lb/"),
        ("GRPC_LB_EXPOSED_BY_DEFAULT", "yes"),
        ("GRPC_LB_ONLY_SERVICES", "orders, billing"),
        ("GRPC_LB_ONLY_SERVICES", "[a-z]"),
        ("GRPC_LB_ONLY_SERVICES", ""),
        ("GRPC_LB_ONLY_LABEL", "=orders"),
        ("GRPC_LB_CLOUDWATCH_BALANCER", ":x"),
        ("GRPC_LB_CLOUDWATCH_NAMESPACE", "AWS/Lambda"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named_and_quoted(name: str, value: str) -> None:
    with pytest.raises(ValueError, match=f"environment variable {name} must be .*, got {re.escape(repr(value))}"):
        Settings.from_environment(GOOD | {name: value})


def test_the_environment_says_which_containers_are_the_balancers() -> None:
    told = {
        "GRPC_LB_EXPOSED_BY_DEFAULT": "true",
        "GRPC_LB_ONLY_SERVICES": "orders-*,billing",
        "GRPC_LB_ONLY_LABEL": "team=a=b",
    }
    assert Settings.from_environment(GOOD | told).selection == Selection(
        exposed_by_default=True, only_services=("orders-*", "billing"), only_label="team=a=b"
    )


def test_without_a_word_about_it_every_labelled_container_is() -> None:
    assert Settings.from_environment(GOOD | {"GRPC_LB_EXPOSED_BY_DEFAULT": "false"}).selection == Selection()
