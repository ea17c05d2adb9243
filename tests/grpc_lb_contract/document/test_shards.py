from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import (
    MAX_PARAMETER_BYTES,
    Document,
    DocumentError,
    DocumentTooLarge,
    ForeignIndex,
    Index,
    MissingShard,
    MixedGenerations,
    OldIndex,
    UnknownFormat,
    assemble,
    check_source,
    generation_of,
    index_parameter,
    pack,
    read_index,
    shard_parameter,
)
from local_aws.behaviour.edge import rejected_value
from tests.grpc_lb_contract.fleets import fleet
from tests.grpc_lb_contract.strategies import documents


@given(documents)
def test_a_document_comes_back_from_its_parameters_as_it_was(document: Document) -> None:
    packed = pack(document)

    assert assemble(read_index(packed.index), packed.shards) == document


@given(documents)
def test_ssm_takes_every_parameter(document: Document) -> None:
    packed = pack(document)

    rejected = [rejected_value("PutParameter", {"Value": text}) for text in (packed.index, *packed.shards.values())]
    assert rejected == [None] * len(rejected)


@given(documents, documents)
def test_the_generation_is_equal_when_and_only_when_the_content_is(one: Document, other: Document) -> None:
    assert (generation_of(one) == generation_of(other)) == (one == other)


def test_a_small_fleet_is_carried_inside_the_index() -> None:
    packed = pack(fleet(40))

    assert packed.shards == {}
    assert assemble(read_index(packed.index), {}) == fleet(40)


def test_five_thousand_targets_fit_behind_one_index() -> None:
    packed = pack(fleet(5_000))

    assert len(packed.index) <= MAX_PARAMETER_BYTES
    assert assemble(read_index(packed.index), packed.shards) == fleet(5_000)


def test_a_fleet_too_large_for_one_index_is_refused_with_its_size() -> None:
    with pytest.raises(DocumentTooLarge, match=r"at most 4096 bytes, got \d+ for \d+ shards .*20000 targets"):
        pack(fleet(20_000))


@pytest.mark.parametrize("gone", [0, 1_234, 2_999])
def test_one_target_less_rewrites_few_shards(gone: int) -> None:
    document = fleet(3_000)
    (service,) = document.services
    fewer = Document((replace(service, targets=service.targets[:gone] + service.targets[gone + 1 :]),))

    written = set(pack(fewer).shards) - set(pack(document).shards)

    assert 1 <= len(written) <= 3


@given(st.data())
def test_invariant_2_readers_never_see_a_mix_of_two_generations(data: st.DataObject) -> None:
    old, new = pack(fleet(300)), pack(fleet(299))
    index = read_index(data.draw(st.sampled_from([old.index, new.index])))
    texts = [*old.shards.values(), *new.shards.values()]

    shards = {name: data.draw(st.sampled_from(texts)) for name in data.draw(st.sets(st.sampled_from(index.shards)))}

    whole = all(shards.get(name) == {**old.shards, **new.shards}[name] for name in index.shards)
    if whole:
        assert assemble(index, shards) in (fleet(300), fleet(299))
    else:
        with pytest.raises((MissingShard, MixedGenerations)):
            assemble(index, shards)


def test_a_shard_in_the_place_of_another_is_refused() -> None:
    packed = pack(fleet(300))
    index = read_index(packed.index)
    swapped = replace(index, shards=(index.shards[1], index.shards[0], *index.shards[2:]))

    with pytest.raises(MixedGenerations, match=f"must be of generation {index.generation}"):
        assemble(swapped, packed.shards)


def test_an_inline_document_cut_short_is_refused() -> None:
    index = read_index(pack(fleet(3)).index[:-20])

    with pytest.raises(MixedGenerations):
        assemble(index, {})


@pytest.mark.parametrize("version", [0, 2, "1", None, 1.5])
def test_another_major_version_is_refused_and_said(version: object) -> None:
    text = pack(fleet(1)).index.replace('"format":1', f'"format":{json.dumps(version)}')

    with pytest.raises(UnknownFormat, match="must be 1, got"):
        read_index(text)


def test_an_unknown_field_of_the_index_is_ignored() -> None:
    text = pack(fleet(3)).index.replace('"format":1', '"format":1,"written_by":{"lambda":"2.0"}')

    assert assemble(read_index(text), {}) == fleet(3)


@pytest.mark.parametrize(
    "text",
    ["", "\n", "{}", "[]\n", "null\n", "not json\n", '{"format":1}\n', '{"format":1,"generation":7}\n', "[" * 9999],
)
def test_what_is_no_index_is_refused(text: str) -> None:
    with pytest.raises(DocumentError, match="index must"):
        read_index(text)


@given(st.text())
def test_no_text_crashes_the_reader(text: str) -> None:
    with pytest.raises(DocumentError):
        assemble(read_index(text), {})


@pytest.mark.parametrize("count", [0, 3, 300])
def test_the_index_says_until_when_changes_are_expected_beside_the_same_generation(count: int) -> None:
    plain, announced = pack(fleet(count)), pack(fleet(count), changes_expected_until=1_790_000_300.4)

    index = read_index(announced.index)

    assert index.changes_expected_until == 1_790_000_300
    assert read_index(plain.index).changes_expected_until is None
    assert index.generation == read_index(plain.index).generation
    assert announced.shards == plain.shards
    assert assemble(index, announced.shards) == fleet(count)


@pytest.mark.parametrize("count", range(40, 64))
def test_an_announcement_never_moves_a_document_out_of_its_index(count: int) -> None:
    plain, announced = pack(fleet(count)), pack(fleet(count), changes_expected_until=1_790_000_300)

    assert announced.shards == plain.shards
    assert len(announced.index) <= MAX_PARAMETER_BYTES


@pytest.mark.parametrize(
    ("until", "expected"), [(1000.5, True), (1600.0, True), (1000.0, False), (999.0, False), (1601.0, False)]
)
def test_changes_are_expected_until_the_moment_that_the_index_names_unless_a_wrong_clock_named_it(
    until: float, expected: bool
) -> None:
    index = read_index(f'{{"format":1,"generation":"0","changes_expected_until":{until}}}\n')

    assert index.expects_changes(now=1000.0) is expected


@pytest.mark.parametrize("spoilt", ["true", '"soon"', "[]", "{}", "null", "NaN", "Infinity", "1" + "0" * 400])
def test_an_announcement_that_cannot_be_read_is_none(spoilt: str) -> None:
    index = read_index(f'{{"format":1,"generation":"0","changes_expected_until":{spoilt}}}\n')

    assert index.changes_expected_until is None
    assert not index.expects_changes(now=0.0)


OURS = "arn:aws:ecs:eu-west-1:123456789012:cluster/main"
PREFIX = "/grpc-lb/rng/main"


def indexed(count: int, serial: int, *, cluster: str = OURS, prefix: str = PREFIX) -> Index:
    return read_index(pack(fleet(count), serial=serial, cluster=cluster, prefix=prefix).index)


@pytest.mark.parametrize("count", [3, 300])
def test_an_index_names_its_cluster_its_prefix_and_its_place_among_all_indexes(count: int) -> None:
    packed = pack(fleet(count), serial=7, cluster=OURS, prefix=PREFIX)
    index = read_index(packed.index)

    assert (index.cluster, index.prefix, index.serial) == (OURS, PREFIX, 7)
    assert index.generation == generation_of(fleet(count))
    assert assemble(index, packed.shards) == fleet(count)


@pytest.mark.parametrize(
    ("copied", "error"),
    [
        (indexed(3, 9, prefix="/grpc-lb/rng/test"), ForeignIndex),
        (indexed(3, 9, cluster="arn:aws:ecs:eu-west-1:210987654321:cluster/main"), ForeignIndex),
        (read_index(pack(fleet(3)).index), ForeignIndex),
        (indexed(3, 4), OldIndex),
    ],
)
def test_an_index_that_was_copied_or_put_back_is_refused(copied: Index, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"who (copied|put)"):
        check_source(copied, prefix=PREFIX, accepted=indexed(2, 5))


@pytest.mark.parametrize("following", [indexed(3, 6), indexed(3, 5), indexed(2, 4)])
def test_the_next_index_and_an_older_one_of_the_same_generation_are_accepted(following: Index) -> None:
    check_source(following, prefix=PREFIX, accepted=indexed(2, 5))
    check_source(following, prefix=PREFIX)


def test_generations_and_shards_have_128_bits() -> None:
    packed = pack(fleet(300))
    index = read_index(packed.index)

    assert len(index.generation) == 128 / 4
    assert {len(name) for name in index.shards} == {22}  # of 6 bits each


def test_parameters_lie_below_the_prefix() -> None:
    assert index_parameter("/grpc-lb/stack/id") == "/grpc-lb/stack/id/index"
    assert shard_parameter("/grpc-lb/stack/id", "0a1b") == "/grpc-lb/stack/id/shards/0a1b"
