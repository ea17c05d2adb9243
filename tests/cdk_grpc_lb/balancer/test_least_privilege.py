"""Invariant 12, as far as the template decides it."""

from __future__ import annotations

from tests.cdk_grpc_lb.template import Synthesised, walk

# What AWS authorises against no narrower resource: the action, and the condition that narrows it all the same.
NO_RESOURCE = {
    "ecs:ListTasks": "ecs:cluster",  # https://github.com/cdklabs/construct-hub/pull/1207
    "ecs:DescribeTaskDefinition": None,  # knows neither a resource nor the cluster
    "ecr:GetAuthorizationToken": None,  # belongs to no repository; the CDK's own grant to pull an image
}


def test_invariant_12_least_privilege_no_wildcard_but_where_aws_has_no_other(comparison: Synthesised) -> None:
    wild = {
        action: statement.condition
        for statement in comparison.statements()
        for action in statement.actions
        if "*" in statement.resources
    }
    assert wild.keys() == NO_RESOURCE.keys()
    for action, key in NO_RESOURCE.items():
        assert (list(wild[action]["ArnEquals"]) if wild[action] is not None else [None]) == [key]
    assert not [action for statement in comparison.statements() for action in statement.actions if "*" in action]


def test_invariant_12_least_privilege_the_balancer_reads_its_own_parameters_and_nothing_else(
    example: Synthesised,
) -> None:
    (statement,) = example.statements("BalancerTaskDefinitionTaskRole")
    assert statement.actions == {"ssm:GetParameter", "ssm:GetParameters"}
    assert statement.resources == (OWN_PARAMETERS,)


def test_invariant_12_least_privilege_the_lambda_lists_its_own_cluster_and_writes_its_own_parameters(
    example: Synthesised,
) -> None:
    statements = {
        min(statement.actions).partition(":")[0] + ":" + min(statement.actions).partition(":")[2]: statement
        for statement in example.statements("TargetSyncRole")
    }
    assert set(statements) == {
        "ecs:DescribeServices",
        "ecs:DescribeTaskDefinition",
        "ecs:DescribeTasks",
        "ecs:ListTasks",
        "logs:CreateLogStream",
        "sqs:ChangeMessageVisibility",
        "ssm:DeleteParameters",
    }
    for action in ("ecs:ListTasks", "ecs:DescribeTasks", "ecs:DescribeServices"):
        assert statements[action].actions == {action}
        assert statements[action].condition == {"ArnEquals": {"ecs:cluster": {"Fn::GetAtt": [CLUSTER, "Arn"]}}}
    assert statements["ecs:DescribeTasks"].resources == (
        "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:task/${" + CLUSTER + "}/*",
    )
    assert statements["ecs:DescribeServices"].resources == (
        "arn:${AWS::Partition}:ecs:${AWS::Region}:${AWS::AccountId}:service/${" + CLUSTER + "}/*",
    )
    assert statements["ssm:DeleteParameters"].resources == (OWN_PARAMETERS,)
    assert statements["ssm:DeleteParameters"].actions == {
        "ssm:DeleteParameters",
        "ssm:GetParameter",
        "ssm:GetParameters",
        "ssm:GetParametersByPath",
        "ssm:PutParameter",
    }


def test_invariant_12_least_privilege_the_random_number_task_may_do_nothing(example: Synthesised) -> None:
    assert not list(example.statements("RandomNumbersTaskDefinitionTaskRole"))


def test_invariant_12_least_privilege_no_managed_policy_says_more_than_a_role_needs(comparison: Synthesised) -> None:
    for role in comparison.of_type("AWS::IAM::Role").values():
        assert "ManagedPolicyArns" not in role


def test_invariant_12_the_balancer_is_not_root_and_its_file_system_is_read_only(example: Synthesised) -> None:
    container = example.container("Balancer")
    assert container["User"] == "10001:10001"
    assert container["ReadonlyRootFilesystem"] is True
    assert container["LinuxParameters"]["Capabilities"] == {"Drop": ["ALL"]}
    assert container["MountPoints"] == [
        {"ContainerPath": "/var/lib/grpc-lb", "SourceVolume": "state", "ReadOnly": False}
    ]
    assert example.the("AWS::ECS::TaskDefinition", "Balancer")["Volumes"] == [{"Name": "state"}]


def test_invariant_12_only_calls_health_checks_and_other_balancers_reach_the_balancer(example: Synthesised) -> None:
    from_load_balancer = "${RandomNumbersBalancerLoadBalancerSecurityGroupB85EB9EC.GroupId}"
    from_balancers = "${RandomNumbersBalancerServiceSecurityGroupA766CC57.GroupId}"
    assert example.open_ports("BalancerServiceSecurityGroup") == {
        (from_load_balancer, 50051),
        (from_load_balancer, 8081),
        (from_balancers, 8080),
    }


def test_only_the_balancer_reaches_the_tasks(example: Synthesised) -> None:
    assert example.open_ports("RandomNumbersServiceSecurityGroup") == {
        ("${RandomNumbersBalancerServiceSecurityGroupA766CC57.GroupId}", 50051)
    }


def test_the_vpc_may_call_unless_the_listener_is_not_open(example: Synthesised, shared: dict[str, Synthesised]) -> None:
    assert example.open_ports("LoadBalancerSecurityGroup") == {("${RandomNumbersVpc2656D25B.CidrBlock}", 50051)}
    assert shared["platform"].open_ports("LoadBalancerSecurityGroup") == {("10.0.7.0/24", 9000)}


def test_nothing_is_open_to_the_world(comparison: Synthesised) -> None:
    for kind in ("AWS::EC2::SecurityGroup", "AWS::EC2::SecurityGroupIngress"):
        for group in comparison.of_type(kind).values():
            inbound = group.get("SecurityGroupIngress", [group] if "CidrIp" in group else [])
            assert "0.0.0.0/0" not in [value for key, value in walk(inbound) if key == "CidrIp"]
    for load_balancer in comparison.of_type("AWS::ElasticLoadBalancingV2::LoadBalancer").values():
        assert load_balancer["Scheme"] == "internal"
        assert load_balancer["SecurityGroups"]


CLUSTER = "RandomNumbersCluster37AD39C8"
OWN_PARAMETERS = (
    "arn:${AWS::Partition}:ssm:${AWS::Region}:${AWS::AccountId}"
    ":parameter/grpc-lb/${AWS::StackName}/RandomNumbers-Balancer-b5fc1718/*"
)
