"""Puts our ECS and load balancers in ministack's place. Each patch says what ministack 1.5.33 does without it."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs

from ministack.core.responses import error_response_json, json_response
from ministack.services import alb, cloudformation, ecr, ecs, lambda_svc, ssm
from ministack.services.cloudformation import custom_resource, handlers, provisioners

from local_aws.behaviour.edge import rejected_value
from local_aws.errors import LocalAwsError
from local_aws.stand_in import resources
from local_aws.stand_in.ecs.ecs_thread import EcsThread
from local_aws.stand_in.ecs.services import Services
from local_aws.stand_in.ecs.tasks import Tasks
from local_aws.stand_in.load_balancing.envoy_config import TargetAddress
from local_aws.stand_in.load_balancing.load_balancers import LoadBalancers

log = logging.getLogger("local_aws")

CDK_LOOK_SECONDS = 5.0
"""The CDK CLI asks for a stack again after so long."""


def patch_ecs(tasks: Tasks, services: Services, thread: EcsThread) -> None:
    """ministack makes tasks without a process, never replaces one, and emits no event."""

    def run_task(request: dict[str, Any]) -> Any:
        definition = ecs._task_defs.get(ecs._resolve_td_key(request.get("taskDefinition", "")))
        cluster = ecs._clusters.get(ecs._resolve_cluster_name(request.get("cluster", "default")))
        if definition is None or cluster is None:
            missing = "TaskDefinition" if definition is None else "Cluster"
            return error_response_json("ClientException", f"{missing} not found.", 400)
        started = [
            tasks.start(
                definition,
                cluster_arn=cluster["clusterArn"],
                group=request.get("group") or f"family:{definition['family']}",
                started_by=request.get("startedBy", ""),
                launch_type=request.get("launchType") or "FARGATE",
                network=request.get("networkConfiguration"),
                overrides=request.get("overrides"),
                tags=request.get("tags", ()),
            )
            for _ in range(int(request.get("count", 1)))
        ]
        return json_response({"tasks": [ecs._sanitize(task) for task in started], "failures": []})

    def stop_task(request: dict[str, Any]) -> Any:
        task = ecs._resolve_task(request.get("task", ""), ecs._resolve_cluster_name(request.get("cluster", "default")))
        if task is None:
            return error_response_json("InvalidParameterException", "The referenced task was not found.", 400)
        reason = request.get("reason", "Task stopped by user")
        by_service = reason in ("Service deleted", "Service scaling down")
        tasks.stop(task, reason, "ServiceSchedulerInitiated" if by_service else "UserInitiated")
        return json_response({"task": ecs._sanitize(task)})

    def reconcile(_cluster: str, key: str) -> None:
        services.reconcile(key)

    ecs._run_task = run_task
    ecs._stop_task = stop_task
    ecs._reconcile_service_tasks = reconcile
    ecs._complete_service_deployment = lambda *_arguments, **_named: None
    ecs._sync_service_targets = lambda *_arguments: None
    ecs._get_docker = lambda: None  # never a container, also where Docker is there
    ecs._ACTION_MAP |= {"RunTask": run_task, "StopTask": stop_task}
    for action, handler in ecs._ACTION_MAP.items():
        ecs._ACTION_MAP[action] = thread.owns(handler)
    # CloudFormation calls these by name.
    for name in ("_create_service", "_update_service", "_delete_service", "_run_task", "_stop_task"):
        setattr(ecs, name, thread.owns(getattr(ecs, name)))


def patch_load_balancers(balancers: LoadBalancers, draining: Callable[[str], list[TargetAddress]]) -> None:
    """ministack's load balancers have a DNS name that nobody resolves, and targets that are always healthy."""

    def with_address(create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        def made(logical_id: str, properties: Mapping[str, Any], stack: str) -> Any:
            arn, attributes = create(logical_id, properties, stack)
            if properties.get("Type") == "network":
                try:
                    address = balancers.address_of(arn)
                except LocalAwsError as error:
                    raise ValueError(str(error)) from error
                alb._lbs[arn]["DNSName"] = attributes["DNSName"] = address
            return arn, attributes

        return made

    def with_free_port(create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        def made(logical_id: str, properties: Mapping[str, Any], stack: str) -> Any:
            balancer = alb._lbs.get(properties.get("LoadBalancerArn", ""))
            if balancer is not None and balancer["Type"] == "network":
                resources.check_port_is_free(balancer["DNSName"], int(properties["Port"]))
            return create(logical_id, properties, stack)

        return made

    def with_nlb_defaults(create: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(create)
        def made(logical_id: str, properties: Mapping[str, Any], stack: str) -> Any:
            return create(logical_id, resources.target_group_properties(properties), stack)

        return made

    def describe_target_health(parameters: Any) -> Any:
        arn = alb._p(parameters, "TargetGroupArn")
        if arn not in alb._tgs:
            return alb._error("TargetGroupNotFound", f"Target group '{arn}' not found.")
        port = alb._tgs[arn]["Port"]
        states = [
            (
                target["Id"],
                target.get("Port", port),
                "healthy" if balancers.is_healthy(arn, target["Id"]) else "unhealthy",
            )
            for target in alb._targets.get(arn, [])
        ] + [(target.ip, target.port, "draining") for target in draining(arn)]
        members = "".join(
            f"<member><Target><Id>{ip}</Id><Port>{port}</Port></Target>"
            f"<TargetHealth><State>{state}</State></TargetHealth></member>"
            for ip, port, state in states
        )
        inner = f"<TargetHealthDescriptions>{members}</TargetHealthDescriptions>"
        return alb._xml(200, "DescribeTargetHealth", inner)

    kinds = provisioners._RESOURCE_HANDLERS
    for kind, wrap in (
        ("LoadBalancer", with_address),
        ("Listener", with_free_port),
        ("TargetGroup", with_nlb_defaults),
    ):
        handler = kinds[f"AWS::ElasticLoadBalancingV2::{kind}"]
        handler["create"] = wrap(handler["create"])
    alb._ACTION_MAP["DescribeTargetHealth"] = describe_target_health


def patch_registry() -> None:
    """ministack answers for an image that is not there with an empty list, which cdk deploy takes for "is there"."""
    describe = ecr._describe_images

    def describe_images(request: dict[str, Any]) -> Any:
        asked, known = request.get("imageIds") or [], request.get("repositoryName", "")
        if asked and known in ecr._repositories and not any(ecr._find_image(known, image) for image in asked):
            return error_response_json("ImageNotFoundException", "The image does not exist in the repository.", 400)
        return describe(request)

    ecr._describe_images = describe_images


def patch_parameters() -> None:
    """ministack keeps a parameter of any size, and with double braces."""
    put = ssm._put_parameter

    def put_parameter(request: dict[str, Any]) -> Any:
        rejection = rejected_value("PutParameter", request)
        if rejection is not None:
            return error_response_json(rejection.code, rejection.message, 400)
        return put(request)

    ssm._put_parameter = put_parameter


def patch_cloudformation() -> None:
    """ministack refuses a stack with types it lacks, keeps nested settings in the template's spelling, drops some."""
    kinds = provisioners._RESOURCE_HANDLERS
    resources.add_lacking(kinds)
    kinds["AWS::ECS::Service"]["create"] = _with_grace_period(kinds["AWS::ECS::Service"]["create"])
    kinds["AWS::EC2::VPC"]["create"] = resources.with_cidr_block(kinds["AWS::EC2::VPC"]["create"])
    provisioners._normalize_container_defs = resources.container_definitions
    # Where their functions answer: ministack says localhost, and listens on an address of its own.
    custom_resource._HOST = os.environ["BIND_HOST"]
    custom_resource.invoke_custom_resource = _in_python_alone(custom_resource.invoke_custom_resource)
    cloudformation.handle_request = _once_it_is_done(cloudformation.handle_request)


def _once_it_is_done(handle: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """A stack takes a second here: DescribeStacks waits for its end, or the CLI would sleep through it."""

    @functools.wraps(handle)
    async def waited(method: str, path: str, headers: Any, body: bytes, query: Any) -> Any:
        asked = parse_qs(body.decode(errors="replace"))
        if asked.get("Action") == ["DescribeStacks"]:
            deadline = time.monotonic() + CDK_LOOK_SECONDS
            # ministack tells nobody of the end.
            while _is_changing(asked.get("StackName", [""])[0]) and time.monotonic() < deadline:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return await handle(method, path, headers, body, query)

    return waited


def _is_changing(stack: str) -> bool:
    found = handlers._resolve_stack(stack)
    status = str(found["StackStatus"]) if found is not None else ""
    return status.endswith("_IN_PROGRESS") and status != "REVIEW_IN_PROGRESS"


def _in_python_alone(invoke: Callable[..., Any]) -> Callable[..., Any]:
    """A custom resource whose function does not run here is waited for until its timeout, without a word."""

    @functools.wraps(invoke)
    def checked(request: str, logical_id: str, properties: Mapping[str, Any], *more: Any, **named: Any) -> Any:
        _, config, name = lambda_svc._get_func_record_for_ref(properties.get("ServiceToken", ""))
        runtime = (config or {}).get("Runtime") or "an image"
        if config is not None and not runtime.startswith("python"):
            raise ValueError(
                f"custom resource {logical_id} must have a function in Python, which is all that the local AWS runs, "
                f"got {runtime} (function {name}): leave it out of what is deployed here"
            )
        return invoke(request, logical_id, properties, *more, **named)

    return checked


def _with_grace_period(create: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(create)
    def made(logical_id: str, properties: Mapping[str, Any], stack: str) -> Any:
        arn, attributes = create(logical_id, properties, stack)
        for service in ecs._services.values():
            if service["serviceName"] == attributes["Name"]:
                service["healthCheckGracePeriodSeconds"] = int(properties.get("HealthCheckGracePeriodSeconds") or 0)
        return arn, attributes

    return made
