"""What the reader of SSM believes, and what it does in doubt."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from types import SimpleNamespace

import pytest

from grpc_lb_contract import Document, index_parameter, pack, shard_parameter
from proxy_image.control_plane.sources import ssm
from proxy_image.control_plane.sources.last_good import FILE_NAME, LastGood
from proxy_image.control_plane.sources.poll_intervals import Intervals
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.sources.ssm import SsmSource
from tests.proxy_image.control_plane.fakes import PREFIX, FakeParameters, RememberingSink
from tests.proxy_image.control_plane.support import eventually, rng, service, target

INDEX = index_parameter(PREFIX)
THREE_MINUTES = 180.0


def large(first_port: int = 1000, targets: int = 300) -> Document:
    """A document that needs shards."""
    return rng(*(target(first_port + number) for number in range(targets)))


class World:
    def __init__(self, state_dir: Path) -> None:
        self.parameters = FakeParameters()
        self.sink = RememberingSink()
        self.state_dir = state_dir
        self.source = self.new_source()

    def new_source(self) -> SsmSource:
        return SsmSource(
            self.parameters,
            prefix=PREFIX,
            intervals=Intervals(0.02, 0.02),
            last_good=LastGood(self.state_dir, PREFIX),
            sink=self.sink,
        )


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


@asynccontextmanager
async def running(source: SsmSource) -> AsyncIterator[None]:
    task = asyncio.create_task(source.run())
    try:
        yield
        assert not task.done(), task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_published_document_is_found(world: World) -> None:
    world.parameters.publish(rng(target(1)))
    assert await world.source.read() is None
    assert world.sink.document == rng(target(1))
    assert world.sink.origins == [Origin.SSM]


async def test_an_unchanged_index_is_all_that_is_read(world: World) -> None:
    world.parameters.publish(large())
    await world.source.read()
    world.parameters.reads.clear()
    await world.source.read()
    await world.source.read()
    assert world.parameters.reads == ["/index", "/index"]
    assert world.sink.confirmations == 3
    assert len(world.sink.origins) == 1


async def test_of_a_changed_document_only_the_changed_shards_are_read(world: World) -> None:
    world.parameters.publish(large())
    await world.source.read()
    shards = len(world.parameters.reads) - 1
    world.parameters.reads.clear()
    world.parameters.publish(large(targets=301))
    await world.source.read()
    assert world.sink.document == large(targets=301)
    assert len(world.parameters.reads) - 1 < shards


async def test_invariant_2_readers_never_see_a_mix_of_two_generations(world: World) -> None:
    """GIVEN a generation WHEN any one parameter of the next is old, missing or cut THEN the old one stays, whole."""
    world.parameters.publish(large())
    await world.source.read()
    after = pack(large(2000))
    before = dict(world.parameters.texts)
    new = {shard_parameter(PREFIX, name): text for name, text in after.shards.items()}
    for broken in new:
        for content in (None, before[next(name for name in before if name != INDEX)], new[broken][:-20]):
            torn = {**before, **new, INDEX: after.index}
            del torn[broken]
            if content is not None:
                torn[broken] = content
            # one that has not read the other shards in an earlier turn
            world.parameters.texts, source = dict(before), world.new_source()
            assert await source.read() is None
            world.parameters.texts = torn
            assert await source.read() is Trouble.TORN
            assert world.sink.document == large()
    world.parameters.texts = {**before, **new, INDEX: after.index}
    assert await world.source.read() is None
    assert world.sink.document == large(2000)


async def test_a_torn_document_is_read_again_soon(world: World) -> None:
    after = pack(large())
    world.parameters.texts[INDEX] = after.index
    async with running(world.source):
        await eventually(lambda: Trouble.TORN in world.sink.troubles)
        world.parameters.publish(large())
        await eventually(lambda: world.sink.document == large())


async def test_of_a_torn_document_only_what_is_missing_is_read_again(world: World) -> None:
    after = pack(large())
    (first, second, *rest) = after.shards
    world.parameters.publish(large())
    del world.parameters.texts[shard_parameter(PREFIX, first)]
    world.parameters.texts[shard_parameter(PREFIX, second)] += "cut"
    assert await world.source.read() is Trouble.TORN
    for _ in range(3):
        world.parameters.reads.clear()
        assert await world.source.read() is Trouble.TORN
        assert world.parameters.reads == ["/index", *(f"/shards/{name}" for name in (first, second))]
    # WHEN they are there, THEN the document is
    world.parameters.publish(large())
    assert await world.source.read() is None
    assert world.sink.document == large()
    assert len(rest) > 1


async def test_a_torn_document_that_is_throttled_in_between_gets_no_new_quick_readings(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN readings that are torn and throttled in turn, THEN each trouble is counted on until a good one."""
    counts: list[tuple[Trouble | None, int]] = []

    def note(_poll_seconds: float, trouble: Trouble | None, count: int, _random: float) -> float:
        counts.append((trouble, count))
        return 0.001

    monkeypatch.setattr(ssm, "delay", note)
    troubles = [Trouble.TORN, Trouble.THROTTLED, Trouble.TORN, Trouble.THROTTLED, None, Trouble.TORN]

    async def read() -> Trouble | None:
        return troubles.pop(0) if troubles else None

    monkeypatch.setattr(world.source, "read", read)
    following = asyncio.create_task(world.source.follow(None))
    await eventually(lambda: len(counts) > 6)
    following.cancel()
    assert [count for trouble, count in counts[:7] if trouble is Trouble.TORN] == [1, 2, 1]


async def test_invariant_7_a_vanished_index_keeps_the_last_good_document(world: World) -> None:
    world.parameters.publish(rng(target(1)))
    await world.source.read()
    del world.parameters.texts[INDEX]
    assert await world.source.read() is Trouble.MISSING
    assert world.sink.document == rng(target(1))
    assert world.sink.origins == [Origin.SSM]


async def test_invariant_7_a_published_empty_document_is_believed(world: World) -> None:
    """The writer confirms an emptiness before it publishes it; the reader has no doubt of its own."""
    world.parameters.publish(rng(target(1)))
    await world.source.read()
    world.parameters.publish(Document())
    assert await world.source.read() is None
    assert world.sink.document == Document()


async def test_an_unknown_major_version_is_refused_and_said_once(world: World) -> None:
    world.parameters.publish(rng(target(1)))
    await world.source.read()
    fields = json.loads(pack(rng(target(2))).index.split("\n")[0])
    world.parameters.texts[INDEX] = json.dumps({**fields, "format": 99}) + "\n"
    world.parameters.reads.clear()
    for _ in range(3):
        assert await world.source.read() is Trouble.UNKNOWN_FORMAT
    assert set(world.sink.messages) == {world.sink.messages[0]}
    assert "got 99" in world.sink.messages[0]
    assert world.sink.document == rng(target(1))


@pytest.mark.parametrize("text", ["", "{", "null", "[]\n", '{"format": 1}', "\x00", '{"format":1,"generation":"x"}\n{'])
async def test_a_broken_index_keeps_the_last_good_document(world: World, text: str) -> None:
    world.parameters.publish(rng(target(1)))
    await world.source.read()
    world.parameters.texts[INDEX] = text
    assert await world.source.read() in (Trouble.BROKEN, Trouble.TORN)
    assert world.sink.document == rng(target(1))
    world.parameters.publish(rng(target(2)))
    assert await world.source.read() is None
    assert world.sink.document == rng(target(2))


@pytest.mark.parametrize("trouble", [Trouble.UNREACHABLE, Trouble.THROTTLED, Trouble.DENIED])
async def test_invariant_6_without_ssm_the_last_good_document_stays_and_changes_flow_again_after(
    world: World, trouble: Trouble
) -> None:
    world.parameters.publish(rng(target(1)))
    async with running(world.source):
        await eventually(lambda: world.sink.document == rng(target(1)))
        world.parameters.fails = trouble
        await eventually(lambda: world.sink.troubles.count(trouble) >= 3)
        assert world.sink.document == rng(target(1))
        world.parameters.publish(rng(target(2)))
        world.parameters.fails = None
        await eventually(lambda: world.sink.document == rng(target(2)))


async def test_invariant_6_a_start_without_ssm_serves_the_last_good_document_until_ssm_is_back(world: World) -> None:
    world.parameters.publish(large())
    await world.source.read()
    world.sink = RememberingSink()
    world.parameters.fails = Trouble.UNREACHABLE
    async with running(world.new_source()):
        await eventually(lambda: world.sink.document == large())
        assert world.sink.origins == [Origin.LAST_GOOD]
        assert world.sink.confirmations == 0
        world.parameters.fails = None
        await eventually(lambda: world.sink.origins == [Origin.LAST_GOOD, Origin.SSM])


async def test_invariant_6_a_start_with_a_hanging_ssm_serves_the_last_good_document(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ssm, "FIRST_ANSWER_SECONDS", 0.05)
    world.parameters.publish(large())
    await world.source.read()
    world.sink = RememberingSink()
    world.parameters.hangs = True
    async with running(world.new_source()):
        await eventually(lambda: world.sink.origins == [Origin.LAST_GOOD])


async def test_a_start_with_ssm_does_not_serve_older_targets_first(world: World) -> None:
    world.parameters.publish(rng(target(1)))
    await world.source.read()
    world.parameters.publish(rng(target(2)))
    world.sink = RememberingSink()
    async with running(world.new_source()):
        await eventually(lambda: world.sink.confirmations > 2)
    assert world.sink.origins == [Origin.SSM]


async def test_a_vanished_index_at_the_start_is_doubt_too(world: World) -> None:
    world.parameters.publish(rng(target(1)))
    await world.source.read()
    world.parameters.texts.clear()
    world.sink = RememberingSink()
    async with running(world.new_source()):
        await eventually(lambda: world.sink.origins == [Origin.LAST_GOOD])


def damage_cut(path: Path) -> None:
    path.write_text(path.read_text()[:-10])


def damage_address(path: Path) -> None:
    path.write_text(path.read_text().replace("127.0.0.1", "127.0.0.2"))


def damage_prefix(path: Path) -> None:
    path.write_text(path.read_text().replace(PREFIX, "/grpc-lb/other"))


def damage_bytes(path: Path) -> None:
    path.write_bytes(b"\xff\x00\xff")


def damage_shape(path: Path) -> None:
    path.write_text('{"index": 3, "shards": [], "prefix": []}')


@pytest.mark.parametrize("damage", [damage_cut, damage_address, damage_prefix, damage_bytes, damage_shape])
async def test_a_last_good_document_that_is_not_what_was_saved_is_ignored_with_a_log_line(
    world: World, damage: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    world.parameters.publish(rng(target(1)))
    await world.source.read()
    damage(world.state_dir / FILE_NAME)
    assert LastGood(world.state_dir, PREFIX).load() is None
    assert [record.message for record in caplog.records] == ["last good targets ignored"]


async def test_a_disk_that_takes_nothing_harms_nothing_and_is_said_once(
    world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.state_dir = world.state_dir / "file"
    world.state_dir.write_text("not a directory")
    world.source = world.new_source()
    for port in (1, 2, 3):
        world.parameters.publish(rng(target(port)))
        assert await world.source.read() is None
    assert world.sink.document == rng(target(3))
    assert [record.message for record in caplog.records] == ["last good targets not saved"]


async def test_nothing_is_left_beside_the_last_good_document(world: World) -> None:
    for port in (1, 2):
        world.parameters.publish(Document((service("rng", target(port)),)))
        await world.source.read()
    assert [path.name for path in world.state_dir.iterdir()] == [FILE_NAME]


async def test_an_unforeseen_error_does_not_end_the_reader(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async def raises(_name: str) -> str:
        raise ZeroDivisionError

    world.parameters.publish(rng(target(1)))
    async with running(world.source):
        await eventually(lambda: world.sink.document is not None)
        with monkeypatch.context() as patch:
            patch.setattr(world.parameters, "get", raises)
            await eventually(lambda: Trouble.INTERNAL in world.sink.troubles)
        world.parameters.publish(rng(target(2)))
        await eventually(lambda: world.sink.document == rng(target(2)))


def put(world: World, document: Document, serial: int, **source: str) -> None:
    named = {"cluster": "arn:aws:ecs:eu-west-1:1:cluster/main", "prefix": PREFIX} | source
    packed = pack(document, serial=serial, cluster=named["cluster"], prefix=named["prefix"])
    world.parameters.texts[index_parameter(PREFIX)] = packed.index


@pytest.mark.parametrize(
    ("serial", "source"),
    [(1, {}), (9, {"cluster": "arn:aws:ecs:eu-west-1:2:cluster/main"}), (9, {"prefix": "/grpc-lb/other"})],
)
async def test_an_index_that_was_copied_or_put_back_takes_no_target_away(
    serial: int, source: dict[str, str], world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    # GIVEN a balancer that has followed the document, WHEN an index comes that does not follow the last one
    put(world, rng(target(2)), 2)
    assert await world.source.read() is None
    put(world, rng(target(1)), serial, **source)
    # THEN it keeps its targets, however often it reads
    for _ in range(2):
        assert await world.source.read() is Trouble.BROKEN
    assert world.sink.document == rng(target(2))
    # AND what is of this prefix is believed when the Lambda has left it there for minutes
    monkeypatch.setattr(ssm, "ODD_FOR_SECONDS", 0.0)
    is_elsewhere = "prefix" in source
    assert (await world.source.read() is Trouble.BROKEN) == is_elsewhere
    assert world.sink.document == rng(target(2 if is_elsewhere else 1))
    # AND the Lambda's next one is, as ever
    put(world, rng(target(3)), 10)
    assert await world.source.read() is None or source


async def test_another_cluster_whose_tasks_change_all_the_time_is_believed_after_minutes_too(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a cluster that was replaced by another one, WHEN its Lambda never leaves an index as it is."""
    now = [0.0]
    monkeypatch.setattr(ssm, "time", SimpleNamespace(monotonic=lambda: now[0], time=time.time))
    put(world, rng(target(1)), 1)
    assert await world.source.read() is None
    another = {"cluster": "arn:aws:ecs:eu-west-1:1:cluster/new"}
    for number in range(4):
        put(world, rng(target(100 + number)), 10 + number, **another)
        assert await world.source.read() is Trouble.BROKEN
        now[0] += THREE_MINUTES / 4
    # THEN it is believed in the end
    put(world, rng(target(200)), 20, **another)
    assert await world.source.read() is None
    assert world.sink.document == rng(target(200))
    # AND what is copied now and then, and rewritten, never is
    for number in range(3):
        put(world, rng(target(1)), 30)
        assert await world.source.read() is Trouble.BROKEN
        now[0] += THREE_MINUTES - 1
        put(world, rng(target(300 + number)), 40 + number, **another)
        assert await world.source.read() is None
        assert await world.source.read() is None


def publish_incomplete(world: World, document: Document) -> None:
    packed = pack(document, incomplete=True)
    world.parameters.texts |= {INDEX: packed.index}
    world.parameters.texts |= {shard_parameter(PREFIX, name): text for name, text in packed.shards.items()}


async def test_an_incomplete_document_is_used_by_who_has_none_and_the_whole_one_follows(world: World) -> None:
    # GIVEN a new cluster whose Lambda is still reading task definitions
    publish_incomplete(world, rng(target(1)))
    assert await world.source.read() is None
    assert world.sink.document == rng(target(1))
    publish_incomplete(world, rng(target(1), target(2)))
    assert await world.source.read() is None
    assert world.sink.document == rng(target(1), target(2))
    world.parameters.publish(large())
    assert await world.source.read() is None
    assert world.sink.document == large()


@pytest.mark.parametrize("restarts", [False, True], ids=["running", "restarted"])
async def test_an_incomplete_document_takes_nothing_from_who_has_a_whole_one(world: World, *, restarts: bool) -> None:
    # GIVEN a balancer with a whole document, whose index got lost
    world.parameters.publish(large())
    await world.source.read()
    if restarts:
        world.source = world.new_source()
    # WHEN the Lambda begins again with a part of the services
    publish_incomplete(world, rng(target(1)))
    assert await world.source.start() is Trouble.MISSING
    assert await world.source.read() is Trouble.MISSING
    # THEN all targets stay until the whole list is there again
    assert world.sink.document == large()
    world.parameters.publish(rng(target(1), target(2)))
    assert await world.source.read() is None
    assert world.sink.document == rng(target(1), target(2))
