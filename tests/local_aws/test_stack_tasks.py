"""ECS as the stand-in plays it, seen by boto3, by events and by the processes themselves."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import httpx
import pytest
from botocore.exceptions import ClientError

from local_aws.deploy.without_cli import WithoutCli
from local_aws.errors import LocalAwsError
from local_aws.process import processes
from local_aws.stack import LocalStack, TaskInfo
from tests.local_aws.talk import Talk
from tests.local_aws.waiting import until
from tests.waiting import PATIENCE_SECONDS


class Small:
    def __init__(self, stack: LocalStack) -> None:
        self.stack = stack
        self.ecs = stack.client("ecs")
        self.sqs = stack.client("sqs")
        outputs = json.loads((stack.layout.run / "outputs.json").read_text())["Small"]
        self.cluster: str = outputs["ClusterName"]
        self.address: str = outputs["Address"].partition(":")[0]
        self.seen: str = outputs["SeenUrl"]

    def scale(self, count: int, service: str = "echo") -> None:
        self.ecs.update_service(cluster=self.cluster, service=service, desiredCount=count)

    def steady(self, count: int, service: str = "echo", within: float = PATIENCE_SECONDS) -> list[TaskInfo]:
        def found() -> bool:
            (shown,) = (one for one in self.stack.services() if one["name"] == service)
            return bool(shown["steady"] and shown["desired"] == count)

        until(f"service {service} is steady with {count}", found, within=within)
        return self.stack.serving(service)

    def events(self) -> list[dict[str, Any]]:
        """All that came since the last time, in their order."""
        read: list[dict[str, Any]] = []
        while messages := self.sqs.receive_message(QueueUrl=self.seen, MaxNumberOfMessages=10).get("Messages"):
            for message in messages:
                read.append(json.loads(message["Body"]))
                self.sqs.delete_message(QueueUrl=self.seen, ReceiptHandle=message["ReceiptHandle"])
        return read


@pytest.fixture(scope="module")
def unsettled(stack: LocalStack) -> Small:
    return Small(stack)


@pytest.fixture
def small(unsettled: Small) -> Iterator[Small]:
    """The small stack, at two steady echo tasks, with no event unread."""
    unsettled.scale(2)
    unsettled.steady(2)
    until("nothing moves", lambda: not unsettled.events())
    yield unsettled
    unsettled.stack.outage("none")


def details_until_stopped(small: Small, arn: str) -> list[dict[str, Any]]:
    """Of every event of the task that comes until the one that tells its end."""
    details: list[dict[str, Any]] = []

    def stopped() -> bool:
        details.extend(event["detail"] for event in small.events() if event["detail"]["taskArn"] == arn)
        return any(detail["lastStatus"] == "STOPPED" for detail in details)

    until("the last event is there", stopped)
    return details


def states_until_stopped(small: Small, arn: str) -> list[tuple[int, str, str]]:
    found = details_until_stopped(small, arn)
    return [(detail["version"], detail["lastStatus"], detail["desiredStatus"]) for detail in found]


def moments_until_stopped(small: Small, arn: str) -> dict[str, float]:
    """When it had which last status, by the clock of the stand-in: whoever looks may be late."""
    found = details_until_stopped(small, arn)
    return {detail["lastStatus"]: datetime.fromisoformat(detail["updatedAt"]).timestamp() for detail in found}


def test_every_task_runs_at_an_address_of_its_own_in_turn_in_every_zone(small: Small) -> None:
    # GIVEN a service of two tasks WHEN they are described
    arns = small.ecs.list_tasks(cluster=small.cluster, serviceName="echo")["taskArns"]
    tasks = small.ecs.describe_tasks(cluster=small.cluster, tasks=arns)["tasks"]
    # THEN each answers at its address, and both zones are used
    addresses = [
        detail["value"]
        for task in tasks
        for detail in task["attachments"][0]["details"]
        if detail["name"] == "privateIPv4Address"
    ]
    assert len(set(addresses)) == 2
    for task, address in zip(tasks, addresses, strict=True):
        assert task["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == address
        assert task["group"] == "service:echo"
        with Talk(address) as talk:
            assert task["taskArn"].endswith(f"/{talk.task_id}")
    assert {task["availabilityZone"] for task in tasks} == {"us-east-1a", "us-east-1b"}


def test_a_task_has_the_environment_of_its_image_its_definition_and_its_run(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    with Talk(first.ip) as talk:
        assert talk.order("environment FROM_IMAGE") == "yes, it is"
        assert talk.order("environment PORT") == "50200"
        assert talk.order("environment AWS_ENDPOINT_URL") == small.stack.addresses.aws_endpoint
        assert talk.order("environment BIND_ADDRESS") == first.ip
        assert Path(talk.order("environment TMPDIR")).is_dir()


def test_a_task_and_a_function_may_do_what_the_policies_of_their_roles_allow_and_no_more(small: Small) -> None:
    # GIVEN a task whose role has no policy, a function whose role may do all of ECS, and a person
    (first, *_) = small.stack.serving("echo")
    definition = small.ecs.describe_task_definition(taskDefinition=first.task_definition)["taskDefinition"]
    (function,) = (one for one in small.stack.client("lambda").list_functions()["Functions"] if "Hands" in one["Role"])
    with Talk(first.ip) as talk:
        assert talk.order("environment AWS_SESSION_TOKEN") == definition["taskRoleArn"]
    # THEN AWS refuses the task's calls, and answers those of the others
    with pytest.raises(ClientError, match=r"not authorized to perform: ecs:ListTasks") as refused:
        small.stack.client("ecs", role=definition["taskRoleArn"]).list_tasks(cluster=small.cluster)
    assert refused.value.response["Error"]["Code"] == "AccessDeniedException"
    assert small.stack.client("ecs", role=function["Role"]).list_tasks(cluster=small.cluster)["taskArns"]
    assert small.ecs.list_tasks(cluster=small.cluster)["taskArns"]


def test_the_task_definition_is_told_in_the_spelling_of_the_api(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    definition = small.ecs.describe_task_definition(taskDefinition=first.task_definition)["taskDefinition"]
    assert definition["containerDefinitions"][0]["dockerLabels"] == {"small.Name": "Echo"}
    assert definition["containerDefinitions"][0]["portMappings"][0]["containerPort"] == 50200


def test_a_stopped_task_goes_through_the_states_of_ecs_each_with_its_event_and_a_higher_version(small: Small) -> None:
    # GIVEN a running task WHEN it is told to stop
    (first, *_) = small.stack.serving("echo")
    answer = small.ecs.stop_task(cluster=small.cluster, task=first.arn, reason="test")["task"]
    # THEN the answer says so at once, while it is still running
    assert (answer["desiredStatus"], answer["lastStatus"]) == ("STOPPED", "RUNNING")
    assert answer["version"] == 4
    # and it goes through deregistration and SIGTERM to its end
    until("it has stopped", lambda: small.stack.task(first.arn).last_status == "STOPPED")
    assert states_until_stopped(small, first.arn) == [
        (4, "RUNNING", "STOPPED"),
        (5, "DEACTIVATING", "STOPPED"),
        (6, "STOPPING", "STOPPED"),
        (7, "DEPROVISIONING", "STOPPED"),
        (8, "STOPPED", "STOPPED"),
    ]
    stopped = small.stack.task(first.arn)
    assert (stopped.stop_code, stopped.stopped_reason, stopped.exit_codes) == ("UserInitiated", "test", {"echo": 0})


def test_the_event_has_the_shape_of_ecs(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    small.stack.stop_task(first.arn)
    event = until("an event is there", small.events)[0]
    assert (event["source"], event["detail-type"]) == ("aws.ecs", "ECS Task State Change")
    assert event["resources"] == [event["detail"]["taskArn"]]
    detail = event["detail"]
    assert detail["attachments"][0]["type"] == "eni"
    assert detail["containers"][0]["networkInterfaces"][0]["privateIpv4Address"] == first.ip
    assert detail["group"] == "service:echo"
    assert detail["createdAt"].endswith("Z")
    assert "healthStatus" not in detail  # no event tells the health


def test_a_task_told_to_stop_is_replaced_at_once(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    with Talk(first.ip) as talk:
        talk.order("ignore-sigterm")
    small.stack.stop_task(first.arn)
    until(
        "two others run",
        lambda: (
            {first.arn}.isdisjoint(t.arn for t in small.stack.serving("echo")) and len(small.stack.serving("echo")) == 2
        ),
    )
    # The replacement was made while the old one still drained.
    replacement = max(small.stack.serving("echo"), key=lambda task: task.created_at)
    assert replacement.created_at < moments_until_stopped(small, first.arn)["STOPPING"]


def test_a_task_that_ignores_sigterm_is_killed_after_its_stop_timeout(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    with Talk(first.ip) as talk:
        talk.order("ignore-sigterm")
    small.stack.stop_task(first.arn)
    moments = moments_until_stopped(small, first.arn)
    assert moments["DEPROVISIONING"] - moments["STOPPING"] > 1.9  # its stopTimeout is 2 s
    assert small.stack.task(first.arn).exit_codes == {"echo": 137}


def test_a_killed_task_is_stopped_with_all_its_children_and_replaced(small: Small) -> None:
    # GIVEN a task with a child that left its process group WHEN it is killed
    (first, *_) = small.stack.serving("echo")
    assert first.child_pids
    small.stack.kill_task(first.arn)
    # THEN ECS notices by itself, nothing of it is left, and another one comes
    until("it is shown as stopped", lambda: small.stack.task(first.arn).last_status == "STOPPED")
    assert all(processes.is_zombie(pid) for pid in (first.pid, *first.child_pids) if pid is not None)
    assert small.stack.task(first.arn).stop_code == "EssentialContainerExited"
    assert small.stack.task(first.arn).exit_codes == {"echo": 137}
    assert states_until_stopped(small, first.arn) == [(4, "DEPROVISIONING", "STOPPED"), (5, "STOPPED", "STOPPED")]
    assert first.arn not in {task.arn for task in small.steady(2)}


def test_a_task_that_exits_by_itself_shows_its_exit_code(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    with Talk(first.ip) as talk:
        talk.order("exit 7")
    until("it is shown as stopped", lambda: small.stack.task(first.arn).last_status == "STOPPED")
    assert small.stack.task(first.arn).exit_codes == {"echo": 7}


def test_the_service_follows_its_desired_count(small: Small) -> None:
    small.scale(5)
    tasks = small.steady(5)
    zones = [task.zone for task in tasks]
    assert abs(zones.count("us-east-1a") - zones.count("us-east-1b")) == 1
    small.scale(1)
    small.steady(1)
    service = small.ecs.describe_services(cluster=small.cluster, services=["echo"])["services"][0]
    assert (service["desiredCount"], service["runningCount"], len(service["deployments"])) == (1, 1, 1)


def test_list_tasks_pages_and_tells_running_from_stopped(small: Small) -> None:
    small.scale(3)
    small.steady(3)
    pages = small.ecs.get_paginator("list_tasks").paginate(
        cluster=small.cluster, serviceName="echo", PaginationConfig={"PageSize": 2}
    )
    listed = [page["taskArns"] for page in pages]
    assert [len(page) for page in listed] == [2, 1]
    running = {arn for page in listed for arn in page}
    assert running == {task.arn for task in small.stack.serving("echo")}
    stopped = small.ecs.list_tasks(cluster=small.cluster, desiredStatus="STOPPED")["taskArns"]
    assert running.isdisjoint(stopped)


def test_a_new_deployment_starts_its_tasks_before_it_stops_the_old_ones(small: Small) -> None:
    before = {task.arn for task in small.stack.serving("echo")}
    small.ecs.update_service(cluster=small.cluster, service="echo", forceNewDeployment=True)
    fewest = 99

    def healthy() -> set[str]:
        return set(small.stack.balancers()[0]["listeners"][0]["healthy"])

    def replaced() -> bool:
        nonlocal fewest
        found = healthy()
        serving = small.stack.serving("echo")
        found |= healthy()  # between two looks all may have changed
        fewest = min(fewest, len([task for task in serving if task.ip in found]))
        return before.isdisjoint(task.arn for task in serving) and len(serving) == 2

    until("all are replaced", replaced, every=0.02)
    small.steady(2)
    assert fewest == 2  # two that the load balancer had found healthy, at every instant
    until(
        "one deployment is left",
        lambda: (
            len(small.ecs.describe_services(cluster=small.cluster, services=["echo"])["services"][0]["deployments"])
            == 1
        ),
    )


def test_a_new_task_definition_is_rolled_out(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    old = small.ecs.describe_task_definition(taskDefinition=first.task_definition)["taskDefinition"]
    container = old["containerDefinitions"][0]
    container["environment"] = [*container["environment"], {"name": "COLOUR", "value": "green"}]
    new = small.ecs.register_task_definition(
        family=old["family"],
        containerDefinitions=[container],
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
    )["taskDefinition"]["taskDefinitionArn"]
    small.ecs.update_service(cluster=small.cluster, service="echo", taskDefinition=new)
    until("all run the new one", lambda: {t.task_definition for t in small.stack.serving("echo")} == {new})
    with Talk(small.steady(2)[0].ip) as talk:
        assert talk.order("environment COLOUR") == "green"


def test_a_crash_loop_is_slowed_down(small: Small) -> None:
    # GIVEN a service whose tasks exit at once WHEN it is asked for one task for six seconds
    small.scale(1, "broken")
    until("three have died", lambda: len([t for t in small.stack.tasks("broken") if t.last_status == "STOPPED"]) >= 3)
    small.scale(0, "broken")
    # THEN the first replacement came at once, and then the gaps grew
    made = [task.created_at for task in small.stack.tasks("broken")]
    gaps = [later - earlier for earlier, later in itertools.pairwise(made)]
    assert gaps[1] > 1.9
    assert gaps[0] < gaps[1]


def test_health_is_unknown_without_a_check_and_follows_it_with_one(small: Small) -> None:
    assert {task.health for task in small.stack.serving("echo")} == {"UNKNOWN"}
    small.scale(1, "checked")
    try:
        (task,) = small.steady(1, "checked")
        assert task.health == "HEALTHY"
        until("nothing moves", lambda: not small.events())
        # WHEN the task falls ill, THEN no event tells that it is unhealthy, but ECS stops and replaces it
        with Talk(task.ip) as talk:
            talk.order("sicken")
        until("it is told to stop", lambda: small.stack.task(task.arn).desired_status == "STOPPED")
        first = until("an event is there", small.events)[0]["detail"]
        assert (first["lastStatus"], first["desiredStatus"], first["version"]) == ("RUNNING", "STOPPED", 4)
        (other,) = small.steady(1, "checked")
        assert other.arn != task.arn
    finally:
        small.scale(0, "checked")
        small.steady(0, "checked")


def test_run_task_starts_a_task_that_is_not_replaced(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    started = small.ecs.run_task(cluster=small.cluster, taskDefinition=first.task_definition, launchType="FARGATE")[
        "tasks"
    ][0]
    assert started["lastStatus"] == "PROVISIONING"
    until("it runs", lambda: small.stack.task(started["taskArn"]).last_status == "RUNNING")
    assert started["group"].startswith("family:")
    small.stack.kill_task(started["taskArn"])
    until("it has stopped", lambda: small.stack.task(started["taskArn"]).last_status == "STOPPED")
    assert len(small.stack.serving("echo")) == 2


def test_the_metadata_endpoint_tells_a_task_who_it_is(small: Small) -> None:
    (first, *_) = small.stack.serving("echo")
    with Talk(first.ip) as talk:
        uri = talk.order("environment ECS_CONTAINER_METADATA_URI_V4")
    task = httpx.get(f"{uri}/task").json()
    assert (task["TaskARN"], task["AvailabilityZone"]) == (first.arn, first.zone)
    assert task["Cluster"].endswith(f"/{small.cluster}")
    assert task["Containers"][0]["Networks"][0]["IPv4Addresses"] == [first.ip]
    assert httpx.get(uri).json()["Name"] == "echo"


def test_a_connection_stays_with_a_draining_task_and_no_new_one_comes_to_it(small: Small) -> None:
    # GIVEN connections through the load balancer, one of them to a task
    with Talk(small.address) as old:
        task = small.stack.task(old.task_id)
        old.order("ignore-sigterm")
        # WHEN that task is told to stop
        small.stack.stop_task(task.arn)
        until("it is deregistered", lambda: small.stack.task(task.arn).last_status in ("DEACTIVATING", "STOPPING"))
        until("the load balancer knows", lambda: task.ip not in small.stack.balancers()[0]["listeners"][0]["healthy"])
        elbv2 = small.stack.client("elbv2")
        group = elbv2.describe_target_groups()["TargetGroups"][0]["TargetGroupArn"]
        health = elbv2.describe_target_health(TargetGroupArn=group)["TargetHealthDescriptions"]
        assert {one["TargetHealth"]["State"] for one in health if one["Target"]["Id"] == task.ip} == {"draining"}
        # THEN the old connection goes on, and none of many new ones lands there
        landed = set()
        for _ in range(30):
            with Talk(small.address) as new:
                landed.add(new.task_id)
        assert task.id not in landed
        assert old.order("environment PORT") == "50200"


def test_the_load_balancer_sends_nothing_to_a_target_that_fails_its_check(small: Small) -> None:
    tasks = small.stack.serving("echo")
    with Talk(tasks[0].ip) as talk:
        talk.order("sicken")
    healthy = until(
        "one is left", lambda: [ip for ip in [small.stack.balancers()[0]["listeners"][0]["healthy"]] if len(ip) == 1]
    )
    assert healthy == [[tasks[1].ip]]
    for _ in range(20):
        with Talk(small.address) as talk:
            assert talk.task_id == tasks[1].id
    # and ECS replaces it after the interval of 5 s times the threshold of 2
    until("it is told to stop", lambda: small.stack.task(tasks[0].arn).desired_status == "STOPPED")
    assert small.stack.task(tasks[0].arn).stopped_reason == "Task failed ELB health checks"


@pytest.mark.parametrize("mode", ["hang", "refuse"])
def test_in_an_outage_ecs_goes_on_and_afterwards_the_lambda_catches_up(
    small: Small, mode: Literal["hang", "refuse"]
) -> None:
    ssm = small.stack.client("ssm")

    def replaced() -> bool:
        serving = [task.arn for task in small.stack.serving("echo")]
        return first.arn not in serving and len(serving) == 2

    def written() -> set[str]:
        return set(json.loads(ssm.get_parameter(Name="/small/seen")["Parameter"]["Value"]))

    # GIVEN an outage WHEN a task is stopped
    (first, *_) = small.stack.serving("echo")
    small.stack.outage(mode)
    with pytest.raises((httpx.TimeoutException, httpx.ConnectError)):
        httpx.get(small.stack.addresses.aws_endpoint, timeout=1)
    small.stack.stop_task(first.arn, via="control")
    # THEN it is replaced nevertheless
    until("others run", replaced)
    # and once AWS is back, the Lambda writes what is
    small.stack.outage("none")
    until("the Lambda caught up", lambda: written() >= {task.arn for task in small.stack.serving("echo")})


def test_cloudformation_tells_of_a_stack_once_it_is_done(small: Small) -> None:
    # GIVEN a stack that takes a second to fail
    resources = {
        "Handle": {"Type": "AWS::CloudFormation::WaitConditionHandle"},
        "Never": {
            "Type": "AWS::CloudFormation::WaitCondition",
            "Properties": {"Handle": {"Ref": "Handle"}, "Timeout": "1"},
        },
    }
    cloudformation = small.stack.client("cloudformation")
    cloudformation.create_stack(StackName="slow", TemplateBody=json.dumps({"Resources": resources}))
    # WHEN it is asked for at once, THEN the first answer is its end: the CDK CLI asks again after five seconds only
    (shown,) = cloudformation.describe_stacks(StackName="slow")["Stacks"]
    assert shown["StackStatus"] == "ROLLBACK_COMPLETE"
    cloudformation.delete_stack(StackName="slow")


def test_a_bootstrap_that_cannot_be_is_told_with_what_cloudformation_says(small: Small) -> None:
    # GIVEN an account that is bootstrapped WHEN it is to be again THEN it is told why not
    addresses, layout = small.stack.addresses, small.stack.layout
    with pytest.raises(LocalAwsError, match=r"stack CDKToolkit must be made, got .*already exists"):
        WithoutCli(addresses.aws_endpoint, addresses.region).bootstrap(layout.bootstrap_template)
