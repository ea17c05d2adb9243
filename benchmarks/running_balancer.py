"""A balancer in processes of its own, and a Parameter Store for it in this one, for benchmarks. Linux only."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from grpc_lb_contract import Packed, index_parameter, shard_parameter  # noqa: E402 - as this folder is no package
from proxy_image.envoy.unix_http import UnixConnection  # noqa: E402

PREFIX = "/grpc-lb/benchmark"
PATIENCE_SECONDS = 60.0
LOOK_SECONDS = 0.02


class ParameterStore(ThreadingHTTPServer):
    """SSM's two operations that a balancer uses."""

    daemon_threads = True

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        super().__init__(("127.0.0.1", 0), _Operations)

    def publish(self, packed: Packed) -> None:
        self.texts.update({shard_parameter(PREFIX, name): text for name, text in packed.shards.items()})
        self.texts[index_parameter(PREFIX)] = packed.index


class _Operations(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ParameterStore

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        names = asked.get("Names") or [asked["Name"]]
        found = [{"Name": name, "Value": self.server.texts[name]} for name in names]
        answer = json.dumps({"Parameters": found} if "Names" in asked else {"Parameter": found[0]}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None: ...


@dataclass(frozen=True, slots=True)
class Balancer:
    pid: int
    directory: Path
    port: int
    web_port: int
    xds_port: int

    def admin(self, path: str) -> str:
        """Envoy's answer, "" while there is none."""
        connection = UnixConnection(self.directory / "run" / "admin.sock", 5)
        try:
            connection.request("GET", path)
            return connection.getresponse().read().decode()
        except OSError:
            return ""
        finally:
            connection.close()

    def updates(self, cluster: str) -> str:
        """How often Envoy took endpoints of a cluster: it has then said yes to them."""
        return self.admin(rf"/stats?type=Counters&filter=^cluster\.{cluster}\.update_success$")

    def resident_mib(self) -> float:
        """Of the control plane: the child that is Python."""
        status = dict(line.split(":", 1) for line in (self._control_plane() / "status").read_text().splitlines())
        return int(status["VmRSS"].split()[0]) / 1024

    def cpu_seconds(self) -> float:
        """What the control plane has used, in itself and in the kernel."""
        fields = (self._control_plane() / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def control_plane_pid(self) -> int | None:
        try:
            return int(self._control_plane().name)
        except (OSError, RuntimeError):
            return None

    def _control_plane(self) -> Path:
        for child in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split():
            if b"control_plane" in Path(f"/proc/{child}/cmdline").read_bytes():
                return Path(f"/proc/{child}")
        raise RuntimeError("the control plane does not run")


@contextlib.contextmanager
def balancer(store: ParameterStore, *more: str) -> Iterator[Balancer]:
    """more: further arguments of the balancer."""
    ports = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
    numbers = [str(port.getsockname()[1]) for port in ports]
    for port in ports:
        port.close()
    flags = ("--port", "--ready-port", "--web-port", "--xds-port")
    with tempfile.TemporaryDirectory() as directory:
        arguments = [part for flag, number in zip(flags, numbers, strict=True) for part in (flag, number)]
        arguments += ["--state-dir", directory, "--bind", "127.0.0.1", "--parameter-prefix", PREFIX]
        arguments += ["--endpoint-url", f"http://127.0.0.1:{store.server_port}", "--drain-seconds", "0", *more]
        env = {**os.environ, "AWS_ACCESS_KEY_ID": "none", "AWS_SECRET_ACCESS_KEY": "none", "AWS_REGION": "eu-west-1"}
        with (Path(directory) / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "proxy_image", *arguments, "--drain-delay-seconds", "0"],
                cwd=ROOT,
                env={**env, "AWS_DEFAULT_REGION": "eu-west-1"},
                stdout=log,
                stderr=log,
            )
        try:
            calls, _ready, web, xds = map(int, numbers)
            yield Balancer(process.pid, Path(directory), calls, web, xds)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(PATIENCE_SECONDS)


def seconds_until(condition: Callable[[], bool], since: float) -> float:
    while not condition():
        if time.monotonic() - since > PATIENCE_SECONDS:
            raise TimeoutError(f"not within {PATIENCE_SECONDS:g} s")
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - since
