from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import (
    Diagnostics,
    Document,
    DocumentDecoder,
    DocumentError,
    Service,
    decode_document,
    encode_document,
)
from tests.grpc_lb_contract.fleets import fleet
from tests.grpc_lb_contract.strategies import notes, services

few = st.lists(services(max_targets=3), max_size=2, unique_by=lambda one: one.name)

OTHER_FLEET = fleet(41, services=10)


@given(st.lists(few, max_size=3), few, notes)
def test_a_decoder_reads_each_document_as_if_it_were_the_first(
    generations: list[list[Service]], stay: list[Service], found: Diagnostics
) -> None:
    decoder = DocumentDecoder()
    names = {service.name for service in stay}
    for generation in generations:
        changes = tuple(service for service in generation if service.name not in names)
        document = Document((*stay, *changes), found)
        text = encode_document(document)
        assert decoder.decode(text) == decode_document(text) == document


def test_services_that_did_not_change_are_the_same_objects_again() -> None:
    decoder = DocumentDecoder()
    before = decoder.decode(encode_document(fleet(40, services=10)))
    after = decoder.decode(encode_document(OTHER_FLEET))
    pairs = zip(before.services, after.services, strict=True)
    assert [one.name for one, other in pairs if one is not other] == ["service-0"]
    assert after == OTHER_FLEET
    noted = decoder.decode(encode_document(Document(OTHER_FLEET.services, Diagnostics(more_shadowed=1))))
    assert all(one is other for one, other in zip(after.services, noted.services, strict=True))
    assert noted.diagnostics == Diagnostics(more_shadowed=1)


@pytest.mark.parametrize(
    "broken",
    [
        encode_document(OTHER_FLEET)[:-5],
        '{"group":["rng",1]}\n' + encode_document(OTHER_FLEET),
        encode_document(OTHER_FLEET) + '{"service":"service-1"}\n',
        encode_document(OTHER_FLEET).replace('"10.0.0.7"', '"10.0.0.777"'),
        '{"service":"rng"}',
    ],
)
def test_a_text_that_holds_no_document_is_refused_with_its_line_and_what_was_known_stays_known(broken: str) -> None:
    decoder = DocumentDecoder()
    before = decoder.decode(encode_document(OTHER_FLEET))
    with pytest.raises(DocumentError) as of_decoder:
        decoder.decode(broken)
    with pytest.raises(DocumentError) as of_all:
        decode_document(broken)
    assert str(of_decoder.value) == str(of_all.value)
    after = decoder.decode(encode_document(OTHER_FLEET))
    assert all(one is other for one, other in zip(before.services, after.services, strict=True))
