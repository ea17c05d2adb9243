"""cdk-nag's AwsSolutions pack finds nothing in any way of use but what is acknowledged, each with its reason.

What lies in the nature of the constructs they acknowledge themselves (`cdk_grpc_lb/nag.py`); here is
what is for their users to decide.
"""

from __future__ import annotations

import aws_cdk as cdk
import pytest

from app import GrpcRandomNumbers
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.ways import make_every_way
from tests.docs.pages import page

FLOW_LOGS = ("VPC7", "flow logs cost by the gigabyte, and whoever wants them adds them: vpc.add_flow_log")
INSIGHTS = ("ECS4", "Container Insights cost by the metric, and whoever wants them gives a cluster that has them")
SETTINGS = ("ECS2", "the settings of the service are no secrets")
PULL = ("IAM5[Resource::*]", "the CDK's own grant to pull an image: its token belongs to no repository")
INTERNAL = ("EC23", "it is open to the VPC at most, which the rule cannot read out of a reference")
NO_LOGS = ("ELB2", "a Network Load Balancer logs calls of TLS listeners only")
# How cdk-nag writes what is below a cluster of another stack, which the construct cannot know when it is made.
OF_LEGACY = (
    'IAM5[Resource::arn:<AWS::Partition>:ecs:<AWS::Region>:<AWS::AccountId>:{}/{{"Fn::GetStackOutput":'
    '{{"StackName":"Legacy","Region":{{"Ref":"AWS::Region"}},'
    '"OutputName":"PublishOutputRefClusterEB0386A7D87642F6"}}}}/*]'
)

DECIDED: dict[str, list[tuple[str, str]]] = {
    "GrpcRandomNumbers/RandomNumbers/Vpc": [FLOW_LOGS],
    "GrpcRandomNumbers/RandomNumbers/Cluster": [INSIGHTS],
    "GrpcRandomNumbers/RandomNumbers/TaskDefinition": [SETTINGS, PULL],
    "GrpcRandomNumbers/ComparisonNlb": [INTERNAL, NO_LOGS],
    "Legacy/Cluster": [INSIGHTS],
    "Legacy/Task": [("ECS7", "the service that was there before is not ours: its container logs nowhere")],
    "Fleet/Other": [INSIGHTS],
    "Fleet/Balancer/TargetSync/Role": [
        (OF_LEGACY.format("task"), "tasks are listed before they are described, of one cluster"),
        (OF_LEGACY.format("service"), "which services there are is known only when it runs"),
    ],
    "Public/Vpc": [FLOW_LOGS],
    "Public/Cluster": [INSIGHTS],
    "Public/Balancer/LoadBalancerSecurityGroup": [("EC23", "open_listener=True: it is for the internet to call")],
    "Public/Balancer/LoadBalancer": [("ELB2", "they need a bucket: balancer.load_balancer.log_access_logs")],
    "Whole/Rng/Cluster": [INSIGHTS],
    "Whole/Task": [
        ("ECS7", "the task definition is the user's, who gives none of its containers a log"),
        ("IAM5[Resource::*]", "ECS Exec's channels know no resource"),
    ],
    "Elsewhere/Balancer/Rng/TaskDefinition": [
        SETTINGS,
        ("IAM5[Resource::*]", "the CDK's own grant for its log router"),
    ],
}


def example_with_cdk_nag() -> cdk.App:
    """The example, checked at synth."""
    from cdk_nag import AwsSolutionsChecks  # here: Node is given its library when it is imported

    app = template_app()
    GrpcRandomNumbers(app, "GrpcRandomNumbers", compare="nlb")
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks())
    return app


def acknowledge(app: cdk.App, path: str, rule: str, reason: str) -> None:
    construct = app.node
    for part in path.split("/"):
        construct = construct.find_child(part).node
    acknowledgment = cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason)
    cdk.Validations.of(construct.scope or app).acknowledge(acknowledgment)


def test_cdk_nag_finds_nothing_that_is_not_decided() -> None:
    app = example_with_cdk_nag()
    make_every_way(app)
    for path, rules in DECIDED.items():
        for rule, reason in rules:
            acknowledge(app, path, rule, reason)
    app.synth()


def test_the_page_on_tests_names_the_rules_that_are_left_to_users() -> None:
    """But for what cdk-nag finds in task definitions of their own."""
    left = {
        rule.partition("[")[0] for path, rules in DECIDED.items() if not path.endswith("/Task") for rule, _ in rules
    }
    told = page("how-to/snapshot-tests")
    assert left
    assert [rule for rule in left if f"`{rule}" not in told] == []


def test_cdk_nag_looks() -> None:
    """GIVEN no acknowledgement of ours, THEN synth fails, with what the users' own parts lack and nothing of ours."""
    app = example_with_cdk_nag()
    with pytest.raises(RuntimeError, match="AwsSolutions-VPC7"):
        app.synth()
