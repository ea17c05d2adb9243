"""What someone who is called at night sees in a real browser: each trouble, and that every page and state is usable.

Run by `make browser`, or beside the other tests by `make test BROWSER=yes`.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import sys
import time
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from proxy_image.control_plane.stats.last_hour.hour import Minute, ServiceMinute, TargetMinutes
from proxy_image.control_plane.stats.last_hour.hour_file import HourFile
from rng_service.load import SteadyLoad
from tests.browser.accessibility import findings
from tests.browser.chromium import Page
from tests.browser.looking import FIRST_PROBLEM, LIVE, keep_screenshot, shows, text_within
from tests.proxy_image.control_plane.support import eventually, running_envoy
from tests.proxy_image.control_plane.test_process import file_settings, running

WHOLE = "document.readyState === 'complete' && document.querySelector('main h1') !== null"
PATHS = ("/", "/timeline", "/problems", "/clients", "/services/rng", "/services/idle", "/services/unknown")
# As long as a name may be, without a place to break it.
LONGEST = "settlementreconciliationandreportingformerchantsineuropeandasia"
FITS = "Math.max(document.documentElement.scrollWidth, innerWidth) <= {width}"


@asynccontextmanager
async def server_process() -> AsyncIterator[tuple[int, asyncio.subprocess.Process]]:
    """The random-number service in a process of its own, and its port."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "rng_service"),
        env={**os.environ, "BIND_ADDRESS": "127.0.0.1", "PORT": str(port)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        yield port, process
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        await process.wait()


def targets_file(tmp_path: Path, *ports: int) -> Path:
    path = tmp_path / "targets.json"
    addresses = [f"127.0.0.1:{port}" for port in ports]
    services = [
        {"name": "rng", "targets": addresses},
        {"name": "idle", "targets": [], "hosts": ["idle.test"]},
        {
            "name": LONGEST,
            "targets": [],
            "hosts": [f"{LONGEST}.test"],
            "grpc_services": ["example.SettlementReconciliationAndReportingForMerchantsInEuropeAndAsia.v1.Settlement"],
        },
    ]
    path.write_text(json.dumps({"services": services}))
    return path


async def test_a_target_that_hangs_is_the_first_thing_on_the_page_and_every_page_is_usable(
    tmp_path: Path, page: Page
) -> None:
    async with server_process() as (one, _), server_process() as (two, hangs):
        settings = file_settings(tmp_path, targets_file(tmp_path, one, two))
        async with running(settings) as control, running_envoy(settings) as envoy:
            await envoy.ready()
            await eventually(control.health)
            web = f"http://127.0.0.1:{settings.web_port}"
            async with SteadyLoad(f"127.0.0.1:{settings.port}", rate=60, channels=2):
                await page.open(f"{web}/")
                await shows(page, LIVE, "live")
                await shows(page, text_within(".targets td.ok", "100 %"), True)
                hangs.send_signal(signal.SIGSTOP)
                # WHEN a server stops, THEN the page says so before anything else
                await shows(page, FIRST_PROBLEM, f"error 127.0.0.1:{two} of rng does not answer")
                for text in ("calls wait at", "which last answered", "TargetSilent"):
                    assert await page.run(text_within(".problem:first-child", text))
                assert await page.run(text_within(".targets .state.no-answer", "no answer since"))
                await keep_screenshot(page, "hung-target")
                await usable(page, web)
                await fits(page, web)
                # A phone says it first too, and how many wait, without scrolling sideways.
                await page.size(390, 844, phone=True)
                await page.open(f"{web}/")
                await shows(page, LIVE, "live")
                await shows(page, FIRST_PROBLEM, f"error 127.0.0.1:{two} of rng does not answer")
                assert await page.run(
                    "document.querySelector('.problem').getBoundingClientRect().top < innerHeight / 2"
                )
                shown = "getComputedStyle(document.querySelector('.targets td.in-flight')).display !== 'none'"
                assert await page.run(shown)
                assert await page.run("Math.max(document.documentElement.scrollWidth, innerWidth) <= 390")
                hangs.send_signal(signal.SIGCONT)
                await shows(page, "document.querySelector('.state.no-answer') === null", True)
            assert page.said == []


async def test_the_last_hour_is_drawn_and_outlives_the_control_plane(tmp_path: Path, page: Page) -> None:
    # GIVEN an hour that an earlier control plane kept, of which one minute is missing
    async with server_process() as (one, _), server_process() as (two, _):
        settings = file_settings(tmp_path, targets_file(tmp_path, one, two))
        newest = int(time.time()) // 60 * 60 - 60
        addresses = (f"127.0.0.1:{one}", f"127.0.0.1:{two}")
        settings.state_dir.mkdir(exist_ok=True)
        file = HourFile(settings.state_dir)
        for place in range(60):
            calls, failures = 3000 + 900 * (place % 7), 40 * (place > 50)
            counts = array("I", (calls // 2, failures, 3, calls - calls // 2, 0, 2))
            service = ServiceMinute(calls, failures, 5, 4.0 + place % 3, 20.0 + 3 * place)
            targets = {"rng": TargetMinutes(addresses, counts)}
            if place != 20:
                file.keep(Minute(newest - 60 * (59 - place), 60.0, {"rng": service}, targets))
        async with running(settings) as control, running_envoy(settings) as envoy:
            await envoy.ready()
            await eventually(control.health)
            async with SteadyLoad(f"127.0.0.1:{settings.port}", rate=60, channels=2):
                for path, within, charts in (("/", "[id='card/rng']", 3), ("/services/rng", "main", 6)):
                    await page.open(f"http://127.0.0.1:{settings.web_port}{path}")
                    await shows(page, LIVE, "live")
                    await shows(page, f'document.querySelectorAll("{within} figure svg.chart").length', charts)
                drawn = "document.querySelector('.chart .calls').getAttribute('d')"
                assert (await page.run(drawn)).count("M") == 2  # the missing minute is a gap
                # The newest minute is the last of those, or one without failures that has ended meanwhile.
                newest_rates = [text_within("figcaption", f"failed/s {rate} max 0.67") for rate in ("0.67", "0")]
                assert await page.run(" || ".join(newest_rates))
                assert await findings(page) == []
                await keep_screenshot(page, "service-hour")
                await page.size(390, 844, phone=True)
                await page.open(f"http://127.0.0.1:{settings.web_port}/services/rng")
                await shows(page, LIVE, "live")
                assert await page.run("Math.max(document.documentElement.scrollWidth, innerWidth) <= 390")
                assert page.said == []


async def test_every_page_shows_the_whole_fleet_and_the_one_that_was_killed(tmp_path: Path, page: Page) -> None:
    async with server_process() as (one, _), server_process() as (two, _), AsyncExitStack() as stack:
        path = targets_file(tmp_path, one, two)
        settings = [file_settings(tmp_path / name, path) for name in ("a", "b", "c")]
        webs = [f"127.0.0.1:{each.web_port}" for each in settings]
        path.write_text(json.dumps({**json.loads(path.read_text()), "balancers": webs}))
        controls = []
        for each in settings:
            each.state_dir.parent.mkdir(exist_ok=True)
            controls.append(await stack.enter_async_context(running(each)))
            envoy = await stack.enter_async_context(running_envoy(each))
            await envoy.ready()
            await eventually(controls[-1].health)
            await stack.enter_async_context(SteadyLoad(f"127.0.0.1:{each.port}", rate=20, channels=1))
        cell = "document.querySelector('.fleet tbody tr td').textContent.replace(/\\s/g, ' ')"
        sum_of_calls = "Math.round(Number(document.querySelectorAll('.fleet tbody tr td')[1].textContent) / 30)"
        for path_of in ("/", "/services/rng"):
            await page.open(f"http://{webs[0]}{path_of}")
            await shows(page, LIVE, "live")
            await shows(page, cell, "3 of 3")
            # three times 20 calls a second, of which this balancer has a third
            await shows(page, sum_of_calls, 2)
            assert await findings(page) == []
        # WHEN one is killed, THEN it is shown as such, and the sum is that of those that answer
        controls[2].process.send_signal(signal.SIGKILL)
        await shows(page, cell, "2 of 3")
        await shows(page, text_within(".fleet tr", "does not answer since"), True)
        await page.open(f"http://{webs[0]}/")
        await shows(page, text_within(".problem h2", f"Balancer {webs[2]} does not answer this one"), True)
        await shows(page, LIVE, "live")
        await keep_screenshot(page, "fleet")
        for path_of in ("/timeline", "/problems"):
            await page.open(f"http://{webs[0]}{path_of}")
            await shows(page, text_within("main p", "2 of 3 answer"), True)
            assert await findings(page) == []
        await page.size(390, 844, phone=True, dark=True)
        await page.open(f"http://{webs[0]}/")
        await shows(page, LIVE, "live")
        assert await page.run("Math.max(document.documentElement.scrollWidth, innerWidth) <= 390")
        assert await findings(page) == []
        assert page.said == []


async def test_a_balancer_without_services_and_without_envoy_is_usable(tmp_path: Path, page: Page) -> None:
    path = tmp_path / "targets.json"
    path.write_text(json.dumps({"services": []}))
    settings = file_settings(tmp_path, path)
    async with running(settings) as control:
        await eventually(control.health)
        web = f"http://127.0.0.1:{settings.web_port}"
        await page.open(f"{web}/")
        await shows(page, text_within(".problem h2", "Envoy is not connected to this control plane"), True)
        await usable(page, web, ("/", "/timeline", "/problems", "/clients", "/services/unknown"))
        assert page.said == []


async def usable(page: Page, web: str, paths: tuple[str, ...] = PATHS) -> None:
    """axe-core finds nothing on any page, in light and in dark, on a wide screen and on a phone."""
    for width, height, dark in ((1180, 760, False), (390, 844, True)):
        await page.size(width, height, dark=dark, phone=width < 400)
        for path in paths:
            await page.open(f"{web}{path}")
            await eventually(lambda: page.run(WHOLE))
            assert await findings(page) == [], (path, width)
            assert await page.run(FITS.format(width=width)), (path, width)
    page.said[:] = [line for line in page.said if "404" not in line]


async def fits(page: Page, web: str) -> None:
    """No page is wider than its window, whatever that is and however long a name: half a screen, and the smallest that
    https://www.w3.org/WAI/WCAG22/Understanding/reflow asks for.
    """
    for width in (900, 720, 320):
        await page.size(width, 700, phone=width < 400)
        for path in ("/", "/services/rng", f"/services/{LONGEST}"):
            await page.open(f"{web}{path}")
            await eventually(lambda: page.run(WHOLE))
            assert await page.run(FITS.format(width=width)), (path, width)
    await page.size(1180, 760)
