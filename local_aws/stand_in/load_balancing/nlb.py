"""Network load balancers: a real Envoy, as TCP proxy, for each one that ministack has on record."""

from __future__ import annotations

import asyncio
import http.client
import json
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from local_aws.process.processes import RUN_MARK, dies_with_us
from local_aws.stand_in.load_balancing import envoy_config
from local_aws.stand_in.load_balancing.envoy_config import Listener, TargetGroup
from local_aws.stand_in.settings import Settings
from proxy_image.envoy.unix_http import UnixConnection

log = logging.getLogger("local_aws")

LOOK_SECONDS = 0.5
RESTART_SECONDS = 1.0
ANSWER_SECONDS = 2.0


class Nlb:
    """One load balancer's Envoy, restarted when it dies; its files follow what is wanted."""

    def __init__(self, address: str, settings: Settings) -> None:
        self.address = address
        self.problem: str | None = None
        self._settings = settings
        self._folder = Path(settings.runtime) / f"nlb-{address}"
        self._folder.mkdir()
        self._log = Path(settings.logs).parent / f"nlb-{address}.log"
        self._written: dict[str, str] = {}
        self._healthy: dict[str, frozenset[str]] = {}
        self._keeper: asyncio.Task[None] | None = None

    def apply(self, listeners: Sequence[Listener], groups: Sequence[TargetGroup]) -> None:
        folder = str(self._folder)
        for group in groups:
            self._write(f"eds-{group.name}.json", envoy_config.endpoints(group))
        self._write("cds.json", envoy_config.clusters(groups, folder))
        self._write("lds.json", envoy_config.listeners(listeners, self.address))
        if self._keeper is None:
            self._write("bootstrap.json", envoy_config.bootstrap(folder, f"nlb-{self.address}"))
            self._keeper = asyncio.create_task(self._keep())

    def healthy(self, group: str) -> frozenset[str]:
        return self._healthy.get(group, frozenset())

    async def look(self) -> bool:
        """Ask Envoy for the health of every target; whether it changed."""
        try:
            answer = await asyncio.to_thread(self._clusters)
        except (OSError, ValueError, http.client.HTTPException):
            return False
        healthy = {
            cluster["name"]: frozenset(_ip(host) for host in cluster.get("host_statuses", ()) if _takes_calls(host))
            for cluster in answer.get("cluster_statuses", ())
        }
        changed, self._healthy = healthy != self._healthy, healthy
        return changed

    def _clusters(self) -> Any:
        connection = UnixConnection(self._folder / "admin.sock", ANSWER_SECONDS)
        try:
            connection.request("GET", "/clusters?format=json")
            return json.loads(connection.getresponse().read())
        finally:
            connection.close()

    def _write(self, name: str, content: Mapping[str, Any]) -> None:
        """Move the file into place: Envoy looks at moves, and never sees a half-written file."""
        text = json.dumps(content)
        if self._written.get(name) != text:
            self._written[name] = text
            whole = self._folder / f".{name}"
            whole.write_text(text)
            whole.replace(self._folder / name)

    async def _keep(self) -> None:
        while True:
            with self._log.open("ab") as output:
                process = await asyncio.create_subprocess_exec(
                    *dies_with_us(
                        [
                            self._settings.envoy,
                            *("--config-path", str(self._folder / "bootstrap.json")),
                            *("--concurrency", "1", "--use-dynamic-base-id", "--log-level", "warning"),
                        ]
                    ),
                    env={"PATH": os.defpath, RUN_MARK: self._settings.mark},
                    stdin=asyncio.subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
            code = await process.wait()
            log.warning("the load balancer on %s ended with %s and is started again", self.address, code)
            (self._folder / "admin.sock").unlink(missing_ok=True)
            self._healthy = {}
            await asyncio.sleep(RESTART_SECONDS)


def _ip(host: Mapping[str, Any]) -> str:
    return str(host["address"]["socket_address"]["address"])


def _takes_calls(host: Mapping[str, Any]) -> bool:
    status = host.get("health_status") or {}
    failing = status.get("failed_active_health_check") or status.get("pending_active_hc")
    return not failing and status.get("eds_health_status", "HEALTHY") in ("HEALTHY", "UNKNOWN")


async def look_forever(balancers: Callable[[], Sequence[Nlb]], changed: Callable[[], None]) -> None:
    while True:
        for balancer in balancers():
            with suppress(Exception):
                if await balancer.look():
                    changed()
        await asyncio.sleep(LOOK_SECONDS)
