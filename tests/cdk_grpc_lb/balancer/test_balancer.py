"""The balancer's part of the template."""

from __future__ import annotations

import re

import aws_cdk as cdk
import pytest
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs

from cdk_grpc_lb import GrpcBalancer
from cdk_grpc_lb.balancer import image, polling
from grpc_lb_contract.document.balancers import BALANCER_LABEL, WEB_PORT
from proxy_image.settings import VARIABLES
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.template import Synthesised, as_text, synthesise


def test_a_stopped_balancer_may_drain_to_the_end(example: Synthesised) -> None:
    """GIVEN the drain times that the container is told, THEN ECS kills it only after both, and Fargate allows that."""
    told = example.environment("Balancer")
    drains = int(told["GRPC_LB_DRAIN_DELAY_SECONDS"]) + int(told["GRPC_LB_DRAIN_SECONDS"])
    assert drains + 10 <= example.container("Balancer")["StopTimeout"] <= 120


def test_readiness_fails_long_enough_for_the_load_balancer_to_act(example: Synthesised) -> None:
    """GIVEN a target that turns unhealthy, THEN connections keep coming for 40 s after the checks have failed."""
    group = example.the("AWS::ElasticLoadBalancingV2::TargetGroup")
    noticed = group["HealthCheckIntervalSeconds"] * group["UnhealthyThresholdCount"]
    assert int(example.environment("Balancer")["GRPC_LB_DRAIN_DELAY_SECONDS"]) >= noticed + 40


def test_the_load_balancer_asks_envoy_for_readiness(example: Synthesised) -> None:
    group = example.the("AWS::ElasticLoadBalancingV2::TargetGroup")
    assert (group["HealthCheckProtocol"], group["HealthCheckPort"], group["HealthCheckPath"]) == (
        "HTTP",
        "8081",
        "/ready",
    )
    assert (group["Protocol"], group["Port"], group["TargetType"]) == ("TCP", 50051, "ip")
    attributes = {attribute["Key"]: attribute["Value"] for attribute in group["TargetGroupAttributes"]}
    assert attributes["preserve_client_ip.enabled"] == "false"


def test_invariant_8_no_load_balancer_cuts_connections_when_a_target_leaves(comparison: Synthesised) -> None:
    for group in comparison.of_type("AWS::ElasticLoadBalancingV2::TargetGroup").values():
        keys = [attribute["Key"] for attribute in group["TargetGroupAttributes"]]
        assert "deregistration_delay.connection_termination.enabled" not in keys


def test_invariant_8_no_load_balancer_cuts_connections_when_a_target_is_unhealthy(example: Synthesised) -> None:
    group = example.the("AWS::ElasticLoadBalancingV2::TargetGroup")
    attributes = {attribute["Key"]: attribute["Value"] for attribute in group["TargetGroupAttributes"]}
    (container,) = example.the("AWS::ECS::TaskDefinition", "Balancer")["ContainerDefinitions"]
    assert attributes["target_health_state.unhealthy.connection_termination.enabled"] == "false"
    assert int(attributes["target_health_state.unhealthy.draining_interval_seconds"]) >= container["StopTimeout"]
    assert int(attributes["deregistration_delay.timeout_seconds"]) >= container["StopTimeout"]


def test_the_load_balancer_is_internal_and_spreads_over_zones(example: Synthesised) -> None:
    load_balancer = example.the("AWS::ElasticLoadBalancingV2::LoadBalancer")
    assert load_balancer["Type"] == "network"
    assert load_balancer["Scheme"] == "internal"
    assert {"Key": "load_balancing.cross_zone.enabled", "Value": "true"} in load_balancer["LoadBalancerAttributes"]


def test_two_tasks_balance_and_a_deployment_never_goes_below(example: Synthesised) -> None:
    service = example.the("AWS::ECS::Service", "Balancer")
    assert service["DesiredCount"] == 2
    assert service["DeploymentConfiguration"] == {
        "MinimumHealthyPercent": 100,
        "MaximumPercent": 200,
        "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
    }
    assert service["HealthCheckGracePeriodSeconds"] >= 120  # the first document may take a minute


def test_no_balancer_starts_before_its_document_can_be_written(example: Synthesised) -> None:
    (resource,) = (
        resource
        for name, resource in example.body["Resources"].items()
        if resource["Type"] == "AWS::ECS::Service" and "Balancer" in name
    )
    for part in ("TaskStateChanges", "EveryMinute", "FunctionMessages", "TargetSyncPublishing", "QueuePolicy"):
        assert [needed for needed in resource["DependsOn"] if part in needed], part


def test_no_task_starts_before_its_subnet_has_a_route(example: Synthesised) -> None:
    for resource in example.body["Resources"].values():
        if resource["Type"] == "AWS::ECS::Service":
            assert len([needed for needed in resource["DependsOn"] if "DefaultRoute" in needed]) == 2


def test_no_task_starts_before_ecs_may_pull_its_image_and_read_its_secrets(example: Synthesised) -> None:
    """GIVEN each service, THEN it waits for the policy of its own task's execution role, in updates too."""
    resources = example.body["Resources"]
    services = [each for each in resources.values() if each["Type"] == "AWS::ECS::Service"]
    for service in services:
        task = resources[service["Properties"]["TaskDefinition"]["Ref"]]
        (role, _) = task["Properties"]["ExecutionRoleArn"]["Fn::GetAtt"]
        policies = [
            name
            for name, policy in example.of_type("AWS::IAM::Policy").items()
            if {"Ref": role} in policy["Roles"] and name in service["DependsOn"]
        ]
        assert len(policies) == 1
    assert len(services) == 2


def test_invariant_6_the_containers_health_check_does_not_ask_the_control_plane(example: Synthesised) -> None:
    check = example.container("Balancer")["HealthCheck"]
    assert check["Command"] == ["CMD", "python", "-m", "proxy_image.health"]


@pytest.mark.parametrize("container", ["Balancer", "App"])
def test_invariant_6_no_container_waits_for_its_logs(example: Synthesised, container: str) -> None:
    assert example.container(container)["LogConfiguration"]["Options"]["mode"] == "non-blocking"


def test_logs_are_kept_for_a_month(example: Synthesised) -> None:
    groups = example.of_type("AWS::Logs::LogGroup")
    assert len(groups) == 3
    assert {group["RetentionInDays"] for group in groups.values()} == {30}


def test_the_ports_are_those_the_image_listens_on(example: Synthesised) -> None:
    defaults = {variable.name: variable.default for variable in VARIABLES}
    listened = {int(defaults[f"GRPC_LB_{name}"] or 0) for name in ("PORT", "READY_PORT", "WEB_PORT", "XDS_PORT")}
    assert {mapping["ContainerPort"] for mapping in example.container("Balancer")["PortMappings"]} == listened
    assert int(defaults["GRPC_LB_PORT"] or 0) == image.CALLS_PORT
    assert int(defaults["GRPC_LB_READY_PORT"] or 0) == image.READY_PORT


def test_every_setting_is_one_the_image_knows(example: Synthesised) -> None:
    assert example.environment("Balancer").keys() <= {variable.name for variable in VARIABLES}


def test_connections_are_not_bounded_by_open_files(example: Synthesised) -> None:
    (limit,) = example.container("Balancer")["Ulimits"]
    assert (limit["Name"], limit["SoftLimit"], limit["HardLimit"]) == ("nofile", 65535, 65535)


def test_the_parameter_prefix_keeps_its_stack_in_the_templates_of_others(shared: dict[str, Synthesised]) -> None:
    """GIVEN a prefix used by another stack, THEN it names the balancer's stack, not the one that uses it."""
    own = as_text(shared["platform"].environment("Balancer")["GRPC_LB_PARAMETER_PREFIX"])
    assert re.fullmatch(r"/grpc-lb/\$\{AWS::StackName\}/Balancer-[0-9a-f]{8}", own)
    assert "${AWS::StackName}" not in as_text(shared["team"].body["Outputs"]["Prefix"]["Value"])


def test_drain_times_that_only_the_deployment_knows_get_all_the_time_there_is(stack: cdk.Stack) -> None:
    seconds = cdk.CfnParameter(stack, "Seconds", type="Number").value_as_number
    cluster = ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc", restrict_default_security_group=False))
    GrpcBalancer(stack, "Balancer", cluster=cluster, drain_time=cdk.Duration.seconds(seconds))
    template = synthesise(stack)
    assert template.environment("Balancer")["GRPC_LB_DRAIN_SECONDS"] == {"Ref": "Seconds"}
    assert template.container("Balancer")["StopTimeout"] == 120


def test_both_intervals_of_reading_reach_the_image_which_has_its_own_where_none_is_given(
    stack: cdk.Stack, example: Synthesised
) -> None:
    cluster = ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc"))
    seconds = cdk.CfnParameter(stack, "Seconds", type="Number").value_as_number
    GrpcBalancer(
        stack,
        "Balancer",
        cluster=cluster,
        poll_interval=cdk.Duration.millis(250),
        idle_poll_interval=cdk.Duration.seconds(seconds),
    )
    told = synthesise(stack).environment("Balancer")
    assert told["GRPC_LB_POLL_SECONDS"] == "0.25"
    assert told["GRPC_LB_IDLE_POLL_SECONDS"] == {"Ref": "Seconds"}
    assert not {"GRPC_LB_POLL_SECONDS", "GRPC_LB_IDLE_POLL_SECONDS"} & example.environment("Balancer").keys()


def test_the_intervals_that_the_props_are_checked_against_are_the_images() -> None:
    defaults = {variable.name: variable.default for variable in VARIABLES}
    assert defaults["GRPC_LB_POLL_SECONDS"] == f"{polling.IMAGES_INTERVAL_MILLISECONDS / 1000:g}"
    assert defaults["GRPC_LB_IDLE_POLL_SECONDS"] == f"{polling.IMAGES_IDLE_MILLISECONDS / 1000:g}"


def test_a_balancer_on_spot_runs_in_a_cluster_that_has_it() -> None:
    """GIVEN a cluster of this app, THEN its Spot provider is enabled, and the balancer's tasks ask for nothing else."""
    stack = cdk.Stack(template_app(), "Stack")
    GrpcBalancer(
        stack,
        "Balancer",
        cluster=ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc")),
        image=ecs.ContainerImage.from_registry("example/balancer"),
        capacity_provider_strategies=[ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=1)],
    )
    template = synthesise(stack)
    service = template.the("AWS::ECS::Service")
    assert "LaunchType" not in service
    assert service["CapacityProviderStrategy"] == [{"CapacityProvider": "FARGATE_SPOT", "Weight": 1}]
    ((name, providers),) = template.of_type("AWS::ECS::ClusterCapacityProviderAssociations").items()
    assert "FARGATE_SPOT" in providers["CapacityProviders"]
    # Made before the service asks for it, and deleted after the service, because ECS keeps what is in use.
    (resource,) = [each for each in template.body["Resources"].values() if each["Type"] == "AWS::ECS::Service"]
    assert name in resource["DependsOn"]


def test_a_balancer_that_is_part_of_its_cluster_does_not_wait_for_itself() -> None:
    """GIVEN one on Spot whose scope is the cluster, WHEN something there needs its service, THEN there is no cycle."""
    stack = cdk.Stack(template_app(), "Stack")
    cluster = ecs.Cluster(stack, "Cluster", vpc=ec2.Vpc(stack, "Vpc"))
    balancer = GrpcBalancer(
        cluster,
        "Balancer",
        cluster=cluster,
        image=ecs.ContainerImage.from_registry("example/balancer"),
        capacity_provider_strategies=[ecs.CapacityProviderStrategy(capacity_provider="FARGATE_SPOT", weight=1)],
    )
    balancer.auto_scale_task_count(max_capacity=4)
    synthesise(stack)  # which rejects a cycle


def test_balancers_let_each_other_see_their_page_and_bear_the_name_that_the_document_has(example: Synthesised) -> None:
    resources = [each for each in example.body["Resources"].values() if "Properties" in each]
    rules = [each["Properties"] for each in resources if each["Type"] == "AWS::EC2::SecurityGroupIngress"]
    (rule,) = [each for each in rules if each["FromPort"] == image.WEB_PORT]
    assert rule["SourceSecurityGroupId"] == rule["GroupId"]
    containers = [
        container
        for each in resources
        if each["Type"] == "AWS::ECS::TaskDefinition"
        for container in each["Properties"]["ContainerDefinitions"]
        if BALANCER_LABEL in container.get("DockerLabels", {})
    ]
    (container,) = containers
    settings = {setting["Name"]: setting["Value"] for setting in container["Environment"]}
    assert container["DockerLabels"][BALANCER_LABEL] == settings["GRPC_LB_PARAMETER_PREFIX"]
    assert WEB_PORT == image.WEB_PORT
