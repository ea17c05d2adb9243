"""A real Traefik, with its ECS provider."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lambda_src.fake_aws import CLUSTER, REGION

ROOT = Path(__file__).resolve().parents[3]
BINARY = ROOT / "build" / "traefik-venv" / "bin" / "traefik"


@dataclass(frozen=True)
class Traefik:
    """Calls come in by the entry point `web`; another is `admin`."""

    web: tuple[str, int]
    api: str
    log: Path

    def routers(self) -> dict[str, Any]:
        """Routers by name, as Traefik has them now."""
        with urllib.request.urlopen(f"{self.api}/api/rawdata", timeout=60) as response:  # noqa: S310 - http of ours
            found = json.load(response).get("routers") or {}
        return {str(name).removesuffix("@ecs"): router for name, router in found.items()}


@contextmanager
def traefik(endpoint: str, folder: Path, *options: str, refresh_seconds: int = 1) -> Iterator[Traefik]:
    """With these options beside the usual ones."""
    subprocess.run([sys.executable, str(ROOT / "dev" / "set_up.py"), "traefik"], check=True)
    web, admin, api = _free_ports(3)
    log = folder / "traefik.log"
    command = (
        str(BINARY),
        f"--entrypoints.web.address=127.0.0.1:{web}",
        f"--entrypoints.admin.address=127.0.0.1:{admin}",
        f"--entrypoints.traefik.address=127.0.0.1:{api}",
        "--api.insecure=true",
        "--log.level=INFO",
        "--global.checknewversion=false",
        "--global.sendanonymoususage=false",
        "--providers.providersthrottleduration=50ms",
        "--providers.ecs=true",
        f"--providers.ecs.clusters={CLUSTER}",
        f"--providers.ecs.region={REGION}",
        f"--providers.ecs.refreshseconds={refresh_seconds}",
        *options,
    )
    # Only what AWS's client needs: nothing of this process's own account.
    environment = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ACCESS_KEY_ID": "none",
        "AWS_SECRET_ACCESS_KEY": "none",
        "AWS_EC2_METADATA_DISABLED": "true",
        "PATH": os.environ.get("PATH", ""),
    }
    with (
        log.open("wb") as output,
        subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, cwd=folder
        ) as process,
    ):
        try:
            yield Traefik(("127.0.0.1", web), f"http://127.0.0.1:{api}", log)
        finally:
            process.terminate()


def _free_ports(number: int) -> list[int]:
    sockets = [socket.socket() for _ in range(number)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports = [int(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports
