"""What a balancer learns of the others, from real servers on sockets: good ones, bad ones and none."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from grpc_lb_contract import Balancer, Document
from proxy_image.control_plane.fleet import ask as asking
from proxy_image.control_plane.fleet.ask import NoAnswerError, ask
from proxy_image.control_plane.fleet.fleet import Fleet, Member
from proxy_image.control_plane.fleet.problems import fleet_problems
from proxy_image.control_plane.fleet.summary import Part, Summary, UnreadableSummaryError, read_summary

SUMMARY = Summary("t1", "z-a", "g", 12.5, 3, 7, 2, 10.0, 20.0, 1, "error", ("all is lost",), {"rng": Part(12.5, 3, 7)})
Reply = Callable[[asyncio.StreamWriter], Awaitable[None]]


def http(body: bytes, status: str = "200 OK", extra: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{extra}\r\n".encode() + body


def plain(summary: Summary) -> bytes:
    return json.dumps(dataclasses.asdict(summary)).encode()


@asynccontextmanager
async def server(reply: bytes, *, hold: bool = False) -> AsyncIterator[tuple[Balancer, list[bytes]]]:
    """Answers each connection with these bytes, and where it holds then says no more."""
    asked: list[bytes] = []
    released = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(reply)
        if hold:
            await released.wait()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        yield Balancer("127.0.0.1", listening.sockets[0].getsockname()[1]), asked
        released.set()


async def test_a_balancer_s_summary_comes_back_whole() -> None:
    async with server(http(plain(SUMMARY))) as (balancer, asked):
        assert await ask(balancer) == SUMMARY
    (request,) = asked
    assert request.startswith(b"GET /api/balancer HTTP/1.1\r\n")
    assert f"host: 127.0.0.1:{balancer.port}".encode() in request.lower()


@pytest.mark.parametrize(
    ("reply", "why"),
    [
        (http(b"{}"), "cannot be read"),
        (http(b"[" * 100_000), "cannot be read"),
        (http(plain(SUMMARY).replace(b"12.5", b"-1")), "a number from 0 on"),
        (http(plain(SUMMARY).replace(b"12.5", b"NaN")), "a number from 0 on"),
        (http(b"", "302 Found", "location: http://127.0.0.1:1/\r\n"), "HTTP 302"),
        (http(b"no such page", "404 Not Found"), "another version"),
        (http(b"x" * 300 * 2**10), "more than 256 KiB"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "does not speak HTTP"),
        (b"", "does not speak HTTP"),
    ],
)
async def test_what_is_no_summary_is_told_with_the_reason_and_never_followed(reply: bytes, why: str) -> None:
    async with server(reply) as (balancer, asked):
        with pytest.raises(NoAnswerError, match=why):
            await ask(balancer)
        assert len(asked) == 1


async def test_one_that_says_nothing_costs_a_bounded_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "ANSWER_SECONDS", 0.2)
    async with server(http(plain(SUMMARY))[:-10], hold=True) as (balancer, _):
        with pytest.raises(NoAnswerError, match="no answer within"):
            await ask(balancer)


async def test_nothing_listens_there() -> None:
    async with server(b"") as (balancer, _):
        pass
    with pytest.raises(NoAnswerError):
        await ask(balancer)


def test_texts_and_lists_of_a_summary_are_cut() -> None:
    content = json.loads(plain(SUMMARY))
    content["task"] = "x" * 9_999
    content["services"] = {f"s{number}": content["services"]["rng"] for number in range(5_000)}
    found = read_summary(content)
    assert (len(found.task), len(found.services)) == (200, 200)
    with pytest.raises(UnreadableSummaryError):
        read_summary(content | {"worst": "<b>"})


@pytest.fixture
def document() -> Document:
    names = ("/a", "/a", "/a", "/other")
    found = (Balancer(f"10.0.0.{n}", task=f"task-{n}", name=name) for n, name in enumerate(names, start=1))
    return Document(balancers=tuple(found))


async def test_only_others_of_the_same_construct_are_asked_and_not_again_at_once(document: Document) -> None:
    asked: list[str] = []

    async def answer(balancer: Balancer) -> Summary:
        asked.append(balancer.task)
        return SUMMARY

    fleet = Fleet(("/a",), "task-1", ("0.0.0.0", 8080), asking=answer)
    await asyncio.gather(*(fleet.refresh(document) for _ in range(5)))
    assert asked == ["task-2", "task-3"]
    assert [member.summary for member in fleet.members] == [SUMMARY, SUMMARY]


async def test_one_that_falls_silent_keeps_its_last_figures_and_is_a_problem(
    document: Document, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy_image.control_plane.fleet.fleet.ASK_SECONDS", 0.0)
    silent = False
    now = 100.0

    async def answer(balancer: Balancer) -> Summary:
        if silent and balancer.task == "task-3":
            raise NoAnswerError("no answer within 1.5 s")
        return SUMMARY

    fleet = Fleet(("/a",), "task-1", ("10.0.0.1", 8080), asking=answer, clock=lambda: now)
    await fleet.refresh(document)
    assert not [*fleet_problems(fleet.members, now)]
    silent = True
    await fleet.refresh(document)
    now = 130.0
    await fleet.refresh(document)
    assert fleet.members[1] == Member(document.balancers[2], SUMMARY, "no answer within 1.5 s", 100.0)
    (problem,) = fleet_problems(fleet.members, now)
    assert problem.title == "Balancer 10.0.0.3:8080 does not answer this one"
    assert "10.0.0.3:8080 for 30 s: no answer within 1.5 s" in problem.detail
    assert problem.of_another


async def test_one_that_left_the_document_is_forgotten(document: Document, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxy_image.control_plane.fleet.fleet.ASK_SECONDS", 0.0)

    async def answer(_balancer: Balancer) -> Summary:
        return SUMMARY

    fleet = Fleet(("/a",), "task-1", ("10.0.0.1", 8080), asking=answer)
    await fleet.refresh(document)
    await fleet.refresh(dataclasses.replace(document, balancers=document.balancers[:2]))
    assert [member.balancer.task for member in fleet.members] == ["task-2"]
