"""The code of how-to pages that is no construct: it does what the page says of it."""

from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import grpc
import pytest
from grpc import aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tests.cdk_grpc_lb.conftest import checked_app as checked_app
from tests.docs.pages import code_blocks, page


def python(name: str) -> str:
    """The first block of Python that a page has."""
    return next(block for block in code_blocks(page(f"how-to/{name}")) if block.startswith(("import ", "from ")))


async def test_a_server_that_stops_as_the_page_says_serves_on_while_it_is_not_serving() -> None:
    names: dict[str, Any] = {}
    exec(python("stop-gracefully"), names)  # noqa: S102 - it is a page of ours
    pauses: list[float] = []
    said: list[int] = []
    server, checks = aio.server(), health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await checks.set("", health_pb2.HealthCheckResponse.SERVING)
    async with aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub: Any = health_pb2_grpc.HealthStub(channel)  # its methods are made when it is

        async def asked() -> int:
            answer = await stub.Check(health_pb2.HealthCheckRequest(), timeout=60, wait_for_ready=True)
            return int(answer.status)

        async def pause(seconds: float) -> None:
            # WHEN a call comes while the server waits for the balancers to learn of the stop
            said.append(await asked())
            pauses.append(seconds)

        names["asyncio"] = SimpleNamespace(Event=asyncio.Event, get_running_loop=asyncio.get_running_loop, sleep=pause)
        serving = asyncio.create_task(names["serve"](server, checks))
        assert await asked() == health_pb2.HealthCheckResponse.SERVING
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(serving, 60)
        # THEN it is answered, with NOT_SERVING, for longer than the eight seconds that they may need
        assert said == [health_pb2.HealthCheckResponse.NOT_SERVING]
        assert pauses[0] > 8
        # AND the server is gone afterwards
        with pytest.raises(aio.AioRpcError) as failed:
            await stub.Check(health_pb2.HealthCheckRequest(), timeout=60)
        assert failed.value.code() is grpc.StatusCode.UNAVAILABLE
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)


@pytest.mark.usefixtures("checked_app")  # its apps are such: it runs where what checks them is loaded already
def test_the_snapshot_tests_pass_and_can_fail(tmp_path: Path) -> None:
    names: dict[str, Any] = {"__file__": str(tmp_path / "test_shop.py")}
    exec(python("snapshot-tests"), names)  # noqa: S102 - it is a page of ours
    tests = [value for name, value in names.items() if name.startswith("test_")]
    assert len(tests) == 2
    for test in tests:
        test()
    # THEN the snapshot has no hash of an asset, and a change of the template is noticed
    snapshot = tmp_path / "shop.json"
    assert "ASSET" in snapshot.read_text()
    snapshot.write_text(snapshot.read_text().replace('"DesiredCount": 2', '"DesiredCount": 3'))
    with pytest.raises(AssertionError):
        tests[1]()
