from __future__ import annotations

import asyncio
import json
import signal
import socket
import sys

import pytest

from tests.rng_service.servers import environment, run_module, serving
from tests.rng_service.test_load import broken
from tests.waiting import PATIENCE_SECONDS

CLIENT = "rng_service.client"


async def test_given_a_server_when_the_client_runs_then_it_shows_shares_latencies_and_no_failure() -> None:
    async with serving("task-a") as address:
        code, out, err = await run_module(CLIENT, address, "--calls", "20", PYTHONIOENCODING="utf-8")
    assert (code, err) == (0, "")
    assert out.startswith(f"20 calls to {address} on 1 connection in ")
    assert f"  task-a  20  100.0%  {'█' * 40}\n" in out
    assert "  latency  p50 " in out
    assert out.endswith("  no call failed\n")


async def test_given_a_terminal_without_blocks_when_the_client_runs_then_its_bars_are_plain() -> None:
    async with serving("task-a") as address:
        code, out, _ = await run_module(CLIENT, address, "--calls", "1", PYTHONIOENCODING="ascii")
    assert code == 0
    assert "#" * 40 in out


async def test_given_streams_and_channels_when_the_client_runs_then_its_json_counts_them() -> None:
    async with serving("task-a") as address:
        code, out, err = await run_module(CLIENT, address, "--streams", "6", "--channels", "3", "--json")
    assert (code, err) == (0, "")
    result = json.loads(out)
    assert (result["calls"], result["failed"], result["channels"]) == (6, 0, 3)
    assert result["tasks"] == {"task-a": 6}


async def test_given_a_call_that_fails_when_the_client_runs_then_it_shows_the_code_and_exits_1() -> None:
    async with broken("abort") as address:
        code, out, _ = await run_module(CLIENT, address, "--calls", "3")
        assert code == 1
        assert out.endswith("  3 calls failed\n    RESOURCE_EXHAUSTED  3  no numbers left\n")
        code, out, _ = await run_module(CLIENT, address, "--calls", "3", "--json")
        assert code == 1
        sample = {"count": 3, "sample": "no numbers left", "task": "broken"}
        assert json.loads(out)["failures"] == {"RESOURCE_EXHAUSTED": sample}


async def test_given_no_server_when_the_client_runs_then_one_line_says_so_and_it_exits_1() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        code, out, err = await run_module(CLIENT, address)
    assert (code, out) == (1, "")
    assert err.startswith(f"error: {address} must be a gRPC server that can be reached, got UNAVAILABLE ")
    assert err.count("\n") == 1


async def test_given_a_load_of_more_than_two_seconds_when_it_is_interrupted_then_it_told_progress_and_reports() -> None:
    async with serving("task-a") as address:
        client = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", CLIENT, address, "--duration", "600", "--rate", "50"),
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                assert client.stderr is not None
                progress = (await client.stderr.readline()).decode()
                client.send_signal(signal.SIGINT)
                out, err = await client.communicate()
        finally:
            if client.returncode is None:
                client.kill()
                await client.wait()
    assert progress.startswith("2 s: ")
    assert progress.endswith(" calls over, 0 failed, 1 task answered\n")
    assert client.returncode == 0
    assert b"no call failed" in out
    assert err == b""


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ((), "the following arguments are required: ADDRESS"),
        (("",), "argument ADDRESS: must be HOST:PORT or a gRPC target such as xds:///NAME, got ''"),
        (("localhost",), "argument ADDRESS: must be HOST:PORT or a gRPC target such as xds:///NAME, got 'localhost'"),
        (("a:0",), "argument ADDRESS: must be HOST:PORT or a gRPC target such as xds:///NAME, got 'a:0'"),
        (("a:65536",), "argument ADDRESS: must be HOST:PORT or a gRPC target such as xds:///NAME, got 'a:65536'"),
        (("a:1", "--calls", "0"), "argument --calls: must be 1..10000000, got '0'"),
        (("a:1", "--calls", "many"), "argument --calls: must be 1..10000000, got 'many'"),
        (("a:1", "--channels", "-1"), "argument --channels: must be 1..1000, got '-1'"),
        (("a:1", "--rate", "nan"), "argument --rate: must be 0.001..100000, got 'nan'"),
        (("a:1", "--duration", "inf"), "argument --duration: must be 0.001..86400, got 'inf'"),
        (("a:1", "--calls", "1", "--streams", "1"), "argument --streams: not allowed with argument --calls"),
    ],
)
def test_given_arguments_that_are_not_allowed_when_they_are_read_then_the_error_says_what_is(
    arguments: tuple[str, ...], problem: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from rng_service import client

    monkeypatch.setattr(sys, "argv", ["client", *arguments])
    with pytest.raises(SystemExit) as caught:
        client.main()
    assert caught.value.code == 2
    assert capsys.readouterr().err.endswith(f"error: {problem}\n")
