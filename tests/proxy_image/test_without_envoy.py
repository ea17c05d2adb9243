"""A balancer without Envoy, for clients that call the tasks directly: the real image's program, and a real client."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

from grpc_lb_contract.proxyless import bootstrap
from tests.proxy_image.balancer import REAL, Balancer, running_balancer, until
from tests.proxy_image.control_plane.support import backends
from tests.proxy_image.control_plane.xds.proxyless.harness import client_process, parsed

WITHOUT = {"GRPC_LB_ENVOY": "false", "GRPC_LB_DRAIN_DELAY_SECONDS": "1"}


def web(balancer: Balancer, path: str) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{balancer.ports['web']}{path}", timeout=60) as answer:
        text: str = answer.read().decode()
    return text


def report(balancer: Balancer) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(web(balancer, "/api/report"))
    return found


def health(balancer: Balancer) -> int:
    env = {
        **os.environ,
        **WITHOUT,
        "http_proxy": "http://127.0.0.1:9",  # where nobody listens
        "BIND_ADDRESS": "127.0.0.1",
        "GRPC_LB_READY_PORT": str(balancer.ports["ready"]),
    }
    return subprocess.run((sys.executable, "-m", "proxy_image.health"), env=env, check=False).returncode


async def test_without_envoy_it_serves_xds_readiness_page_and_metrics_and_drains(tmp_path: Path) -> None:
    # GIVEN a balancer without Envoy, and a client that has its bootstrap alone
    async with (
        backends("a") as (a,),
        running_balancer(
            tmp_path,
            f"127.0.0.1:{a.port}",
            {**WITHOUT, "GRPC_LB_CLOUDWATCH_BALANCER": "without"},
            REAL,
        ) as balancer,
    ):
        await balancer.ready()
        assert health(balancer) == 0
        config = parsed(bootstrap([f"127.0.0.1:{balancer.ports['xds']}"], "test"))
        async with client_process("Python", "test", config) as client:
            # WHEN it calls, THEN the task answers
            assert await client.who(20) == {"a": 20}

            # AND page, report and metrics tell of its calls, and that there is no Envoy and no trouble
            def told() -> bool:
                calls: int = sum(each["calls"] for each in report(balancer)["proxyless"]["calls"])
                return calls == 20

            await until(told, "20 calls in the report")
        found = report(balancer)
        assert (found["has_envoy"], found["problems"]) == (False, [])
        assert "clients without a proxy alone" in web(balancer, "/")
        assert 'grpc_lb_proxyless_calls_total{client="Python' in web(balancer, "/metrics")
        assert balancer.events("envoy started") == []

        # WHEN it is told to stop, THEN it fails its readiness first, lives meanwhile, and ends
        balancer.process.send_signal(signal.SIGTERM)
        await until(lambda: balancer.readiness() == 503, "readiness fails")
        assert await balancer.exited() == 0
        # AND its last metrics hold the calls, by the client's kind too
        (line,) = [each for each in balancer.events("metrics") if each.get("Service") == "test" and each["Calls"]]
        assert (line["Calls"], line["Failures"]) == (20, 0)
        assert [each["ok"] for each in line["proxyless"]] == [20]
    assert health(balancer) == 1
