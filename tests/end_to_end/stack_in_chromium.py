"""The page of the example's whole stack in a real browser, with its tasks started, killed and refused.

It shares the stack of this folder's tests. Run by `make browser`, or beside them by `make test BROWSER=yes`; `make
screenshots` keeps the pictures that it takes.
"""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from urllib.parse import urlsplit

from local_aws.demo.stage import Stage, process_ids, until
from local_aws.stack import LocalStack
from rng_service.load import SteadyLoad
from tests.browser.accessibility import findings
from tests.browser.chromium import Page
from tests.browser.looking import FIRST_PROBLEM, HALVES, LIVE, PERCENT, WIDTHS, keep_screenshot, shows, text_within
from tests.end_to_end.strangers import stranger
from tests.waiting import PATIENCE_SECONDS

SERVICE = "/services/random-numbers"
CALLS_PORT = 50051
OVER_TEN_SECONDS = "document.body.textContent.includes('over 10 s')"


def load_on(web: str, rate: float = 100) -> SteadyLoad:
    """Straight at the balancer whose page it is: behind the NLB chance may give all connections to the other one."""
    return SteadyLoad(f"{urlsplit(web).hostname}:{CALLS_PORT}", rate=rate, channels=2)


async def scaled(stack: LocalStack, count: int) -> None:
    """Returns once so many tasks run and no other one is left."""
    stage = Stage(stack)
    await stage.scale(count)
    await stage.left(count)

    def stopping() -> list[int]:
        others = [each.pid for each in stack.tasks(stage.addresses.service) if not each.is_serving]
        return [pid for pid in others if pid is not None]

    # Told a second time to stop, a task does not serve on for its grace period.
    for pid in stopping():
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)

    async def all_gone() -> bool:
        return not stopping()

    await until("the others have stopped", all_gone, within=PATIENCE_SECONDS)
    await stage.steady()


async def test_the_shares_move_from_100_0_to_50_50_as_calls_flow(stack: LocalStack, page: Page) -> None:
    await scaled(stack, 1)
    web = stack.addresses.web[0]
    await page.open(f"{web}/")
    await shows(page, LIVE, "live")
    # So few calls that those after them soon outweigh them: the page shows the shares of half a minute.
    async with load_on(web, rate=10):
        await shows(page, WIDTHS, ["100.0"])
    stage = Stage(stack)
    before = await stage.numbers()
    await stage.scale(2)
    await stage.known_to_all([*before, *await stage.new_numbers(before, count=1)])
    async with load_on(web), load_on(stack.addresses.web[1]):
        await shows(page, HALVES, [50, 50])
        await keep_screenshot(page, "overview", once=(f"[{PERCENT}, {OVER_TEN_SECONDS}]", [[50, 50], True]))
        await page.size(1180, 760, dark=True)
        await page.open(f"{web}{SERVICE}")
        await shows(page, LIVE, "live")
        await keep_screenshot(page, "service-dark")
        await page.size(390, 844, phone=True)
        await page.open(f"{web}/")
        await shows(page, LIVE, "live")
        await keep_screenshot(page, "phone")
    assert page.said == []


async def test_a_killed_task_is_shown_as_such_with_its_reason_(stack: LocalStack, page: Page) -> None:
    stage = Stage(stack)
    await stage.steady()
    victim = (await stage.numbers())[0]
    web = stack.addresses.web[0]
    async with load_on(web):
        await page.open(f"{web}{SERVICE}")
        await shows(page, LIVE, "live")
        await stage.kill(victim)
        reasons = [text_within(".history tr", why) for why in ("connections to it fail", "Essential container")]
        await shows(page, " || ".join(reasons), True)
        await shows(page, reasons[1], True)
        await stage.steady()


async def test_a_refused_label_is_shown_with_its_text(stack: LocalStack, page: Page) -> None:
    await page.open(f"{stack.addresses.web[0]}/problems")
    await shows(page, LIVE, "live")
    with stranger(stack, {"grpc-lb.enable": "true", "grpc-lb.service": "random-numbers", "grpc-lb.port": "9"}):
        for text in ("grpc-lb.port", "stranger", "must be one of the mapped ports 50051"):
            await shows(page, text_within(".problems li", text), True)
        assert await findings(page) == []
        await keep_screenshot(page, "problems")
    await shows(page, text_within(".problems li", "grpc-lb.port"), False)


async def test_an_outage_of_ssm_is_shown_with_what_to_do_while_calls_go_on(stack: LocalStack, page: Page) -> None:
    stage = Stage(stack)
    await stage.steady()
    await page.size(390, 844, phone=True)
    await page.open(f"{stack.addresses.web[0]}/")
    await shows(page, LIVE, "live")
    async with SteadyLoad(stack.addresses.balancer, rate=100, channels=8) as load:
        await stage.outage("refuse")
        try:
            await shows(page, text_within(".problem h2", "The target document is not taken"), True)
            assert await page.run(text_within(".problem", "calls continue with the last known targets"))
            assert await findings(page) == []
        finally:
            await stage.outage("none")
        await shows(page, text_within(".problem h2", "The target document is not taken"), False)
        assert not load.report().failures


async def test_a_task_that_hangs_is_the_first_thing_on_the_page(stack: LocalStack, page: Page) -> None:
    stage = Stage(stack)
    await stage.steady()
    victim = (await stage.numbers())[0]
    web = stack.addresses.web[0]
    async with load_on(web, rate=60):
        await page.open(f"{web}/")
        await shows(page, LIVE, "live")
        await shows(page, HALVES, [50, 50])
        hung = process_ids(victim)
        for pid in hung:
            os.kill(pid, signal.SIGSTOP)
        try:
            await shows(page, f"{FIRST_PROBLEM}.includes('{victim.ip}:50051 of random-numbers does not answer')", True)
            assert await page.run(text_within(".problem:first-child", "calls wait at"))
            assert await findings(page) == []
        finally:
            for pid in hung:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
