"""SSM through the real botocore: against moto, and against servers that hang, refuse and throttle."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import boto3
import pytest
from moto import mock_aws

from grpc_lb_contract import index_parameter, pack, shard_parameter
from proxy_image.control_plane.sources import parameters
from proxy_image.control_plane.sources.last_good import LastGood
from proxy_image.control_plane.sources.parameters import ReadFailedError, ssm_parameters
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.sink import Trouble, WrongSettingError
from proxy_image.control_plane.sources.ssm import SsmSource
from tests.proxy_image.control_plane.fakes import PREFIX, RememberingSink
from tests.proxy_image.control_plane.support import rng, target


@pytest.fixture(autouse=True)
def aws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")


@pytest.fixture
def moto() -> Iterator[None]:
    with mock_aws():
        yield


async def test_a_document_of_many_shards_comes_through_ssm(moto: None, tmp_path: object) -> None:
    document = rng(*(target(port) for port in range(1000, 2500)))
    packed = pack(document)
    assert len(packed.shards) > 10, "more than one GetParameters"
    client = boto3.client("ssm")
    for name, text in packed.shards.items():
        client.put_parameter(Name=shard_parameter(PREFIX, name), Value=text, Type="String")
    client.put_parameter(Name=index_parameter(PREFIX), Value=packed.index, Type="String")
    sink = RememberingSink()
    source = SsmSource(
        ssm_parameters(),
        prefix=PREFIX,
        intervals=Intervals(1, 1),
        last_good=LastGood(tmp_path, PREFIX),  # type: ignore[arg-type]  # pytest's own path
        sink=sink,
    )
    assert await source.read() is None
    assert sink.document == document


async def test_a_parameter_that_is_not_there_is_none_and_no_error(moto: None) -> None:
    parameters = ssm_parameters()
    assert await parameters.get("/grpc-lb/none/index") is None
    assert await parameters.get_many(["/grpc-lb/none/shards/a"]) == {}


async def test_an_ssm_that_refuses_connections_is_unreachable_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{port}")
    # GIVEN a client that would wait an hour for a connection, so that what ends is no wait
    monkeypatch.setattr(parameters, "CONNECT_TIMEOUT_SECONDS", 3600.0)
    with pytest.raises(ReadFailedError) as failed:
        await ssm_parameters().get("/x")
    assert failed.value.trouble is Trouble.UNREACHABLE


async def test_an_ssm_that_hangs_is_given_up_after_three_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    assert parameters.CONNECT_TIMEOUT_SECONDS + parameters.READ_TIMEOUT_SECONDS == 3
    with socket.create_server(("127.0.0.1", 0)) as hanging:
        hanging.setblocking(False)
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{hanging.getsockname()[1]}")
        with pytest.raises(ReadFailedError) as failed:
            await ssm_parameters().get("/x")
        assert failed.value.trouble is Trouble.UNREACHABLE
        # THEN it was asked once, and not again
        hanging.accept()[0].close()
        with pytest.raises(BlockingIOError):
            hanging.accept()


@asynccontextmanager
async def answering(status: int, body: object) -> AsyncIterator[tuple[str, list[bytes]]]:
    requests: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        requests.append(await reader.readuntil(b"\r\n\r\n"))
        content = json.dumps(body).encode()
        head = f"HTTP/1.1 {status} X\r\nContent-Type: application/x-amz-json-1.1\r\nContent-Length: {len(content)}\r\n"
        writer.write(head.encode() + b"Connection: close\r\n\r\n" + content)
        await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", requests


@pytest.mark.parametrize(
    ("status", "code", "trouble"),
    [
        (400, "ThrottlingException", Trouble.THROTTLED),
        (400, "AccessDeniedException", Trouble.DENIED),
        (400, "ExpiredTokenException", Trouble.DENIED),
        (500, "InternalServerError", Trouble.UNREACHABLE),
        (503, "ServiceUnavailable", Trouble.UNREACHABLE),
    ],
)
async def test_what_ssm_answers_is_told_apart_and_asked_once(
    monkeypatch: pytest.MonkeyPatch, status: int, code: str, trouble: Trouble
) -> None:
    async with answering(status, {"__type": code, "message": "no"}) as (url, requests):
        monkeypatch.setenv("AWS_ENDPOINT_URL", url)
        with pytest.raises(ReadFailedError) as failed:
            await ssm_parameters().get("/x")
        assert failed.value.trouble is trouble
        assert len(requests) == 1, "the poll is the retry"


def test_an_empty_variable_of_aws_is_as_good_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    for name in ("AWS_REGION", "AWS_PROFILE", "AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_RETRY_MODE"):
        monkeypatch.setenv(name, "")
    assert ssm_parameters()._client.meta.endpoint_url == "https://ssm.eu-west-1.amazonaws.com"


def test_a_wrong_setting_of_aws_is_said_with_the_variables_to_look_at(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REGION", "eu_west")
    with pytest.raises(WrongSettingError, match=r"eu_west.* \(look at .*AWS_REGION, .*or a file"):
        ssm_parameters()


def test_the_region_may_come_from_the_variable_that_every_sdk_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN AWS_REGION alone, which botocore does not read, THEN it is the region of the parameters."""
    monkeypatch.delenv("AWS_DEFAULT_REGION", raising=False)
    monkeypatch.setenv("AWS_REGION", "eu-central-1")
    assert ssm_parameters()._client.meta.region_name == "eu-central-1"


@pytest.mark.parametrize("text", [None, "", " "])
def test_a_region_that_is_missing_or_empty_is_said_with_its_variable(
    monkeypatch: pytest.MonkeyPatch, text: str | None
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
        if text is None:
            monkeypatch.delenv(name)
        else:
            monkeypatch.setenv(name, text)
    with pytest.raises(WrongSettingError, match="AWS_REGION is missing"):
        ssm_parameters()
