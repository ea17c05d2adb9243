"""The page in a real browser. Run apart from the other tests: `pytest tests/browser/page_in_chromium.py`."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

import grpc

from tests.browser.chromium import Page
from tests.browser.looking import LIVE, shows, text_within
from tests.proxy_image.control_plane.policies import codes
from tests.proxy_image.control_plane.support import Backend, Envoy, backends, eventually, running_envoy, who
from tests.proxy_image.control_plane.test_process import file_settings, running, targets_file


async def keep_calling(envoy: Envoy) -> None:
    async with envoy.channel() as channel:
        while True:
            # A server that stops ends the call that it has.
            with suppress(grpc.RpcError):
                await who(channel, 2)
            await asyncio.sleep(0.02)


async def test_a_server_that_died_is_shown_as_ejected_within_seconds(tmp_path: Path, page: Page) -> None:
    async with backends("a", "b", "c") as servers:
        settings = file_settings(tmp_path, targets_file(tmp_path, *servers))
        async with running(settings) as control, running_envoy(settings) as envoy:
            await envoy.ready()
            await eventually(control.health)
            calling = asyncio.create_task(keep_calling(envoy))
            await page.open(f"http://127.0.0.1:{settings.web_port}/services/rng")
            await shows(page, LIVE, "live")
            await servers[0].stop()
            states = "[...document.querySelectorAll('.targets .state.ejected')].length > 0"
            await shows(page, states, True)
            reasons = "document.querySelector('.history tbody tr').textContent.includes('connections to it fail')"
            await shows(page, reasons, True)
            calling.cancel()


async def test_the_page_outlives_a_restart_of_the_control_plane(tmp_path: Path, page: Page) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a))
        async with running_envoy(settings) as envoy:
            async with running(settings) as control:
                await envoy.ready()
                await eventually(control.health)
                await page.open(f"http://127.0.0.1:{settings.web_port}/")
                await shows(page, LIVE, "live")
                # What stays the same keeps its element, and with it the reader's place.
                await page.run("document.querySelector('h2 a').focus()")
            await shows(page, LIVE, "not connected, trying again")
            async with running(settings):
                await shows(page, LIVE, "live")
                assert await page.run("document.activeElement.textContent") == "rng"


async def test_a_phone_needs_no_sideways_scrolling(tmp_path: Path, page: Page) -> None:
    async with backends("a", "b") as (a, b):
        settings = file_settings(tmp_path, targets_file(tmp_path, a, b))
        async with running(settings) as control, running_envoy(settings) as envoy:
            await envoy.ready()
            await eventually(control.health)
            for dark in (False, True):
                await page.size(390, 844, dark=dark, phone=True)
                for path in ("/services/rng", "/timeline", "/problems", "/"):
                    await page.open(f"http://127.0.0.1:{settings.web_port}{path}")
                    await shows(page, LIVE, "live")
                    assert await page.run("Math.max(document.documentElement.scrollWidth, innerWidth) <= 390")


async def test_the_policy_holds_in_the_browser(tmp_path: Path, page: Page) -> None:
    async with backends("a") as servers:
        await _policy(tmp_path, page, *servers)


async def _policy(tmp_path: Path, page: Page, server: Backend) -> None:
    settings = file_settings(tmp_path, targets_file(tmp_path, server))
    async with running(settings) as control:
        await eventually(control.health)
        await page.open(f"http://127.0.0.1:{settings.web_port}/")
        await shows(page, LIVE, "live")
        assert page.said == []
        injected = "document.body.insertAdjacentHTML('beforeend', '<img src=x onerror=\"window.hit=1\">'); 1"
        await page.run(injected)
        await eventually(lambda: _any(page.said, "Content Security Policy"))
        assert await page.run("window.hit === undefined")


def _any(lines: list[str], text: str) -> bool:
    return any(text in line for line in lines)


async def test_how_calls_end_and_how_long_each_method_takes_is_shown_as_it_happens(tmp_path: Path, page: Page) -> None:
    async with backends("a") as (a,):
        settings = file_settings(tmp_path, targets_file(tmp_path, a), GRPC_LB_CALL_STATISTICS="methods")
        async with running(settings) as control, running_envoy(settings) as envoy, envoy.channel() as channel:
            await envoy.ready()
            await eventually(control.health)
            await page.open(f"http://127.0.0.1:{settings.web_port}/services/rng")
            await shows(page, LIVE, "live")
            await who(channel, 30)
            await shows(page, text_within(".statuses th", "OK"), True)
            a.abort = grpc.StatusCode.NOT_FOUND
            await codes(channel, 10)
            await shows(page, text_within(".statuses th", "NOT_FOUND"), True)
            await shows(page, text_within(".methods tr", "test.Test/Who"), True)
            await shows(page, text_within(".methods tr", "10 NOT_FOUND"), True)
            await shows(page, text_within(".methods tr", " ms"), True)
            assert page.said == []
