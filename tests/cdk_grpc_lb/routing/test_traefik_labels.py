from __future__ import annotations

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancer, TraefikLabels
from lambda_src.settings import CLUSTER, PARAMETER_PREFIX, TRAEFIK_LABELS, Settings
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import Synthesised, synthesise

READ = TraefikLabels(constraints="Label(`team`, `payments`)", ignored_middlewares=["secure@file"])


def with_labels(traefik_labels: TraefikLabels | None) -> Synthesised:
    stack = cdk.Stack(template_app(), "Stack")
    GrpcBalancer(stack, "Balancer", cluster=ecs.Cluster(stack, "Cluster"), traefik_labels=traefik_labels)
    return synthesise(stack)


def test_the_lambda_is_told_to_read_traefiks_labels_and_nothing_else_changes() -> None:
    # GIVEN a balancer with the switch and one without
    on, off = (with_labels(labels) for labels in (READ, None))
    # THEN the function's environment has the options, as the Lambda reads them
    variables = on.the("AWS::Lambda::Function", "TargetSyncFunction")["Environment"]["Variables"]
    given = {CLUSTER: "arn:aws:ecs:eu-west-1:1:cluster/a", PARAMETER_PREFIX: "/a"}
    told = Settings.from_environment({**given, TRAEFIK_LABELS: variables[TRAEFIK_LABELS]})
    assert told.selection.traefik == READ
    # AND without it the template is the same in all the rest
    del variables[TRAEFIK_LABELS]
    assert on.body == off.body


def test_options_that_cannot_be_read_fail_at_synth() -> None:
    with pytest.raises(ValueError, match=r"constraints must be an expression such as .*; it cannot be read at its end"):
        TraefikLabels(constraints="Label(`team`")
