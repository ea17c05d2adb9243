"""The dashboard for Grafana asks for metrics that there are."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import httpx

from tests.proxy_image.control_plane.support import backends, eventually, running_envoy, who
from tests.proxy_image.control_plane.test_process import file_settings, running, targets_file

DASHBOARD: Any = json.loads(Path("docs/grafana/balancer.json").read_text())


def asked() -> set[str]:
    text = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]
    text += [json.dumps(variable["query"]) for variable in DASHBOARD["templating"]["list"]]
    return set(re.findall(r"grpc_lb_[a-z0-9_]+", " ".join(text)))


def labels_asked(name: str) -> set[str]:
    expressions = " ".join(target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"])
    return set(re.findall(r"([a-z_]+)[!=~]+\"", " ".join(re.findall(name + r"\{([^}]*)\}", expressions))))


async def test_every_metric_and_label_of_the_dashboard_is_one_of_a_running_balancer(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a, b))
        async with running(settings) as control, running_envoy(settings) as envoy, envoy.channel() as channel:
            await envoy.ready()
            await eventually(control.health)
            await who(channel, 10)
            async with httpx.AsyncClient(timeout=60) as client:
                text = (await client.get(f"http://127.0.0.1:{settings.web_port}/metrics")).text
        families = set(re.findall(r"^# TYPE (\S+)", text, re.MULTILINE))
        known = families | {f"{name}_bucket" for name in families}
        assert len(asked()) > 20
        assert asked() <= known
        for name in asked():
            sample = re.search(rf"^{name}\{{([^}}]*)\}}", text, re.MULTILINE)
            if sample is not None:
                assert labels_asked(name) <= set(re.findall(r"([a-z_]+)=", sample[1])), name


def test_every_panel_says_what_it_is_and_has_a_place_of_its_own() -> None:
    panels = DASHBOARD["panels"]
    assert all(panel["title"] and panel["targets"] for panel in panels)
    assert len({(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels}) == len(panels)
    assert len({panel["id"] for panel in panels}) == len(panels)
