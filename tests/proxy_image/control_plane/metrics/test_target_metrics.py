"""/metrics of calls: read by Prometheus' own parser, under load, and exact."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from proxy_image.control_plane.metrics.target_metrics import MAX_TARGETS, families
from proxy_image.control_plane.stats.envoy_stats import Reading, ServiceCounts, TargetCounts
from tests.proxy_image.control_plane.support import backends, eventually, rng, running_envoy, target, who
from tests.proxy_image.control_plane.test_process import Process, file_settings, running, targets_file


async def scrape(control: Process) -> dict[str, Metric]:
    answer = await control.get("/metrics")
    assert answer.status == 200
    return {family.name: family for family in text_string_to_metric_families(answer.text)}


async def scrape_with_calls(control: Process) -> dict[str, Metric]:
    """One for which Envoy has answered: the control plane waits a second for it, which a busy machine may take."""

    async def answered() -> dict[str, Metric] | None:
        families = await scrape(control)
        return families if families["grpc_lb_envoy_readable"].samples[0].value == 1 else None

    found: dict[str, Metric] = await eventually(answered)
    return found


async def test_the_sum_over_targets_is_what_the_clients_counted(tmp_path: Path) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a, b))
        async with running(settings) as control, running_envoy(settings, concurrency=2) as envoy:
            await envoy.ready()
            await eventually(control.health)
            channels = [envoy.channel() for _ in range(4)]
            load = [asyncio.create_task(who(channel, 150)) for channel in channels for _ in range(2)]
            while not all(task.done() for task in load):
                before = await scrape_with_calls(control)
                sums = [sum(one.value for one in before["grpc_lb_target_calls"].samples)]
                assert sums[0] <= 1200
                await asyncio.sleep(0.05)
            counted: Counter[str] = sum((task.result() for task in load), Counter())
            after = await scrape_with_calls(control)
            by_target = {one.labels["target"]: one.value for one in after["grpc_lb_target_calls"].samples}
            assert by_target == {f"127.0.0.1:{a.port}": counted["a"], f"127.0.0.1:{b.port}": counted["b"]}
            assert after["grpc_lb_service_calls"].samples[0].value == counted.total() == 1200
            assert after["grpc_lb_received_calls"].samples[0].value == 1200
            assert {one.value for one in after["grpc_lb_target_failures"].samples} == {0}
            for channel in channels:
                await channel.close()


async def test_without_envoy_a_scrape_says_so_and_has_no_old_counts(tmp_path: Path) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        async with running(settings) as control:
            await eventually(control.health)
            scraped = await scrape(control)
            assert scraped["grpc_lb_envoy_readable"].samples[0].value == 0
            assert "grpc_lb_target_calls" not in scraped


def test_series_of_targets_are_bounded_and_those_of_services_stay() -> None:
    document = rng(*(target(port + 1) for port in range(MAX_TARGETS + 1)))
    counts = {f"127.0.0.1:{port + 1}": TargetCounts(calls=1) for port in range(MAX_TARGETS + 1)}
    reading = Reading(0.0, {"rng": ServiceCounts(counts, calls=MAX_TARGETS + 1)})
    found = {family.name: family for family in families(document.services, reading)}
    assert "grpc_lb_target_calls" not in found
    assert found["grpc_lb_target_series"].samples[0].value == 0
    assert found["grpc_lb_service_calls"].samples[0].value == MAX_TARGETS + 1


def test_a_target_that_left_the_document_has_no_series() -> None:
    reading = Reading(0.0, {"rng": ServiceCounts({"127.0.0.1:1": TargetCounts(), "127.0.0.1:2": TargetCounts()})})
    found = {family.name: family for family in families(rng(target(2)).services, reading)}
    assert [one.labels["target"] for one in found["grpc_lb_target_calls"].samples] == ["127.0.0.1:2"]
