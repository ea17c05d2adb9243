"""`python -m proxy_image status`."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from grpc_lb_contract import Cause, CauseKind, TaskChange
from proxy_image import __main__ as command_line
from proxy_image.control_plane.stats.history.entries import Change
from proxy_image.control_plane.web import status_command, status_lines
from tests.ports import free_ports
from tests.proxy_image.control_plane.policies import codes
from tests.proxy_image.control_plane.support import backends, eventually, running_envoy, who
from tests.proxy_image.control_plane.test_process import file_settings, running, targets_file
from tests.waiting import PATIENCE_SECONDS


async def test_the_table_shows_each_target_with_its_share(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a, b))
        async with running(settings) as control, running_envoy(settings) as envoy, envoy.channel() as channel:
            await envoy.ready()
            await eventually(control.health)
            await control.get("/metrics")
            await who(channel, 40)
            await control.get("/metrics")
            url = f"http://127.0.0.1:{settings.web_port}"
            # GIVEN the proxy for the internet that many tasks have in their environment
            monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")  # where nobody listens
            monkeypatch.delenv("no_proxy", raising=False)
            assert await asyncio.to_thread(command_line.main, ["status", "--url", url]) == 0
            lines = capsys.readouterr().out.splitlines()
            (ended,) = [line for line in lines if line.startswith("  ended in ")]
            assert ": 40 OK; p50 / p95 / p99 " in ended
            rows = [line.split() for line in lines if line.startswith("  127.0.0.1:")]
            assert [(row[0], row[2], row[3], row[4]) for row in rows] == [
                (f"127.0.0.1:{port}", "serving", "##########..........", "50") for port in sorted((a.port, b.port))
            ]
            assert await asyncio.to_thread(status_command.main, ["--url", url, "--service", "rng"]) == 0
            shown = capsys.readouterr().out
            assert f"127.0.0.1:{a.port} joined: in the first document of this control plane" in shown
            assert "policy: the default" in shown
            assert await asyncio.to_thread(status_command.main, ["--url", url, "--service", "none"]) == 1
            assert capsys.readouterr().err == "error: --service must be one of the balancer's, got 'none'\n"
            assert await asyncio.to_thread(status_command.main, ["--url", url, "--json"]) == 0
            assert json.loads(capsys.readouterr().out)["services"][0]["calls"] == 40


async def test_watching_shows_it_again_until_ctrl_c_and_ends_with_the_worst_problem(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        async with running(settings) as control, running_envoy(settings) as envoy, envoy.channel() as channel:
            await envoy.ready()
            await eventually(control.health)
            url = f"http://127.0.0.1:{settings.web_port}"
            watching = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "proxy_image", "status", "--url", url, "--watch", "0.2"),
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
            )
            assert watching.stdout is not None

            async def shown(text: str) -> None:
                assert watching.stdout is not None
                while text not in (line := (await watching.stdout.readline()).decode()):
                    assert line, "it ended"

            # GIVEN one that watches, and shows the same again
            for _ in range(2):
                await asyncio.wait_for(shown(f"127.0.0.1:{a.port}"), PATIENCE_SECONDS)
            # WHEN the service is scaled to nothing, and nobody calls it
            targets_file(tmp_path)
            await asyncio.wait_for(shown("WARNING: rng is being stopped, or scaled to 0"), PATIENCE_SECONDS)
            # THEN the exit code is that of no problem, without a word
            watching.send_signal(signal.SIGINT)
            _, errors = await asyncio.wait_for(watching.communicate(), PATIENCE_SECONDS)
            assert (watching.returncode, errors) == (0, b"")
            # AND other balancers that ask this one hear of no problem either
            assert (await control.get("/api/balancer")).json()["worst"] == ""
            # AND it is that of an error once calls fail
            await codes(channel, 10)
            await eventually(
                lambda: asyncio.to_thread(lambda: status_command.main(["--url", url]) == status_command.ERROR)
            )


@pytest.mark.parametrize("url", ["http://[::1", "ftp://127.0.0.1:8080", "127.0.0.1:8080", "http://"])
def test_a_url_that_is_none_is_told_in_a_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_command.main(["--url", url]) == status_command.USAGE
    assert capsys.readouterr().err == f"error: --url must be such as http://127.0.0.1:8080, got {url!r}\n"


@pytest.mark.parametrize("watch", [(), ("--watch", "0.2")])
def test_a_reader_that_has_seen_enough_ends_it_without_a_word(watch: tuple[str, ...]) -> None:
    """GIVEN more than a pipe holds, as of a large fleet, WHEN `head` closes it."""
    script = f"""
from proxy_image.control_plane.web import status_command
status_command._show = lambda _: print("x" * 1_000_000) or status_command.ERROR
raise SystemExit(status_command.main({[*watch]}))
"""
    shown = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert shown.stdout is not None
    assert shown.stdout.read(1) == b"x"
    shown.stdout.close()
    assert shown.stderr is not None
    with shown.stderr as errors:
        assert (errors.read(), shown.wait(PATIENCE_SECONDS)) == (b"", 0)


PART = {"calls_per_second": 5.0, "failures": 1, "in_flight": 2, "zone": "z-b", "problems": ["lost"], "worst": "error"}
OTHER = {"balancer": {"ip": "10.0.0.2", "port": 8080}, "summary": PART, "problem": None}
SILENT = {"balancer": {"ip": "10.0.0.3", "port": 8080}, "summary": None, "problem": "no answer\x1b within 1.5 s"}


def test_the_fleet_is_shown_with_its_sum_and_who_does_not_answer() -> None:
    own = {**OTHER, "summary": {**PART, "problems": []}}
    assert [*status_lines.fleet_lines([own])] == []
    assert [*status_lines.fleet_lines([own, OTHER, SILENT])] == [
        "all balancers: 2 of 3 answer, 10.0 calls/s, 2 failed, 4 in flight",
        "  this one z-b: 5.0 calls/s, 1 failed, 2 in flight; no problems",
        "  10.0.0.2:8080 z-b: 5.0 calls/s, 1 failed, 2 in flight; lost",
        "  10.0.0.3:8080 does not answer: no answer? within 1.5 s",
    ]


def test_the_exit_code_is_that_of_the_worst_problem_and_not_of_a_service_that_is_stopped() -> None:
    def code(*problems: tuple[str, int], fleet: tuple[object, ...] = ()) -> int:
        report = {"problems": [{"severity": severity, "urgency": urgency} for severity, urgency in problems]}
        return status_command.worst(report, [OTHER, *fleet])  # type: ignore[list-item]  # JSON

    assert code() == 0
    assert code(("warning", 9)) == 0
    assert code(("warning", 5), ("warning", 9)) == 4
    assert code(("warning", 5), ("error", 0)) == 3
    assert code(fleet=(OTHER,)) == 3
    assert code(fleet=(SILENT,)) == 0  # it is a problem of the report's own


def test_watching_too_often_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_command.main(["--watch", "0"]) == 2
    assert capsys.readouterr().err == "error: --watch must be 0.2..3600 seconds, got 0\n"


def test_where_no_balancer_answers_it_says_so_in_a_line(capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    assert status_command.main(["--url", f"http://127.0.0.1:{port}"]) == 1
    error = capsys.readouterr().err
    assert error.startswith(f"error: http://127.0.0.1:{port}/api/report must answer")
    assert len(error.splitlines()) == 1


@pytest.mark.parametrize("url", ["file:///etc/passwd", "127.0.0.1:8080", "http://"])
def test_a_wrong_url_is_said_with_what_is_allowed(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_command.main(["--url", url]) == 2
    assert "must be such as http://127.0.0.1:8080" in capsys.readouterr().err


def test_control_characters_do_not_reach_the_terminal() -> None:
    cause = Cause(CauseKind.EVENT, 1.0, 2.0, 1, (TaskChange("\x1b[2J", "\x07", "\r", "STOPPED", "\x1b]0;x"),))
    change = Change(0.0, "\x1b[2J", "ssm", 1, 1, 1, 0, 0, ("\x1b[2J",), (), (), cause=cause)
    report = {
        "generation": "\x1b[2J", "task": "\x1b[2J", "zone": "",
        "origin": "ssm", "target_list_age_seconds": None, "envoy_connected": False,
        "calls_per_second": 0, "in_flight": 0, "failures_in_window": 0, "window_seconds": 0.0,
        "latency_ms": [None, 0.0, 1500.0], "services": [], "scope": "", "at": 0,
        "changes": [dataclasses.asdict(change)],
        "problems": [{"severity": "error", "title": "\x07", "detail": "\x1b]0;x", "do": "\r"}],
    }  # fmt: skip
    text = "\n".join(status_lines.lines(report))
    assert all(letter.isprintable() or letter == "\n" for letter in text)
