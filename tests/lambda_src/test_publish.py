from __future__ import annotations

import hashlib
import json

import pytest
from botocore.exceptions import ClientError

from grpc_lb_contract import (
    Document,
    Group,
    Service,
    Target,
    TargetState,
    UnknownFormat,
    assemble,
    generation_of,
    index_parameter,
    pack,
    read_index,
    shard_parameter,
)
from lambda_src.parameters import PUTS_PER_SECOND, ParameterWriter
from lambda_src.publish import ParameterStore, Stored
from tests.lambda_src.conftest import Lines, Sync
from tests.lambda_src.fake_aws import CLUSTER, PREFIX, FakeAws, Time, failure, task_name

INDEX = index_parameter(PREFIX)


def fleet(first: int, count: int) -> Document:
    targets = tuple(
        Target(f"10.0.{number // 250}.{number % 250}", 50051, "eu-west-1a", TargetState.SERVING, "g", task_name(number))
        for number in range(first, first + count)
    )
    return Document((Service("rng", groups=(Group("g"),), targets=targets),))


@pytest.fixture
def store(aws: FakeAws) -> ParameterStore:
    return new_store(aws)


def new_store(aws: FakeAws) -> ParameterStore:
    store = ParameterStore(aws.client("ssm"), PREFIX)
    store.clock = Time().clock()
    return store


def read(aws: FakeAws) -> Document:
    index = read_index(aws.parameters[INDEX])
    return assemble(index, {name: aws.parameters[shard_parameter(PREFIX, name)] for name in index.shards})


def shards(aws: FakeAws) -> set[str]:
    return aws.parameters.keys() - {INDEX}


def publish(store: ParameterStore, document: Document) -> Stored:
    return store.publish(document, store.read()).stored


def test_a_small_document_is_one_write_and_one_read(aws: FakeAws, store: ParameterStore) -> None:
    publish(store, fleet(0, 3))
    assert aws.operations() == ["GetParameter", "PutParameter"]
    assert read(aws) == fleet(0, 3)


def test_the_index_is_written_last_and_only_shards_that_are_not_there(aws: FakeAws, store: ParameterStore) -> None:
    publish(store, fleet(0, 1000))
    assert aws.written()[-1] == INDEX
    assert aws.written().count(INDEX) == 1
    everything = shards(aws)
    aws.requests.clear()
    publish(store, fleet(0, 1001))
    assert aws.written()[-1] == INDEX
    assert len(aws.written()) - 1 < len(everything) / 2
    assert set(aws.written()) & everything == set()
    assert read(aws) == fleet(0, 1001)


def test_a_writer_that_fails_midway_leaves_the_generation_before(aws: FakeAws, store: ParameterStore) -> None:
    # GIVEN a published fleet
    publish(store, fleet(0, 500))
    # WHEN SSM refuses all but the first two writes of the next generation
    aws.requests.clear()
    taken = iter(range(2))
    aws.spoil = lambda operation, _: (
        failure("AccessDeniedException") if operation == "PutParameter" and next(taken, None) is None else None
    )
    with pytest.raises(ClientError):
        publish(store, fleet(500, 500))
    # THEN readers still read the one before
    assert read(aws) == fleet(0, 500)
    # AND the next attempt ends well, and writes each shard once
    rejected = len(aws.written()) - 2
    aws.spoil = lambda operation, parameters: None
    publish(store, fleet(500, 500))
    assert read(aws) == fleet(500, 500)
    assert len(aws.written()) - len(set(aws.written())) == rejected


def test_writes_that_ssm_does_not_take_at_once_are_repeated(aws: FakeAws, store: ParameterStore) -> None:
    # GIVEN an SSM that takes each parameter the third time it is asked to
    aws.spoil = lambda operation, parameters: (
        failure("TooManyUpdates")
        if operation == "PutParameter" and aws.written().count(parameters["Name"]) < 3
        else None
    )
    # WHEN a document of several shards is published, THEN it is there, and nothing was raised
    publish(store, fleet(0, 500))
    assert read(aws) == fleet(0, 500)
    # AND they are repeated at the rate that SSM allows, because it was not the rate that it rejected
    clock = Time().clock()
    writer, started = ParameterWriter(aws.client("ssm"), clock), clock.now()
    for number in range(10):
        writer.put(shard_parameter(PREFIX, f"{number}"), "text")
    assert clock.now() - started == pytest.approx((3 * 10 - 1) / PUTS_PER_SECOND, abs=0.1)


def test_what_a_failed_attempt_wrote_is_not_relied_on_when_another_writer_came_between(
    aws: FakeAws, store: ParameterStore
) -> None:
    publish(store, fleet(0, 500))
    aws.spoil = lambda operation, parameters: (
        failure("AccessDeniedException") if operation == "PutParameter" and parameters["Name"] == INDEX else None
    )
    with pytest.raises(ClientError):
        publish(store, fleet(500, 500))
    # GIVEN another process, which deletes the shards that no index names
    aws.spoil = lambda operation, parameters: None
    publish(new_store(aws), fleet(1000, 500))
    # WHEN the first one tries again, THEN readers find all of it
    publish(store, fleet(500, 500))
    assert read(aws) == fleet(500, 500)


def test_shards_of_the_generation_before_stay_and_older_ones_go(aws: FakeAws, store: ParameterStore) -> None:
    publish(store, fleet(0, 500))
    first = shards(aws)
    publish(store, fleet(1000, 500))
    second = shards(aws) - first
    assert first < shards(aws)
    publish(store, fleet(2000, 500))
    store.tidy()
    assert not first & shards(aws)
    assert second < shards(aws)


def test_a_document_that_fits_its_index_does_not_look_for_shards(aws: FakeAws, store: ParameterStore) -> None:
    publish(store, fleet(0, 500))
    aws.requests.clear()
    publish(store, fleet(0, 3))
    assert aws.operations() == ["GetParameter", "PutParameter"]


def test_old_shards_that_cannot_be_deleted_are_only_logged(aws: FakeAws, store: ParameterStore, logged: Lines) -> None:
    aws.spoil = lambda operation, _: failure("AccessDeniedException") if operation == "GetParametersByPath" else None
    publish(store, fleet(0, 500))
    store.tidy()
    assert read(aws) == fleet(0, 500)
    assert len(logged.about("old shards not deleted")) == 1


def test_a_warm_process_reads_the_index_alone(aws: FakeAws, store: ParameterStore) -> None:
    publish(store, fleet(0, 500))
    aws.requests.clear()
    assert store.read().document == fleet(0, 500)
    assert aws.operations() == ["GetParameter"]
    # AND a new process reads the shards, ten at a time
    cold = new_store(aws)
    assert cold.read().document == fleet(0, 500)
    assert aws.operations("GetParameters") == ["GetParameters"] * -(-len(shards(aws)) // 10)


def test_another_writers_generation_is_noticed(aws: FakeAws, store: ParameterStore) -> None:
    publish(store, fleet(0, 500))
    publish(new_store(aws), fleet(0, 520))
    assert store.read().document == fleet(0, 520)


def test_a_lost_shard_is_written_again_by_the_next_minute(aws: FakeAws, sync: Sync, logged: Lines) -> None:
    # GIVEN a sharded document
    for number in range(500):
        aws.run(number)
    sync.minute()
    # WHEN someone deletes a shard, THEN the next minute's refresh writes it again, though no task changed
    del aws.parameters[sorted(shards(aws))[0]]
    sync.minute()
    assert len(sync.serving()) == 500
    assert len(logged.about("published document unreadable")) == 1


@pytest.mark.parametrize(
    "text", ["", "half writ", "[]", "null\n", '{"format":1,"generation":"0000000000000000"}\n', '{"format":1}\n']
)
def test_a_document_that_cannot_be_read_is_logged_and_written_anew(
    text: str, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    task = aws.run(1)
    aws.parameters[INDEX] = text
    sync.minute()
    assert sync.serving() == {task}
    [facts] = logged.about("published document unreadable")
    assert facts["parameter"] == INDEX


def test_a_document_of_another_major_version_is_never_overwritten(aws: FakeAws, sync: Sync) -> None:
    # GIVEN a document of a newer Lambda
    aws.run(1)
    newer = json.dumps({"format": 2, "generation": "0123456789abcdef"}) + "\n"
    aws.parameters[INDEX] = newer
    # WHEN this one refreshes, THEN it says so and writes nothing
    with pytest.raises(
        UnknownFormat, match=f"must be 1, got 2; update .* \\(parameter {INDEX}; nothing was written\\)"
    ):
        sync.minute()
    assert aws.parameters == {INDEX: newer}


def test_equal_content_has_an_equal_generation(aws: FakeAws, store: ParameterStore) -> None:
    stored = publish(store, fleet(0, 3))
    assert stored.generation == generation_of(fleet(0, 3))
    assert store.publish(fleet(0, 3), store.read()).writes == 0


@pytest.mark.parametrize("record", ['{"service":true}', '[true,1,"","t",0]', '{"route_for":{"method":true}}'])
def test_a_boolean_in_the_place_of_a_text_is_no_document_and_is_overwritten(
    record: str, aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN a document of which one record was spoilt by hand
    task = aws.run(1)
    sync.minute()
    _, newline, records = aws.parameters[INDEX].partition("\n")
    spoilt = f"{records}{record}\n"
    aws.parameters[INDEX] = (
        json.dumps({"format": 1, "generation": hashlib.sha256(spoilt.encode()).hexdigest()[:32]}) + newline + spoilt
    )
    # WHEN a refresh comes, THEN it says so and rewrites the document
    sync.minute()
    assert len(logged.about("published document unreadable")) == 1
    assert sync.serving() == {task}


def changed(aws: FakeAws, **fields: object) -> None:
    line, newline, rest = aws.parameters[INDEX].partition("\n")
    aws.parameters[INDEX] = json.dumps(json.loads(line) | fields) + newline + rest


@pytest.mark.parametrize(
    "fields", [{"cluster": "arn:aws:ecs:eu-west-1:210987654321:cluster/main"}, {"prefix": "/grpc-lb/other"}]
)
def test_an_index_that_was_copied_from_elsewhere_is_overwritten(
    fields: dict[str, object], aws: FakeAws, sync: Sync, logged: Lines
) -> None:
    # GIVEN the index of another cluster in the place of ours
    task = aws.run(1)
    sync.minute()
    changed(aws, **fields)
    # WHEN a refresh comes, also of a new process, THEN it says so and rewrites ours
    sync.restart()
    sync.minute()
    assert len(logged.about("published document unreadable")) == 1
    index = read_index(aws.parameters[INDEX])
    assert (index.cluster, index.prefix) == (CLUSTER, PREFIX)
    assert sync.serving() == {task}


def test_an_index_that_does_not_say_whose_it_is_is_written_again_with_the_same_generation(
    aws: FakeAws, sync: Sync
) -> None:
    aws.run(1)
    sync.minute()
    generation = read_index(aws.parameters[INDEX]).generation
    changed(aws, cluster="", prefix="", serial=0)
    sync.restart()
    sync.minute()
    index = read_index(aws.parameters[INDEX])
    assert (index.cluster, index.prefix, index.generation) == (CLUSTER, PREFIX, generation)


def test_an_index_that_has_no_room_to_say_whose_it_is_gets_shards(aws: FakeAws, store: ParameterStore) -> None:
    """GIVEN a document that just fits beside an index of an older version, THEN no reader finds it torn."""
    store.cluster = CLUSTER
    count = next(count for count in range(1, 200) if pack(fleet(0, count + 1)).shards)
    before = pack(fleet(0, count))
    aws.parameters[INDEX] = before.index
    assert publish(store, fleet(0, count)).generation == before.generation
    assert (read_index(aws.parameters[INDEX]).cluster, read(aws)) == (CLUSTER, fleet(0, count))


def test_the_same_document_in_other_shards_is_written_whole(
    aws: FakeAws, store: ParameterStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN shards of a version that cuts elsewhere, as another zlib does too, WHEN only the index is to change."""
    with monkeypatch.context() as older:
        older.setattr("grpc_lb_contract.document.shards.CUT_AT_BYTES", 2_000)
        generation = publish(store, fleet(0, 500)).generation
    newer = new_store(aws)
    published = newer.publish(fleet(0, 500), newer.read(), changes_expected_until=1_790_000_000.0).stored
    assert published.generation == generation
    assert (read_index(aws.parameters[INDEX]).generation, read(aws)) == (generation, fleet(0, 500))


def test_the_serial_of_an_index_grows_with_each_one_also_where_the_clock_is_behind(aws: FakeAws, sync: Sync) -> None:
    serials = []
    for number in range(4):
        aws.run(number)
        sync.restart()
        sync.minute()
        serials.append(read_index(aws.parameters[INDEX]).serial)
        sync.time.now -= 3600 if number == 1 else -1
    assert serials == sorted(set(serials))


def test_an_index_that_was_put_back_is_followed_by_a_newer_one(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an index that someone puts back from its history
    first = aws.run(1)
    sync.minute()
    old = aws.parameters[INDEX]
    second = aws.run(2)
    sync.time.now += 60
    sync.minute()
    newest = read_index(aws.parameters[INDEX])
    aws.parameters[INDEX] = old
    # WHEN the next refresh comes, THEN what it writes is newer than both
    sync.time.now += 60
    sync.minute()
    assert read_index(aws.parameters[INDEX]).serial > newest.serial
    assert sync.serving() == {first, second}


@pytest.mark.parametrize(
    "fields",
    [
        {"serial": 10**300},
        {"serial": -5},
        {"serial": True},
        {"shards": "../../another/path"},
        {"shards": "aaaa aaaa"},
        {"changes_expected_until": 10**300},
        {"incomplete": "yes"},
        {"cause": {"kind": "event", "events": 10**300}},
    ],
    ids=lambda fields: str(fields)[:40],
)
def test_an_index_with_a_field_that_no_writer_writes_is_followed_by_a_good_one(
    fields: dict[str, object], aws: FakeAws, sync: Sync
) -> None:
    # GIVEN an index that someone changed by hand
    first = aws.run(1)
    sync.minute()
    changed(aws, **fields)
    # WHEN a task starts, THEN a new process writes a good index
    second = aws.run(2)
    sync.restart()
    sync.handle(aws.event(second))
    index = read_index(aws.parameters[INDEX])
    assert sync.serving() == {first, second}
    assert index.cluster == CLUSTER
    assert not index.incomplete
    assert 1.7e12 < index.serial < 1e13


@pytest.mark.parametrize("format_", [True, 1.0, "1", None, [1]], ids=repr)
def test_a_format_that_is_no_whole_number_is_another_one(format_: object, aws: FakeAws, sync: Sync) -> None:
    aws.run(1)
    sync.minute()
    changed(aws, format=format_)
    before = dict(aws.parameters)
    sync.restart()
    with pytest.raises(UnknownFormat):
        sync.minute()
    assert aws.parameters == before


def test_the_clock_of_a_writer_that_was_ahead_holds_up_no_later_index(aws: FakeAws, sync: Sync) -> None:
    # GIVEN an index of a Lambda whose clock was a year ahead
    first = aws.run(1)
    sync.time.now += 365 * 86400
    sync.minute()
    ahead = read_index(aws.parameters[INDEX]).serial
    # WHEN the clock is right again, THEN the next index is newer all the same
    sync.time.now -= 365 * 86400
    second = aws.run(2)
    sync.restart()
    sync.minute()
    assert read_index(aws.parameters[INDEX]).serial > ahead
    assert sync.serving() == {first, second}
