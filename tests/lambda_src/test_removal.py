"""The parameters of a balancer go with its stack, as CloudFormation asks for it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import boto3
import pytest
from moto import mock_aws

from lambda_src import removal
from lambda_src.handler import handler

PREFIX = "/grpc-lb/shop/orders"


class CONTEXT:
    @staticmethod
    def get_remaining_time_in_millis() -> int:
        return 60_000


@contextmanager
def cloudformation() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Where answers are put, and what they were."""
    answers: list[dict[str, Any]] = []

    class Answer(BaseHTTPRequestHandler):
        def do_PUT(self) -> None:
            answers.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/answer", answers
        finally:
            server.shutdown()
            thread.join()


def event(url: str, request: str, **more: str) -> dict[str, Any]:
    return {
        "RequestType": request,
        "ResponseURL": url,
        "StackId": "stack",
        "RequestId": "request",
        "LogicalResourceId": "Parameters",
        "ResourceProperties": {"ParameterPrefix": PREFIX},
        **more,
    }


@pytest.fixture
def ssm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "none")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "none")
    monkeypatch.setattr(removal, "_PAUSE_SECONDS", 0.0)
    with mock_aws():
        client = boto3.client("ssm")
        names = [
            f"{PREFIX}/index",
            *(f"{PREFIX}/shards/{number}" for number in range(23)),
            *(f"{PREFIX}/definitions/{number}" for number in range(13)),
            "/grpc-lb/shop/orders2/index",
        ]
        for name in names:
            client.put_parameter(Name=name, Value="x", Type="String")
        yield client


def left(ssm: Any) -> set[str]:
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path="/grpc-lb", Recursive=True)
    return {parameter["Name"] for page in pages for parameter in page["Parameters"]}


def test_the_whole_document_is_deleted_and_nothing_beside_it(ssm: Any) -> None:
    with cloudformation() as (url, answers):
        handler(event(url, "Delete", PhysicalResourceId=PREFIX), CONTEXT)
    assert left(ssm) == {"/grpc-lb/shop/orders2/index"}
    (answer,) = answers
    assert (answer["Status"], answer["PhysicalResourceId"]) == ("SUCCESS", PREFIX)


@pytest.mark.parametrize("request_type", ["Create", "Update"])
def test_nothing_is_deleted_while_the_stack_lives(ssm: Any, request_type: str) -> None:
    before = left(ssm)
    with cloudformation() as (url, answers):
        handler(event(url, request_type, PhysicalResourceId="/grpc-lb/before"), CONTEXT)
    assert left(ssm) == before
    assert (answers[0]["Status"], answers[0]["PhysicalResourceId"]) == ("SUCCESS", PREFIX)


def test_nothing_is_deleted_that_is_to_stay(ssm: Any) -> None:
    """GIVEN a stack whose parameters are retained, WHEN it or its prefix goes, THEN they stay."""
    before = left(ssm)
    kept = {"ParameterPrefix": PREFIX, "Retain": "true"}
    with cloudformation() as (url, answers):
        handler({**event(url, "Delete", PhysicalResourceId=PREFIX), "ResourceProperties": kept}, CONTEXT)
    assert left(ssm) == before
    assert answers[0]["Status"] == "SUCCESS"


def test_a_resource_whose_creation_was_never_answered_goes_without_a_trace(ssm: Any) -> None:
    """GIVEN an id that CloudFormation made up as no answer said one, WHEN it rolls back, THEN it is not held up."""
    before, made_up = left(ssm), "shop-OrdersParameters1A2B-9XK3EXAMPLE"
    with cloudformation() as (url, answers):
        handler(event(url, "Delete", PhysicalResourceId=made_up), CONTEXT)
    assert left(ssm) == before
    assert (answers[0]["Status"], answers[0]["PhysicalResourceId"]) == ("SUCCESS", made_up)


def test_what_a_last_refresh_writes_meanwhile_is_deleted_too(ssm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a refresh that ends after the first deletion, THEN its index does not stay."""
    late = iter([lambda: ssm.put_parameter(Name=f"{PREFIX}/index", Value="late", Type="String")])
    monkeypatch.setattr("time.sleep", lambda _: next(late, lambda: None)())
    assert removal.remove(ssm, PREFIX) == 38
    assert left(ssm) == {"/grpc-lb/shop/orders2/index"}


def test_a_failure_is_told_to_cloudformation(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> int:
        raise PermissionError("not authorized to perform ssm:DeleteParameters")

    monkeypatch.setattr(removal, "remove", refuse)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with cloudformation() as (url, answers):
        handler(event(url, "Delete", PhysicalResourceId=PREFIX), CONTEXT)
    assert answers[0]["Status"] == "FAILED"
    assert "not authorized to perform ssm:DeleteParameters" in answers[0]["Reason"]
