"""Routes by request metadata."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import (
    Condition,
    Document,
    Match,
    Registration,
    Route,
    Service,
    decode_document,
    encode_document,
    read_labels,
)
from grpc_lb_contract.metadata_conditions import read_conditions
from tests.grpc_lb_contract.strategies import metadata

CANARY = Condition("x-canary", Match.EXACT, "yes")


def test_conditions_are_read_from_a_list() -> None:
    assert read_conditions("x-canary=yes, x-tenant^=acme-,x-debug, x-a==^=b, !x-old, x-b!=no") == (
        Condition("x-a", Match.EXACT, "=^=b"),
        Condition("x-b", Match.NOT_EXACT, "no"),
        CANARY,
        Condition("x-debug"),
        Condition("x-old", Match.ABSENT),
        Condition("x-tenant", Match.PREFIX, "acme-"),
    )


@given(metadata.filter(bool))
def test_conditions_written_are_conditions_read(conditions: tuple[Condition, ...]) -> None:
    assert read_conditions(",".join(map(str, conditions))) == tuple(sorted(set(conditions)))


@given(st.text())
def test_what_is_no_condition_is_refused_and_never_crashes(text: str) -> None:
    conditions = read_conditions(text)
    if conditions is not None:
        assert Registration("rng", 1, metadata=conditions).metadata == conditions
    assert conditions is None or read_conditions(",".join(map(str, conditions))) == conditions


@pytest.mark.parametrize(
    "text",
    [
        *("", ",", "a=", "a!=", "!", "!a=b", "!!a", "!a!=b", "a!", "a^=", "=b", "A=b", "a=b c", "a=é", "a" * 65),
        ",".join(f"key-{n}=12345" for n in range(30)),
    ],
)
def test_invariant_11_a_bad_condition_does_not_widen_the_route_to_all_calls(text: str) -> None:
    reading = read_labels(
        {"grpc-lb.enable": "true", "grpc-lb.metadata": text}, mapped_ports=[1], default_service="rng", family="fam"
    )
    assert reading.registration is not None
    assert reading.registration.routes == ()
    (error,) = reading.errors
    assert str(error).startswith("metadata must be a comma-separated list of at most 256 characters, each ")
    assert (error.label, error.value) == ("grpc-lb.metadata", text)


def test_every_route_of_a_registration_has_its_conditions() -> None:
    labels = {"grpc-lb.enable": "true", "grpc-lb.metadata": "x-canary=yes", "grpc-lb.hosts": "a,b"}
    registration = read_labels(labels, mapped_ports=[1], default_service="rng", family="fam").registration
    assert registration is not None
    assert registration.routes == (Route("a", "*", (CANARY,)), Route("b", "*", (CANARY,)))


def test_a_route_with_conditions_is_a_record_that_an_older_reader_passes_over() -> None:
    document = Document((Service("rng", (Route(), Route("*", "*", (CANARY,)))),))
    text = '{"service":"rng"}\n{"route":["*","*"]}\n{"route_if":["*","*",["x-canary=yes"]]}\n'
    assert encode_document(document) == text
    assert decode_document(text) == document


def test_a_negated_condition_is_in_a_record_that_an_older_reader_passes_over() -> None:
    document = Document((Service("rng", (Route("a", "*", (Condition("x", Match.ABSENT),)),)),))
    text = '{"service":"rng"}\n{"route_for":{"host":"a","metadata":["!x"]}}\n'
    assert encode_document(document) == text
    assert decode_document(text) == document


def test_a_route_with_a_condition_of_a_newer_writer_takes_no_call() -> None:
    text = '{"service":"rng"}\n{"route_if":["*","*",["x-canary=~.*"]]}\n{"route_if":["*","*",["x canary"]]}\n'
    text += '{"route_if":["*","*",[]]}\n{"route_for":{"metadata":["x ~= y"]}}\n'
    [service] = decode_document(text.replace("x-canary=~.*", "x-canary~.*")).services
    assert service.routes == ()


@pytest.mark.parametrize(
    "wrong",
    [("A",), ("a", Match.PRESENT, "b"), ("a", Match.EXACT, ""), ("a", Match.EXACT, "b,c"), ("a", Match.ABSENT, "b")],
)
def test_a_condition_that_no_label_could_say_is_not_made(wrong: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="must be a condition such as x-canary=yes, with a lower-case key and"):
        Condition(*wrong)  # type: ignore[arg-type]  # wrong on purpose
