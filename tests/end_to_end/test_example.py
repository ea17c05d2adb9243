"""The example as a user deploys it: the real template, Lambda, balancers, Envoy, gRPC; AWS alone is a stand-in."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from grpc_lb_contract.document.index import EXPECTED
from local_aws.demo import scenes
from local_aws.demo.claims import Claim
from local_aws.demo.stage import Stage, Watched
from local_aws.stack import LocalStack
from rng_service.load import SteadyLoad
from tests.end_to_end.strangers import stranger
from tests.local_aws.waiting import until

RATE = 100.0
LOOK_SECONDS = 1.0  # the queue's events are taken far more often


async def claims_of(scene: scenes.Claims) -> list[Claim]:
    return [claim async for claim in scene]


async def under_load(stack: LocalStack, scene: scenes.SceneUnderLoad) -> list[Claim]:
    stage = Stage(stack)
    await stage.steady()
    async with SteadyLoad(stack.addresses.balancer, rate=250, channels=4) as load:
        return await claims_of(scene(stage, Watched(load)))


def assert_held(claims: list[Claim]) -> None:
    assert claims
    assert [f"{claim.text}: {claim.seen}" for claim in claims if not claim.held] == []


def health(stack: LocalStack) -> list[dict[str, Any]]:
    facts = []
    for web in stack.addresses.web:
        with urllib.request.urlopen(f"{web}/healthz", timeout=60) as response:  # noqa: S310 - an http address of ours
            facts.append(json.load(response))
    return facts


async def test_a_layer_4_load_balancer_sends_all_to_one_task_and_the_balancer_spreads_evenly(
    stack: LocalStack,
) -> None:
    stage = Stage(stack)
    await stage.steady()

    assert_held(await claims_of(scenes.problem_and_cure(stage)))


async def test_invariant_4_no_call_fails_while_ecs_stops_a_task(stack: LocalStack) -> None:
    assert_held(await under_load(stack, scenes.stop_a_task))


async def test_invariant_9_a_killed_task_takes_only_the_calls_inside_it_along(stack: LocalStack) -> None:
    assert_held(await under_load(stack, scenes.kill_a_task))


async def test_invariant_11_a_label_with_a_port_that_is_not_mapped_is_refused_and_harms_nobody(
    stack: LocalStack,
) -> None:
    labels = {"grpc-lb.enable": "true", "grpc-lb.service": "random-numbers", "grpc-lb.port": "9"}
    log = stack.layout.run / "aws.log"
    refused = (
        '"event": "label rejected", "family": "stranger", "revision": 1, "label": "grpc-lb.port", "value": "9", '
        '"problem": "must be one of the mapped ports 50051"'
    )
    async with SteadyLoad(stack.addresses.balancer, rate=RATE) as load:
        with stranger(stack, labels) as task:
            await asyncio.to_thread(
                until, "the Lambda's log tells the refused label", lambda: refused in log.read_text()
            )

    assert not load.report().failures
    assert task not in load.report().tasks


async def test_invariant_6_no_call_fails_while_the_control_planes_are_killed(stack: LocalStack) -> None:
    assert_held(await under_load(stack, scenes.kill_control_planes))


@pytest.fixture(scope="module")
def resting_lambda(stack: LocalStack) -> Iterator[None]:
    """From its first use to the end of this file the Lambda, which would mend a wrong document, does nothing."""
    functions, sqs = stack.client("lambda"), stack.client("sqs")
    (source,) = functions.list_event_source_mappings()["EventSourceMappings"]
    queue = sqs.get_queue_url(QueueName=source["EventSourceArn"].rpartition(":")[2])["QueueUrl"]
    in_flight = "ApproximateNumberOfMessagesNotVisible"

    def is_over() -> bool:
        return int(sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=[in_flight])["Attributes"][in_flight]) == 0

    functions.update_event_source_mapping(UUID=source["UUID"], Enabled=False)
    time.sleep(LOOK_SECONDS)
    until("the refresh that ran is over", is_over)
    yield
    functions.update_event_source_mapping(UUID=source["UUID"], Enabled=True)


@contextmanager
def index_replaced(stack: LocalStack, text: str) -> Iterator[set[str]]:
    """Something else in the place of the target document's index.

    SOURCE in it becomes what the index in use says of where it comes from, which balancers hold every index to.
    """
    ssm, name = stack.client("ssm"), f"{stack.addresses.parameter_prefix}/index"
    line, _, document = ssm.get_parameter(Name=name)["Parameter"]["Value"].partition("\n")
    in_use = {facts["generation"] for facts in health(stack)}
    fields = json.loads(line)
    # While it says so, balancers read it ten times as often: the next wrong one too.
    good = json.dumps(fields | {EXPECTED: round(time.time()) + 300}) + "\n" + document
    named = json.dumps({"cluster": fields["cluster"], "prefix": fields["prefix"], "serial": fields["serial"] + 1})
    text = text.replace('"SOURCE":0', named[1:-1])
    ssm.put_parameter(Name=name, Value=text, Type="String", Overwrite=True)
    try:
        yield in_use
    finally:
        ssm.put_parameter(Name=name, Value=good, Type="String", Overwrite=True)


GENERATION = "0123456789abcdef"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no document at all", "broken"),
        (f'{{"format":1,"SOURCE":0,"generation":"{GENERATION}"}}\n{{"service":"rng"', "torn"),
        (f'{{"format":1,"SOURCE":0,"generation":"{GENERATION}","shards":"{GENERATION}"}}\n', "torn"),
        (f'{{"format":2,"generation":"{GENERATION}"}}\n', "unknown_format"),
        ("x" * 4096, "broken"),
    ],
    ids=["broken", "half-written", "shard-missing", "wrong-version", "largest"],
)
@pytest.mark.usefixtures("resting_lambda")
async def test_a_wrong_document_in_ssm_is_told_and_costs_no_call(stack: LocalStack, text: str, reason: str) -> None:
    until("the balancers have no problem", lambda: all(facts["problem"] is None for facts in health(stack)))

    async with SteadyLoad(stack.addresses.balancer, rate=RATE) as load:
        with index_replaced(stack, text) as in_use:
            await asyncio.to_thread(
                until,
                f"each balancer tells that the document is {reason}",
                lambda: all(facts["problem"] and facts["problem"]["reason"] == reason for facts in health(stack)),
            )
            assert {facts["generation"] for facts in health(stack)} == in_use
        await asyncio.to_thread(
            until, "the balancers have no problem", lambda: all(facts["problem"] is None for facts in health(stack))
        )
    assert not load.report().failures
    assert load.report().calls
