"""What labels were rejected, in the document: bounded, and never in a target's way."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import Diagnostics, Document, RejectedLabel, ShadowedRoute, decode_document, encode_document
from grpc_lb_contract.document.diagnostics import MAX_BYTES_OF_A_KIND, MAX_OF_A_KIND, cut
from grpc_lb_contract.document.parameter_json import parameter_json
from tests.grpc_lb_contract.fleets import fleet
from tests.grpc_lb_contract.strategies import rejected_labels, shadowed_routes

REFUSAL = RejectedLabel("rng", 3, "grpc-lb.port", "0", "must be 1..65535")
LOST = ShadowedRoute("host * and gRPC service *", "rng", "rng-copy")
NOTES = Diagnostics((REFUSAL,), (LOST,), 12, 1)


def test_the_records_of_notes_follow_the_services() -> None:
    text = encode_document(Document(fleet(1).services, NOTES))

    assert text == encode_document(fleet(1)) + (
        '{"rejected":["rng",3,"grpc-lb.port","0","must be 1..65535"]}\n'
        '{"shadowed":["host * and gRPC service *","rng","rng-copy"]}\n'
        '{"more":[12,1]}\n'
    )
    assert decode_document(text) == Document(fleet(1).services, NOTES)


def test_where_every_label_is_refused_the_document_says_so_without_a_service() -> None:
    assert decode_document(encode_document(Document((), NOTES))) == Document((), NOTES)


@pytest.mark.parametrize("record", ['{"rejected":7}', '{"rejected":["rng"]}', '{"shadowed":[1,2,3]}', '{"more":["a"]}'])
def test_a_note_that_cannot_be_read_harms_no_target(record: str) -> None:
    assert decode_document(encode_document(fleet(3)) + record + "\n") == fleet(3)


@given(st.lists(rejected_labels, max_size=70), st.lists(shadowed_routes, max_size=70))
def test_notes_are_bounded_and_count_the_whole(refused: list[RejectedLabel], shadowed: list[ShadowedRoute]) -> None:
    notes = Diagnostics.of(refused, shadowed)

    assert (notes.rejected_count, notes.shadowed_count) == (len(set(refused)), len(set(shadowed)))
    assert max(len(notes.rejected_labels), len(notes.shadowed)) <= MAX_OF_A_KIND
    assert sum(len(parameter_json(note.record())) for note in notes.rejected_labels) <= MAX_BYTES_OF_A_KIND
    assert sum(len(parameter_json(note.record())) for note in notes.shadowed) <= MAX_BYTES_OF_A_KIND


@given(st.permutations([RejectedLabel(f"family-{number % 7}", 1, f"label-{number}", "", "") for number in range(80)]))
def test_the_order_of_what_was_refused_makes_no_difference(refused: list[RejectedLabel]) -> None:
    assert Diagnostics.of(refused, ()) == Diagnostics.of(sorted(refused), ())


def test_the_many_of_one_family_do_not_hide_the_one_of_another() -> None:
    noisy = [RejectedLabel("aaa", revision, "grpc-lb.port", "x", "") for revision in range(1_000)]

    notes = Diagnostics.of([*noisy, REFUSAL], ())

    assert REFUSAL in notes.rejected_labels
    assert notes.rejected_count == 1_001


def test_notes_of_two_clusters_are_added_up() -> None:
    assert Diagnostics((REFUSAL,), (), 2, 0) + Diagnostics((), (LOST,), 3, 1) == Diagnostics((REFUSAL,), (LOST,), 5, 1)


@given(st.text(st.characters(), max_size=400) | st.text("{}", max_size=400), st.integers(10, 300))
def test_a_text_is_cut_to_its_size_once(text: str, most: int) -> None:
    once = cut(text, most)

    assert len(parameter_json(once)) - 2 <= most
    assert cut(once, most) == once
    assert json.loads(parameter_json(once)) == once
