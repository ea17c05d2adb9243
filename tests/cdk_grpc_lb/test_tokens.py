"""Values that only the deployment knows are told as the CDK tells them."""

from __future__ import annotations

import itertools

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ssm as ssm

from cdk_grpc_lb.tokens import is_token, is_unresolved
from tests.cdk_grpc_lb.apps import template_app

REFERENCE = cdk.Fn.import_value("Exported")


@pytest.mark.parametrize(
    "value",
    [
        *(None, True, 0, -1, 50051, 0.5, -0.5, "", "rng", "a$b", "${", "${AWS::Region}", ["a"], {"a": 1}),
        REFERENCE,
        f"/grpc-lb/{REFERENCE}/rng",
        cdk.Token.as_number(REFERENCE),
        cdk.Fn.split(",", REFERENCE),
    ],
    ids=itertools.count(),  # a token's text is another in each process
)
def test_a_token_is_what_the_cdk_says_is_one(value: object) -> None:
    assert is_token(value) == is_unresolved(value) == cdk.Token.is_unresolved(value)


def test_tokens_in_texts_numbers_and_lists_are_found() -> None:
    found = [REFERENCE, f"a-{REFERENCE}", cdk.Token.as_number(REFERENCE), cdk.Fn.split(",", REFERENCE)]
    assert all(map(is_unresolved, found))
    assert not any(map(is_unresolved, [None, 1, "rng", ["rng"]]))


def test_what_the_cli_has_still_to_look_up_is_not_known_yet() -> None:
    stack = cdk.Stack(template_app(), "Stack", env=cdk.Environment(account="111122223333", region="eu-west-1"))
    placeholder = ssm.StringParameter.value_from_lookup(stack, "/shop/cluster")
    assert is_unresolved(placeholder)
    assert is_unresolved(f"team={placeholder}")
    assert not is_token(placeholder)
