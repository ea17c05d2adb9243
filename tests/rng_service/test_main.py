from __future__ import annotations

import json
import re
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from rng_service.identity import TaskIdError, read_task_id
from rng_service.settings import Settings, SettingsError, read_settings
from tests.rng_service.servers import run_module, server_process


def test_given_no_variables_when_settings_are_read_then_they_are_the_defaults() -> None:
    assert read_settings({}) == Settings("0.0.0.0", 50051, 10.0, 15.0, None)
    assert read_settings({"PORT": "", "SERVED_BY": ""}) == Settings()


def test_given_every_variable_when_settings_are_read_then_each_counts() -> None:
    environment = {
        "BIND_ADDRESS": "::1",
        "PORT": "0",
        "SHUTDOWN_GRACE_SECONDS": "0.5",
        "SHUTDOWN_CALLS_SECONDS": "3600",
        "SERVED_BY": "task-a",
    }
    settings = read_settings(environment)
    assert settings == Settings("::1", 0, 0.5, 3600.0, "task-a")
    assert settings.listen == "[::1]:0"


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("BIND_ADDRESS", "localhost", "an IP address"),
        ("BIND_ADDRESS", "127.0.0.1:80", "an IP address"),
        ("PORT", "abc", "0..65535"),
        ("PORT", "-1", "0..65535"),
        ("PORT", "65536", "0..65535"),
        ("PORT", "5_0", "0..65535"),
        ("PORT", "٣", "0..65535"),
        ("PORT", "1" * 5000, "0..65535"),
        ("SHUTDOWN_GRACE_SECONDS", "soon", "0..3600 seconds"),
        ("SHUTDOWN_GRACE_SECONDS", "-1", "0..3600 seconds"),
        ("SHUTDOWN_GRACE_SECONDS", "nan", "0..3600 seconds"),
        ("SHUTDOWN_CALLS_SECONDS", "inf", "0..3600 seconds"),
        ("SERVED_BY", "näme", "printable ASCII without blanks at its ends"),
        ("SERVED_BY", "a\nb", "printable ASCII without blanks at its ends"),
        ("SERVED_BY", " a", "printable ASCII without blanks at its ends"),
    ],
)
def test_given_a_variable_that_is_not_allowed_when_settings_are_read_then_the_error_names_it(
    name: str, value: str, allowed: str
) -> None:
    with pytest.raises(SettingsError, match=f"^{re.escape(f'{name} must be {allowed}, got {value!r}')}$"):
        read_settings({name: value})


@contextmanager
def task_metadata(answer: bytes) -> Iterator[str]:
    """ECS's task metadata endpoint, as a container sees it; gives its base address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200 if self.path == "/v4/abc-1/task" else 404)
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/v4/abc-1"
        finally:
            server.shutdown()
            thread.join()


def test_given_ecs_metadata_when_the_task_id_is_read_then_it_is_the_last_part_of_the_arn(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # the endpoint is link-local: no proxy reaches it
    answer = json.dumps({"TaskARN": "arn:aws:ecs:eu-west-1:111122223333:task/default/158d1c8083dd"})
    with task_metadata(answer.encode()) as base:
        assert read_task_id({"ECS_CONTAINER_METADATA_URI_V4": base}) == "158d1c8083dd"


def test_given_no_ecs_when_the_task_id_is_read_then_there_is_none() -> None:
    assert read_task_id({}) is None
    assert read_task_id({"ECS_CONTAINER_METADATA_URI_V4": ""}) is None


@pytest.mark.parametrize(
    "answer", [b"", b"{", b"[]", b"{}", b'{"TaskARN": 5}', b'{"TaskARN": "a/"}', b'{"TaskARN": "\n"}']
)
def test_given_metadata_without_a_task_arn_when_the_task_id_is_read_then_the_error_says_where(answer: bytes) -> None:
    with task_metadata(answer) as base, pytest.raises(TaskIdError, match=re.escape(base)):
        read_task_id({"ECS_CONTAINER_METADATA_URI_V4": base})


@pytest.mark.parametrize("base", ["http://127.0.0.1:1", "ftp://127.0.0.1", "http://[::1"])
def test_given_metadata_that_cannot_be_reached_when_the_task_id_is_read_then_the_error_names_it(base: str) -> None:
    with pytest.raises(TaskIdError, match=re.escape(base)):
        read_task_id({"ECS_CONTAINER_METADATA_URI_V4": base})


async def test_given_a_task_of_ecs_when_it_starts_then_it_serves_under_its_task_id() -> None:
    with task_metadata(b'{"TaskARN": "arn:aws:ecs:eu-west-1:111122223333:task/default/158d1c8083dd"}') as base:
        async with server_process(ECS_CONTAINER_METADATA_URI_V4=base) as server:
            assert server.lines[0].endswith(" as 158d1c8083dd")


async def test_given_metadata_that_fails_when_the_server_starts_then_it_warns_and_serves_under_the_host_name() -> None:
    async with server_process(ECS_CONTAINER_METADATA_URI_V4="http://127.0.0.1:1") as server:
        assert "the task's metadata must be readable, got " in server.lines[0]
        assert server.lines[1].endswith(f" as {socket.gethostname()}")


async def test_given_a_port_that_is_taken_when_the_server_starts_then_one_line_says_so_and_it_exits_1() -> None:
    async with server_process() as server:
        taken = server.address.rpartition(":")[2]
        code, out, err = await run_module("rng_service", PORT=taken)
    assert (code, out) == (1, "")
    assert err == (
        f"error: 127.0.0.1:{taken} must be free to listen on, got Address already in use; "
        "stop what listens there, or set PORT or BIND_ADDRESS to another\n"
    )


async def test_given_an_address_of_another_machine_when_the_server_starts_then_one_line_says_so_and_it_exits_1() -> (
    None
):
    code, _, err = await run_module("rng_service", BIND_ADDRESS="192.0.2.1")
    assert code == 1
    assert err.startswith("error: 192.0.2.1:0 must be free to listen on, got Cannot assign requested address;")
    assert err.count("\n") == 1


async def test_given_a_bad_setting_when_the_server_starts_then_one_line_says_so_and_it_exits_2() -> None:
    assert await run_module("rng_service", PORT="http") == (2, "", "error: PORT must be 0..65535, got 'http'\n")


@pytest.mark.parametrize("module", ["rng_service", "rng_service.client", "rng_service.probe"])
async def test_given_help_is_asked_for_then_it_is_shown(module: str) -> None:
    code, out, err = await run_module(module, "--help")
    assert (code, err) == (0, "")
    assert out.startswith(f"usage: python -m {module}")


async def test_given_a_serving_server_when_it_is_probed_then_healthy_until_it_is_told_to_stop_or_gone() -> None:
    async with server_process(SHUTDOWN_GRACE_SECONDS="60") as server:
        port = server.address.rpartition(":")[2]
        # The probe finds the server where the server's own environment puts it.
        assert await run_module("rng_service.probe", PORT=port) == (0, "", "")
        assert await run_module("rng_service.probe", PORT=port, BIND_ADDRESS="0.0.0.0") == (0, "", "")
        server.tell()
        await server.logged("NOT_SERVING")
        told = (1, "", f"error: 127.0.0.1:{port} must be SERVING, got NOT_SERVING\n")
        assert await run_module("rng_service.probe", PORT=port) == told
    code, _, err = await run_module("rng_service.probe", PORT=port)
    assert code == 1
    assert err.startswith(f"error: 127.0.0.1:{port} must be SERVING, got UNAVAILABLE ")
    assert err.count("\n") == 1
