"""The process that stands in for AWS, seen from `up`."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from local_aws import control
from local_aws.addresses import GATEWAY_HOST, GATEWAY_PORT, Range
from local_aws.errors import LocalAwsError
from local_aws.layout import Layout
from local_aws.process.commands import tail
from local_aws.process.processes import RUN_MARK, dies_with_us
from local_aws.stand_in.ecs.podman import PODMAN_READS
from local_aws.stand_in.settings import Settings
from proxy_image.envoy.binary import DISTRIBUTION, EnvoyMissingError, find_envoy

START_SECONDS = 60.0
STEADY_SECONDS = 90.0


class AwsProcess:
    def __init__(self, layout: Layout, addresses: Range, *, runtime: Path, region: str, mark: str) -> None:
        self.log = layout.run / "aws.log"
        self._layout = layout
        self._addresses = addresses
        self._runtime = runtime
        self._settings = Settings(
            range_number=addresses.number,
            region=region,
            mark=mark,
            python=str(layout.venv / "python"),
            envoy=str(_envoy()),
            images=str(layout.images),
            bytecode=str(layout.bytecode),
            logs=str(layout.tasks),
            runtime=str(runtime),
            control=str(runtime / "ecs.sock"),
            net=addresses.net,
            tasks_as=layout.tasks_as,
            seed=layout.seed,
        )

    async def start(self) -> asyncio.subprocess.Process:
        file = self._runtime / "settings.json"
        self._settings.write(file)
        environment = {name: os.environ[name] for name in ("PATH", "LANG", *PODMAN_READS) if name in os.environ} | {
            "HOME": str(self._runtime),  # no settings of the user's for the Lambda
            "PYTHONPATH": str(self._layout.root),
            "PYTHONPYCACHEPREFIX": str(self._layout.bytecode),
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            RUN_MARK: self._settings.mark,
        }
        with self.log.open("wb") as output:
            return await asyncio.create_subprocess_exec(
                *dies_with_us([str(self._layout.ministack_python), "-m", "local_aws.stand_in", str(file)]),
                cwd=self._runtime,
                env=environment,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    async def answers(self) -> None:
        """Wait until its AWS API can be connected to."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + START_SECONDS
        while True:
            try:
                _, writer = await asyncio.open_connection(self._addresses.address(GATEWAY_HOST), GATEWAY_PORT)
            except OSError as error:
                if loop.time() > deadline:
                    raise LocalAwsError(
                        f"the stand-in for AWS must answer within {START_SECONDS:.0f} s:\n  {tail(self.log)}"
                    ) from error
                await asyncio.sleep(0.1)
            else:
                writer.close()
                return

    async def ask(self, request: Mapping[str, Any]) -> Any:
        """By its control socket, past its API."""
        try:
            return await control.ask(Path(self._settings.control), dict(request))
        except OSError as error:
            raise LocalAwsError(f"the stand-in for AWS must answer, got '{error.strerror}'") from error

    async def steady(self) -> None:
        """Wait until every service has its tasks running, healthy, and taken in by their load balancers."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + STEADY_SECONDS
        while waiting := [service for service in await self.ask({"do": "services"}) if not service["steady"]]:
            if loop.time() > deadline:
                raise LocalAwsError(await self._why_not_steady(waiting[0]))
            await asyncio.sleep(0.2)

    async def _why_not_steady(self, service: Mapping[str, Any]) -> str:
        tasks = [task for task in await self.ask({"do": "tasks"}) if task["service"] == service["name"]]
        newest = max(tasks, key=lambda task: float(task["created_at"]), default=None)
        told = (
            f"service {service['name']} must become healthy within {STEADY_SECONDS:.0f} s, "
            f"got {service['running']} of {service['desired']} tasks running"
        )
        if newest is None:
            return told
        shown = f"{newest['last_status']}, its health {newest['health']}"
        reason = f", because: {newest['stopped_reason']}" if newest["stopped_reason"] else ""
        log = Path(newest["log"])
        return f"{told}; the newest is {shown}{reason}; its log {log} ends:\n  {tail(log)}"


def _envoy() -> Path:
    try:
        return find_envoy(None)
    except EnvoyMissingError as error:
        raise LocalAwsError(f"the package {DISTRIBUTION} must be installed; run make clean setup") from error
