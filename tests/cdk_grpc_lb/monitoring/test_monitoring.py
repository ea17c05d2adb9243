"""Metrics, alarms and the dashboard: CloudWatch is asked for what is published, and every alarm says what to do."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_ec2 as ec2
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_sns as sns

from app import ROOT
from cdk_grpc_lb import GrpcAlarms, GrpcBalancedService, GrpcBalancer, GrpcDashboard, project
from cdk_grpc_lb.monitoring.alarm_conditions import NAMES, PAGING
from grpc_lb_contract import cloudwatch as published
from proxy_image.settings import from_environment
from tests.cdk_grpc_lb.template import Synthesised, as_text, synthesise
from tests.cdk_grpc_lb.validation.cases import BALANCER, balancer_in, existing_cluster, refused
from tests.cdk_grpc_lb.ways import IMAGE
from tests.docs.pages import code, page, section, tables

Json = dict[str, Any]
RUNBOOK = page("operate/alarms")
SILENCE_IS_TROUBLE = {"NoBalancerReady", "TargetsStale", "SyncSilent", "SyncSilentOtherTargets"}


@pytest.fixture(scope="module")
def alarms(ways: dict[str, Synthesised]) -> dict[str, Json]:
    """The alarms of the way that has them all but one, for two clusters, by name."""
    found = ways["Fleet"].of_type("AWS::CloudWatch::Alarm")
    return {re.sub("^BalancerAlarms|[0-9A-F]{8}$", "", id_): alarm for id_, alarm in found.items()}


def test_what_is_published_is_what_is_asked_for(ways: dict[str, Synthesised]) -> None:
    """GIVEN the environment of the image and of the function, THEN both publish under the name that the alarms ask
    for, in the same namespace."""
    fleet = ways["Fleet"]
    said = fleet.environment("Balancer")[published.BALANCER_VARIABLE]
    for function in fleet.of_type("AWS::Lambda::Function").values():
        assert function["Environment"]["Variables"][published.BALANCER_VARIABLE] == said
    stale = next(alarm for id_, alarm in fleet.of_type("AWS::CloudWatch::Alarm").items() if "TargetsStale" in id_)
    assert stale["Dimensions"] == [{"Name": "Balancer", "Value": said}]
    assert (stale["Namespace"], stale["MetricName"]) == ("GrpcLb", "TargetListAge")
    assert re.fullmatch(published.BALANCER_PATTERN, as_text(said).replace("${AWS::StackName}", "Fleet"))


def metrics_of(alarm: Json) -> list[Json]:
    if "MetricName" in alarm:
        return [alarm]
    return [each["MetricStat"]["Metric"] for each in alarm["Metrics"] if "MetricStat" in each]


def test_every_metric_of_ours_that_an_alarm_asks_for_is_published(alarms: dict[str, Json]) -> None:
    every = (*published.PER_SERVICE, *published.PER_BALANCER, *published.PER_DOCUMENT)
    names = {metric.name for metric in every}
    asked = {
        as_text(each["MetricName"])
        for alarm in alarms.values()
        for each in metrics_of(alarm)
        if each["Namespace"] == "GrpcLb"
    }
    assert {name for name in asked if not name.endswith("/ProcessStopped")} <= names


def test_a_process_that_stops_counts_for_its_own_balancer(
    ways: dict[str, Synthesised], alarms: dict[str, Json]
) -> None:
    """Not for that of another stack of the same app, as `stack_name=` makes one for each stage."""
    (filters,) = ways["Fleet"].of_type("AWS::Logs::MetricFilter").values()
    (made,) = filters["MetricTransformations"]
    assert as_text(made["MetricName"]).startswith("${AWS::StackName}/Balancer-")
    assert alarms["ProcessStopped"]["MetricName"] == made["MetricName"]


def test_every_alarm_but_the_one_left_out_is_there_for_each_cluster(alarms: dict[str, Json]) -> None:
    of_each_cluster = ["SyncSilent", "SyncFails", "SyncLag", "DeadLetters"]
    assert alarms.keys() == {*NAMES, *(f"{name}OtherTargets" for name in of_each_cluster)} - {"NoTargets"}
    assert all(len(alarm["AlarmActions"]) == 1 for alarm in alarms.values())


@pytest.mark.parametrize("name", NAMES)
def test_every_alarm_has_its_section_of_the_runbook(name: str) -> None:
    text = section(RUNBOOK, f"## {name}")
    assert "**It fires**" in text
    assert "**Do**" in text


def test_every_alarm_says_what_it_means_and_names_its_section(alarms: dict[str, Json]) -> None:
    for id_, alarm in alarms.items():
        anchor = id_.removesuffix("OtherTargets").lower()
        description = as_text(alarm["AlarmDescription"])
        assert f"Runbook: {project.RUNBOOK}#{anchor} Logs: https://console.aws.amazon.com/" in description
        assert len(description) <= 1024


def test_silence_is_trouble_where_someone_must_tell_and_none_where_nobody_calls(alarms: dict[str, Json]) -> None:
    breaching = {id_ for id_, alarm in alarms.items() if alarm["TreatMissingData"] == "breaching"}
    assert breaching == SILENCE_IS_TROUBLE
    assert {alarm["TreatMissingData"] for alarm in alarms.values()} == {"breaching", "notBreaching"}


def test_an_alarm_waits_for_the_balancer_so_that_silence_before_it_is_none(ways: dict[str, Synthesised]) -> None:
    for id_, resource in ways["Fleet"].body["Resources"].items():
        if resource["Type"] == "AWS::CloudWatch::Alarm":
            assert any("BalancerService" in needed for needed in resource["DependsOn"]), id_


def test_the_service_that_fails_most_is_what_wakes_someone(alarms: dict[str, Json]) -> None:
    assert (alarms["CallsFail"]["MetricName"], alarms["CallsFail"]["Statistic"]) == ("FailurePercent", "Maximum")
    assert (alarms["CallsFail"]["DatapointsToAlarm"], alarms["CallsFail"]["EvaluationPeriods"]) == (3, 5)


def test_calls_scale_on_the_balancers_own_metric(stack: cdk.Stack) -> None:
    """GIVEN a service of another stack, THEN its tasks follow the sum over all balancers of the calls per target."""
    balancer = balancer_in(stack)
    team = cdk.Stack(cdk.App.of(stack), "Team")
    service = GrpcBalancedService(team, "Orders", image=IMAGE, port=50051, balancer=balancer)
    service.auto_scale_task_count(max_capacity=10, calls_per_target=6000)
    (policy,) = (
        policy["TargetTrackingScalingPolicyConfiguration"]
        for id_, policy in synthesise(team).of_type("AWS::ApplicationAutoScaling::ScalingPolicy").items()
        if "CallsPerTarget" in id_
    )
    metric = policy["CustomizedMetricSpecification"]
    assert policy["TargetValue"] == 6000
    assert (metric["Namespace"], metric["MetricName"], metric["Statistic"]) == ("GrpcLb", "CallsPerTarget", "Sum")
    dimensions = {each["Name"]: as_text(each["Value"]) for each in metric["Dimensions"]}
    told = as_text(synthesise(stack).environment("Balancer")[published.BALANCER_VARIABLE])
    assert dimensions["Service"] == "orders"
    # The name of the balancer's stack, of which this is a reference from another one.
    assert "'StackName': 'Stack'" in dimensions["Balancer"]
    assert dimensions["Balancer"].partition("}/")[2] == told.partition("}/")[2] != ""


def test_metrics_of_ones_own_still_scale(ways: dict[str, Synthesised]) -> None:
    (metric,) = (
        policy["TargetTrackingScalingPolicyConfiguration"]["CustomizedMetricSpecification"]
        for id_, policy in ways["Fleet"].of_type("AWS::ApplicationAutoScaling::ScalingPolicy").items()
        if "CallsPerTarget" in id_
    )
    assert metric["Namespace"] == "Fresh"


def test_the_dashboard_finds_services_by_their_metrics(ways: dict[str, Synthesised]) -> None:
    body = as_text(ways["Fleet"].the("AWS::CloudWatch::Dashboard")["DashboardBody"])
    widgets = json.loads(body)["widgets"]
    searches = [
        metric[0]["expression"]
        for widget in widgets
        for metric in widget["properties"].get("metrics", [])
        if isinstance(metric[0], dict) and "SEARCH" in metric[0].get("expression", "")
    ]
    assert len(searches) == 7
    for search in searches:
        found = re.fullmatch(
            r"SEARCH\('\{GrpcLb,Balancer,Service\} Balancer=\"[^\"]+\" MetricName=\"(\w+)\"', '(\w+)', 60\)", search
        )
        assert found is not None, search
        assert found[1] in {metric.name for metric in (*published.PER_SERVICE, published.CALLS_PER_TARGET)}


def test_a_search_names_a_namespace_of_more_than_letters_and_digits_in_quotes(stack: cdk.Stack) -> None:
    GrpcDashboard(stack, "Dashboard", balancer=balancer_in(stack, cloudwatch_namespace="Shop-1/Grpc"))
    body = as_text(synthesise(stack).the("AWS::CloudWatch::Dashboard")["DashboardBody"])
    assert """SEARCH('{"Shop-1/Grpc",Balancer,Service} Balancer=""" in body.replace('\\"', '"')


def test_every_metric_method_asks_for_what_is_published(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, cloudwatch_namespace="Shop/Grpc")
    service = balancer.add_service("Orders", image=IMAGE, port=50051)
    of_balancer = (*published.PER_SERVICE, *published.PER_BALANCER, *published.PER_DOCUMENT)
    of_service = (*published.PER_SERVICE, published.CALLS_PER_TARGET)
    for source, metrics, dimensions in (
        (balancer, of_balancer, {"Balancer"}),
        (service, of_service, {"Balancer", "Service"}),
        (balancer.service_metrics("by-hand"), of_service, {"Balancer", "Service"}),
    ):
        methods = [name for name in dir(source) if name.startswith("metric_") and "utilization" not in name]
        made = [getattr(source, name)() for name in methods]
        assert {metric.metric_name for metric in made} == {metric.name for metric in metrics}
        assert {metric.namespace for metric in made} == {"Shop/Grpc"}
        assert all(set(metric.dimensions) == dimensions for metric in made)
        assert all(metric.period.to_seconds() == 60 for metric in made)
    assert service.metric_calls(period=cdk.Duration.hours(1), statistic="Average", label="x").label == "x"
    dimensions_ = balancer.service_metrics("by-hand").metric_calls().dimensions
    assert dimensions_ is not None
    assert dimensions_["Service"] == "by-hand"


def test_without_metrics_nothing_is_told_and_none_can_be_asked_for(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack, cloudwatch_metrics=False)
    service = balancer.add_service("Orders", image=IMAGE, port=50051)
    assert balancer.cloudwatch_name is None
    for ask in (
        balancer.metric_calls,
        service.metric_calls_per_target,
        balancer.add_alarms,
        balancer.add_dashboard,
        lambda: service.auto_scale_task_count(max_capacity=3, calls_per_target=100),
    ):
        with refused(BALANCER, "cloudwatch_metrics", "True where metrics of its calls are used", "False"):
            ask()
    template = synthesise(stack)
    assert published.BALANCER_VARIABLE not in template.environment("Balancer")
    (function,) = template.of_type("AWS::Lambda::Function").values()
    assert published.BALANCER_VARIABLE not in function["Environment"]["Variables"]


def imported(stack: cdk.Stack, **more: Any) -> Any:
    group = ec2.SecurityGroup.from_security_group_id(stack, "Group", "sg-0a1b2c3d4e5f60718")
    return GrpcBalancer.from_attributes(
        stack,
        "Elsewhere",
        host="balancer.internal",
        cluster=existing_cluster(stack),
        load_balancer_security_group=group,
        task_security_group=group,
        **more,
    )


def test_an_imported_balancer_has_metrics_by_its_name(stack: cdk.Stack) -> None:
    balancer = imported(stack, cloudwatch_name="Platform/Balancer-0a1b2c3d")
    service = GrpcBalancedService(stack, "Orders", image=IMAGE, port=50051, balancer=balancer)
    assert service.metric_calls().dimensions == {"Balancer": "Platform/Balancer-0a1b2c3d", "Service": "orders"}


def test_an_imported_balancer_without_a_name_has_none(stack: cdk.Stack) -> None:
    balancer = imported(stack)
    allowed = "given where metrics of its calls are used"
    with refused("GrpcBalancer Stack/Elsewhere", "cloudwatch_name", allowed, "None"):
        balancer.metric_calls()


@pytest.mark.parametrize("namespace", ["AWS/ECS", "", "a\nb", "x" * 256])
def test_a_namespace_that_cloudwatch_does_not_take_is_refused(stack: cdk.Stack, namespace: str) -> None:
    with refused(BALANCER, "cloudwatch_namespace", published.NAMESPACE_RULE, repr(namespace)):
        balancer_in(stack, cloudwatch_namespace=namespace)


def test_the_image_takes_the_longest_name_that_a_stack_makes(stack: cdk.Stack) -> None:
    name = f"{'s' * 128}/{'b' * 64}-{'0' * 8}"
    told = {"GRPC_LB_PARAMETER_PREFIX": "/x", published.BALANCER_VARIABLE: name}
    assert from_environment(told).cloudwatch_balancer == name


@pytest.mark.parametrize(
    ("props", "prop", "allowed", "got"),
    [
        ({"leave_out": ["Unknown"]}, "leave_out", f"a list of {', '.join(NAMES)}", "['Unknown']"),
        ({"leave_out": "NoTargets"}, "leave_out", f"a list of {', '.join(NAMES)}", "'NoTargets'"),
        ({"failures_percent": 0}, "failures_percent", "more than 0 and at most 100", "0"),
        ({"imbalance": 1}, "imbalance", "more than 1 and at most 1000", "1"),
        ({"saturation_percent": 101}, "saturation_percent", "more than 0 and at most 100", "101"),
    ],
)
def test_alarms_that_make_no_sense_are_refused(
    stack: cdk.Stack, props: dict[str, Any], prop: str, allowed: str, got: str
) -> None:
    balancer = balancer_in(stack)
    with refused("GrpcAlarms Stack/Balancer/Alarms", prop, allowed, got):
        balancer.add_alarms(**props)


def test_a_cluster_that_comes_after_the_alarms_is_refused(stack: cdk.Stack) -> None:
    balancer = balancer_in(stack)
    balancer.add_alarms()
    vpc = balancer.cluster.vpc
    with refused(BALANCER, "add_cluster", "called before add_alarms", "a call after it"):
        balancer.add_cluster("Other", ecs.Cluster(stack, "OtherCluster", vpc=vpc))


def test_alarms_and_a_dashboard_can_stand_elsewhere(stack: cdk.Stack) -> None:
    """GIVEN a service that made its own balancer, THEN its alarms may be made where and how the user wants them."""
    service = GrpcBalancedService(stack, "Orders", image=IMAGE, port=50051, cluster=existing_cluster(stack))
    assert isinstance(service.balancer, GrpcBalancer)
    topic = sns.Topic(stack, "Topic")
    alarms = GrpcAlarms(stack, "Own", balancer=service.balancer, topic=topic, leave_out=["LabelRejected"])
    board = GrpcDashboard(stack, "Board", balancer=service.balancer, dashboard_name="orders")
    board.dashboard.add_widgets(cloudwatch.TextWidget(markdown="mine"))
    assert alarms.alarms.keys() == {*NAMES} - {"LabelRejected"}
    assert synthesise(stack).the("AWS::CloudWatch::Dashboard")["DashboardName"] == "orders"


def test_pages_and_warnings_go_to_topics_of_their_own_and_end_there(stack: cdk.Stack) -> None:
    """GIVEN two topics and a runbook, THEN an alarm that wakes someone goes to one, the others to the other, each also
    when it ends, and each links to its section.
    """
    pages, mails = sns.Topic(stack, "Pages"), sns.Topic(stack, "Mails")
    alarms = balancer_in(stack).add_alarms(
        topic=pages, warning_topic=mails, runbook_url="https://wiki.example.com/grpc"
    )
    template = synthesise(stack)
    for name, (alarm,) in alarms.alarms.items():
        (made,) = (
            each
            for logical_id, each in template.of_type("AWS::CloudWatch::Alarm").items()
            if logical_id == stack.get_logical_id(alarm.node.default_child)  # type: ignore[arg-type]
        )
        topic = stack.get_logical_id((pages if name in PAGING else mails).node.default_child)  # type: ignore[arg-type]
        assert made["AlarmActions"] == made["OKActions"] == [{"Ref": topic}]
        description = as_text(made["AlarmDescription"])
        assert f"Runbook: https://wiki.example.com/grpc#{name.lower()} Logs: https://console" in description


def test_the_projects_own_runbook_is_where_the_package_says_that_the_project_is() -> None:
    urls = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Homepage"] == project.REPOSITORY
    page = project.RUNBOOK.removeprefix(f"{project.REPOSITORY}/blob/main/")
    assert (ROOT / page).read_text() == RUNBOOK


def test_the_alarms_that_wake_someone_are_those_of_the_operators_page() -> None:
    table, *_ = tables(RUNBOOK)
    assert {code(name) for name, _, wakes in table if wakes == "yes"} == PAGING
