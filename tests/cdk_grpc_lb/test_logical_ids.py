"""Logical ids are a contract: a changed one replaces a user's load balancer, and with it the address of callers."""
# ruff: noqa: E501 - ids are as long as they are

from __future__ import annotations

from tests.cdk_grpc_lb.template import Synthesised

# What loses something when it is replaced: an address, tasks, logs, waiting events, a rule that lets calls through.
PINNED = {
    "RandomNumbersBalancerLoadBalancer378901F5": "AWS::ElasticLoadBalancingV2::LoadBalancer",
    "RandomNumbersBalancerLoadBalancerListener4BDA9CC0": "AWS::ElasticLoadBalancingV2::Listener",
    "RandomNumbersBalancerLoadBalancerListenerTasksGroup83F7FBA9": "AWS::ElasticLoadBalancingV2::TargetGroup",
    "RandomNumbersBalancerLoadBalancerSecurityGroupB85EB9EC": "AWS::EC2::SecurityGroup",
    "RandomNumbersBalancerLoadBalancerSecurityGrouptoGrpcRandomNumbersBalancerServiceSecurityGroup5965E08F50051BB6D5A1A": "AWS::EC2::SecurityGroupEgress",
    "RandomNumbersBalancerLoadBalancerSecurityGrouptoGrpcRandomNumbersBalancerServiceSecurityGroup5965E08F8081DC90763A": "AWS::EC2::SecurityGroupEgress",
    "RandomNumbersBalancerLogsD8527C92": "AWS::Logs::LogGroup",
    "RandomNumbersBalancerServiceD41DA6A0": "AWS::ECS::Service",
    "RandomNumbersBalancerServiceSecurityGroupA766CC57": "AWS::EC2::SecurityGroup",
    "RandomNumbersBalancerServiceSecurityGroupfromGrpcRandomNumbersBalancerLoadBalancerSecurityGroupA44762A350051E6422092": "AWS::EC2::SecurityGroupIngress",
    "RandomNumbersBalancerServiceSecurityGroupfromGrpcRandomNumbersBalancerLoadBalancerSecurityGroupA44762A380810EE4E081": "AWS::EC2::SecurityGroupIngress",
    "RandomNumbersBalancerServiceSecurityGroupfromGrpcRandomNumbersBalancerServiceSecurityGroup5965E08F808093015E29": "AWS::EC2::SecurityGroupIngress",
    "RandomNumbersBalancerTargetSyncDeadLettersD5FB2BCD": "AWS::SQS::Queue",
    "RandomNumbersBalancerTargetSyncEveryMinuteEA6B11E1": "AWS::Events::Rule",
    "RandomNumbersBalancerTargetSyncFunctionEE9420D1": "AWS::Lambda::Function",
    "RandomNumbersBalancerTargetSyncFunctionMessages923E01BA": "AWS::Lambda::EventSourceMapping",
    "RandomNumbersBalancerTargetSyncLogs5EE2A2F9": "AWS::Logs::LogGroup",
    "RandomNumbersBalancerTargetSyncQueue058EACF1": "AWS::SQS::Queue",
    "RandomNumbersBalancerTargetSyncRoleFE153966": "AWS::IAM::Role",
    "RandomNumbersBalancerTargetSyncTaskStateChanges9C6C1337": "AWS::Events::Rule",
    "RandomNumbersBalancerTaskDefinition4CF84961": "AWS::ECS::TaskDefinition",
    "RandomNumbersBalancerTaskDefinitionExecutionRole67900374": "AWS::IAM::Role",
    "RandomNumbersBalancerTaskDefinitionTaskRoleE6BBB595": "AWS::IAM::Role",
    "RandomNumbersCluster37AD39C8": "AWS::ECS::Cluster",
    "RandomNumbersLogsE333BB9C": "AWS::Logs::LogGroup",
    "RandomNumbersService5D61EE85": "AWS::ECS::Service",
    "RandomNumbersServiceSecurityGroup8391E83B": "AWS::EC2::SecurityGroup",
    "RandomNumbersServiceSecurityGroupfromGrpcRandomNumbersBalancerServiceSecurityGroup5965E08F5005128884154": "AWS::EC2::SecurityGroupIngress",
    "RandomNumbersTaskDefinitionB80827CB": "AWS::ECS::TaskDefinition",
    "RandomNumbersTaskDefinitionExecutionRole1973E3CA": "AWS::IAM::Role",
    "RandomNumbersTaskDefinitionTaskRoleA564C276": "AWS::IAM::Role",
    "RandomNumbersVpc2656D25B": "AWS::EC2::VPC",
}
# What only one way of use has, by stack.
ALSO_PINNED = {
    "Public": {"BalancerAliasRecordE6775B29": "AWS::Route53::RecordSet"},
    "Fleet": {
        "BalancerLoadBalancerXdsListener507EA2AE": "AWS::ElasticLoadBalancingV2::Listener",
        "BalancerServiceTaskCountTarget2F65287E": "AWS::ApplicationAutoScaling::ScalableTarget",
        "BalancerOtherTargetsFunction90A51EAF": "AWS::Lambda::Function",
    },
}


def ids(synthesised: Synthesised) -> dict[str, str]:
    return {name: resource["Type"] for name, resource in synthesised.body["Resources"].items()}


def test_the_logical_ids_are_those_that_were_deployed(example: Synthesised) -> None:
    kinds = set(PINNED.values())
    assert {name: kind for name, kind in ids(example).items() if kind in kinds} == PINNED


def test_so_are_those_of_other_ways_of_use(ways: dict[str, Synthesised]) -> None:
    for way, pinned in ALSO_PINNED.items():
        assert pinned.items() <= ids(ways[way]).items()
