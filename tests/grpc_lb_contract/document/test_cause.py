"""Why a generation was published, beside it in the index."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import (
    MAX_PARAMETER_BYTES,
    Cause,
    CauseKind,
    Document,
    Stop,
    TaskChange,
    assemble,
    pack,
    read_index,
)
from grpc_lb_contract.document.cause import MAX_STOPS, MAX_TASKS, read_cause
from tests.grpc_lb_contract.fleets import fleet
from tests.grpc_lb_contract.strategies import documents

GONE = TaskChange("0123456789abcdef", "rng", "STOPPED", "STOPPED", "Essential container in task exited", "")
CAUSE = Cause(CauseKind.EVENT, 1_790_000_000.12, 1_790_000_000.61, 2, (GONE,))

FIELDS = ["kind", "at", "published", "events", "tasks", "stops"]

times = st.none() | st.floats(0, 1e10)
changes = st.builds(TaskChange, st.text(), st.text(), st.text(), st.text(), st.text(max_size=4_000), st.text())
stops = st.lists(st.builds(Stop, st.text(), st.text(max_size=300)), max_size=MAX_STOPS + 1)
causes = st.builds(
    Cause,
    st.sampled_from(CauseKind),
    times,
    times,
    st.integers(0, 10_000),
    st.lists(changes, max_size=9).map(tuple),
    stops.map(tuple),
)


def test_the_index_says_what_caused_its_generation() -> None:
    line = pack(fleet(1), CAUSE).index.partition("\n")[0]

    assert line == (
        '{"format":1,"generation":"' + read_index(pack(fleet(1)).index).generation + '","cause":{"kind":"event",'
        '"at":1790000000.12,"published":1790000000.61,"events":2,"tasks":[["0123456789abcdef","rng","STOPPED",'
        '"STOPPED","Essential container in task exited",""]]}}'
    )


@given(documents, causes)
def test_a_cause_comes_back_as_it_was_and_changes_neither_generation_nor_shards(
    document: Document, cause: Cause
) -> None:
    packed, plain = pack(document, cause), pack(document)
    index = read_index(packed.index)

    assert index.generation == read_index(plain.index).generation
    assert packed.shards == plain.shards
    assert len(packed.index.encode()) <= MAX_PARAMETER_BYTES
    assert assemble(index, packed.shards) == document
    if index.cause is not None:
        assert index.cause.tasks == cause.tasks[: len(index.cause.tasks)]
        assert index.cause.stops == cause.stops[: len(index.cause.stops)]
        assert (index.cause.kind, index.cause.at, index.cause.events) == (cause.kind, cause.at, cause.events)


@pytest.mark.parametrize("count", range(35, 60, 4))
def test_where_the_index_has_little_room_the_cause_is_short_or_left_out(count: int) -> None:
    packed = pack(fleet(count), Cause(CauseKind.EVENT, 0.0, 0.0, 9, (GONE,) * MAX_TASKS))

    assert len(packed.index) <= MAX_PARAMETER_BYTES
    assert packed.shards == pack(fleet(count)).shards


def test_a_cause_that_fits_whole_is_whole_and_one_that_does_not_loses_its_last_tasks_first() -> None:
    whole = Cause(CauseKind.EVENT, 0.0, 0.0, 9, (GONE,) * MAX_TASKS)
    kept = [read_index(pack(fleet(count), whole).index).cause for count in range(1, 60)]
    inline = [None if cause is None else len(cause.tasks) for cause in kept]

    assert inline[0] == MAX_TASKS
    assert set(inline) >= {MAX_TASKS, 1, None}
    assert inline[-1] == MAX_TASKS  # in shards: the index has room again


def test_tasks_that_stopped_for_one_reason_share_its_text() -> None:
    stops = (Stop("a", "Scaling"), Stop("b", "Scaling"), Stop("c", ""))
    line = pack(fleet(1), Cause(CauseKind.SCHEDULED, stops=stops)).index.partition("\n")[0]

    assert line.endswith('"events":0,"stops":[["Scaling","a","b"],["","c"]]}}')
    cause = read_index(line + "\n").cause
    assert cause is not None
    assert cause.stops == stops
    assert cause.unexplained == {"c"}
    assert cause.reasons == {"a": "Scaling", "b": "Scaling"}


def test_a_batch_of_many_events_names_the_first() -> None:
    assert len(Cause(CauseKind.EVENT, events=99, tasks=(GONE,) * 99).tasks) == MAX_TASKS


@given(
    st.recursive(
        st.none() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(FIELDS) | st.text(), inner),
    )
)
def test_what_is_no_cause_is_none_and_never_crashes(value: object) -> None:
    read_cause(value)
    index = read_index('{"format":1,"generation":"0","cause":{"kind":"newer"}}\n')
    assert index.cause is None
