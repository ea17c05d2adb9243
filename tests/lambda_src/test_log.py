from __future__ import annotations

import json
import logging

import pytest

from grpc_lb_contract.log_lines import SCHEMA, JsonFormatter
from lambda_src import log
from proxy_image import logs


def line(**facts: object) -> dict[str, object]:
    record = logging.LogRecord("grpc_lb.sync", logging.WARNING, __file__, 1, "label rejected", None, None)
    record.facts = facts
    text = JsonFormatter("lambda", log.MAX_FACT).format(record)
    assert "\n" not in text
    parsed: dict[str, object] = json.loads(text)
    return parsed


def test_a_line_is_one_json_object_with_its_facts() -> None:
    found = line(family="rng", value='a\n"b"')
    assert found.items() >= {"level": "warning", "event": "label rejected", "value": 'a\n"b"'}.items()
    assert str(found["time"]).endswith("+00:00")


def test_no_fact_takes_the_place_of_a_field_of_the_schema() -> None:
    assert line(time="never", source="elsewhere")["source"] == "lambda"


def test_the_lambda_and_the_balancer_write_one_schema(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        logs.configure("supervisor", "info")
        logging.getLogger("any").info("envoy started", extra={"facts": {"pid": 7}})
    finally:
        root.handlers[:], root.level = before
    (printed,) = capsys.readouterr().err.splitlines()
    assert tuple(json.loads(printed))[:4] == tuple(line())[:4] == SCHEMA


def test_long_values_are_cut() -> None:
    assert len(str(line(value="x" * 100_000)["value"])) < 1_100


def test_why_aws_denies_access_is_not_cut() -> None:
    name, number = "n" * 64, "1" * 12  # as long as IAM and Lambda take them
    role, parameter = f"assumed-role/{name}/{name}", f"parameter/grpc-lb/{name}/{name}/shards/{'s' * 22}"
    problem = (
        "An error occurred (AccessDeniedException) when calling the PutParameter operation: "
        f"User: arn:aws:sts::{number}:{role} is not authorized to perform: ssm:PutParameter on resource: "
        f"arn:aws:ssm:ap-southeast-1:{number}:{parameter} with an explicit deny in a service control policy: "
        f"arn:aws:organizations::{number}:policy/o-{'o' * 32}/service_control_policy/p-{'p' * 32}"
    )
    assert line(problem=problem)["problem"] == problem


def test_lines_go_to_stdout_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("grpc_lb.sync")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers.clear()
    try:
        log.configure()
        log.configure()
        log.info("refresh", services=1)
    finally:
        logger.handlers[:], logger.propagate = before[0], before[1]
        logger.setLevel(before[2])
    [printed] = capsys.readouterr().out.splitlines()
    assert json.loads(printed)["services"] == 1
