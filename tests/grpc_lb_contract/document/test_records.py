from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import (
    Balancing,
    Condition,
    Deadline,
    Diagnostics,
    Document,
    DocumentError,
    Group,
    Match,
    Method,
    Overrides,
    RejectedLabel,
    Retry,
    RetryStatus,
    Route,
    Service,
    ShadowedRoute,
    Target,
    TargetState,
    TrafficPolicy,
    decode_document,
    encode_document,
)

DOCUMENT = Document(
    (
        Service(
            "rng",
            (Route("rng.internal", "rng.v1.RandomNumber"),),
            (Group("rng-blue", 95), Group("rng-green", 5)),
            (
                Target("10.0.1.23", 50051, "us-east-1a", TargetState.SERVING, "rng-green", "0123456789abcdef"),
                Target("10.0.1.24", 50051, "us-east-1b", TargetState.DRAINING, "rng-blue", "fedcba9876543210"),
            ),
        ),
    )
)
TEXT = """\
{"service":"rng"}
{"route":["rng.internal","rng.v1.RandomNumber"]}
{"group":["rng-blue",95]}
{"group":["rng-green",5]}
["10.0.1.23",50051,"us-east-1a","0123456789abcdef",1]
["10.0.1.24",50051,"us-east-1b","fedcba9876543210",0,{"state":"draining"}]
"""


POLICY = '{"policy":{"balancing":"least-request","retry.on":"INTERNAL,UNAVAILABLE","deadline.default":"1500ms"}}\n'


def test_a_policy_is_one_record_of_what_is_not_at_its_default() -> None:
    policy = TrafficPolicy(
        balancing=Balancing(method=Method.LEAST_REQUEST),
        retry=Retry(on=frozenset({RetryStatus.UNAVAILABLE, RetryStatus.INTERNAL})),
        deadline=Deadline(default=timedelta(seconds=1.5)),
    )
    with_policy = Document((replace(DOCUMENT.services[0], policy=policy),))
    text = TEXT.replace("\n", "\n" + POLICY, 1)

    assert encode_document(with_policy) == text
    assert decode_document(text) == with_policy


@pytest.mark.parametrize("newer", [{"mirror": "to-mars"}, {"balancing": "peak-ewma"}, {"retry.on": 5}])
def test_a_setting_of_a_newer_writer_leaves_the_default_and_the_other_settings(newer: dict[str, object]) -> None:
    text = TEXT.replace("\n", "\n" + json.dumps({"policy": {"retry.max-retries": "1", **newer}}) + "\n", 1)

    assert decode_document(text).services[0].policy == TrafficPolicy(retry=Retry(max_retries=1))


OWN = Route(
    "rng.internal",
    "rng.v1.RandomNumber",
    (Condition("x-canary"),),
    "Get",
    5,
    Overrides(Deadline(default=timedelta(seconds=2)), Retry(max_retries=0)),
)
ROUTE_FOR = (
    '{"route_for":{"host":"rng.internal","grpc_service":"rng.v1.RandomNumber","method":"Get","metadata":["x-canary"],'
    '"priority":5,"settings":{"retry.max-retries":"0","deadline.default":"2s"}}}\n'
)


def test_what_an_older_reader_does_not_know_of_a_route_is_a_record_that_it_passes_over() -> None:
    document = Document((Service("rng", (OWN,)),))

    assert encode_document(document) == '{"service":"rng"}\n' + ROUTE_FOR
    assert decode_document(encode_document(document)) == document


def test_a_setting_of_a_newer_writer_in_a_route_leaves_the_services_own() -> None:
    newer = ROUTE_FOR.replace('"0"', '"for ever"').replace('"priority":5', '"priority":5,"since":1')

    (route,) = decode_document('{"service":"rng"}\n' + newer).services[0].routes

    assert route == replace(OWN, overrides=Overrides(OWN.overrides.deadline))


@pytest.mark.parametrize(
    "field", ['"method":"a/b"', '"priority":-1', '"priority":true', '"grpc_service":"*","method":"M"']
)
def test_a_route_that_no_writer_makes_is_refused(field: str) -> None:
    with pytest.raises(DocumentError, match="line 2 of the document must be a record"):
        decode_document('{"service":"rng"}\n{"route_for":{"grpc_service":"a.B",' + field + "}}\n")


def test_a_document_is_one_record_a_line() -> None:
    assert encode_document(DOCUMENT) == TEXT


def test_the_records_are_the_document() -> None:
    assert decode_document(TEXT) == DOCUMENT


def test_unknown_fields_elements_and_records_are_ignored() -> None:
    newer = (
        TEXT.replace('{"service":"rng"}', '{"service":"rng","owner":"team-a"}\n{"policy":{"retries":2}}')
        .replace('"rng.v1.RandomNumber"]', '"rng.v1.RandomNumber",{"priority":3}]')
        .replace('"rng-green",5]', '"rng-green",5,"canary"]')
        .replace('"0123456789abcdef",1]', '"0123456789abcdef",1,{"cpu":"arm64"},null]')
    )

    assert decode_document(newer) == DOCUMENT


@pytest.mark.parametrize(
    ("wrong", "right", "message"),
    [
        ("50051", "70000", "port must be 1..65535, got 70000"),
        ('{"state":"draining"}', "null", "the last element of a target must be an object, got None"),
        ("50051", '"50051"', "port must be a whole number 1..65535, got '50051'"),
        ("10.0.1.23", "10.0.1.256", "ip must be an IPv4 or IPv6 address, got '10.0.1.256'"),
        ('"0123456789abcdef",1', '"0123456789abcdef",-1', "place of a target's group must be 0 or more, got -1"),
        ('"0123456789abcdef",1', '"0123456789abcdef",2', "line 5 of the document must be a record"),
        ('"draining"', '"resting"', "line 6 of the document must be a record"),
        ('{"service":"rng"}', '{"service":"RNG!"}', "service must be 1 to 63 of a-z"),
        ('{"service":"rng"}\n', "", "a service must come first"),
        ('{"service":"rng"}', "7", "a record is an object or a list"),
        ('{"service":"rng"}', "{", "line 1 of the document must be a record"),
        ('"fedcba9876543210",0,{"state":"draining"}]', '"fedcba9876543210",0,"draining"]', "line 6 of the document"),
        ("rng.internal", "rng internal", "host must be a host name without a port"),
        ('"fedcba9876543210",0,{"state":"draining"}]\n', "", "must end with a newline"),
    ],
)
def test_a_document_with_a_wrong_record_is_refused_whole_and_says_where(wrong: str, right: str, message: str) -> None:
    with pytest.raises(DocumentError) as refused:
        decode_document(TEXT.replace(wrong, right, 1))

    assert message in str(refused.value)


def test_two_services_of_one_name_are_refused() -> None:
    with pytest.raises(DocumentError, match="names of their own, got rng, rng"):
        decode_document(TEXT + TEXT)


@given(st.text().filter(lambda text: bool(text.strip())))
def test_what_is_no_document_is_refused_and_never_crashes(text: str) -> None:
    with pytest.raises(DocumentError):
        decode_document(text)


def leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The place of each value in a record that holds no other."""
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from leaves(value[key], (*path, key))
    else:
        yield path


def with_leaf(text: str, line: int, path: tuple[Any, ...], leaf: object) -> str:
    lines = text.splitlines()
    record = json.loads(lines[line])
    place = record
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = leaf
    lines[line] = json.dumps(record)
    return "\n".join(lines) + "\n"


EVERY_KIND = encode_document(
    Document(
        (
            Service(
                "rng",
                (
                    Route("*", "rng.v1.RandomNumber", (Condition("x-canary", Match.EXACT, "yes"),)),
                    Route("*", "rng.v1.RandomNumber", method="Get", priority=5),
                    Route("rng.internal"),
                ),
                (Group("rng-blue", 5), Group("rng-green", 95)),
                (
                    Target("10.0.1.23", 50051, "us-east-1a", TargetState.SERVING, "rng-blue", "0123456789abcdef"),
                    Target("10.0.1.24", 50051, "us-east-1a", TargetState.DRAINING, "rng-green", "fedcba9876543210"),
                ),
                TrafficPolicy(deadline=Deadline(max=timedelta(seconds=9))),
            ),
        ),
        Diagnostics(
            (RejectedLabel("rng", 3, "grpc-lb.port", "0", "must be"),), (ShadowedRoute("host *", "rng", "copy"),), 2, 1
        ),
    )
)


@pytest.mark.parametrize("leaf", [True, False, None, 1.5, -1, 10**30, [], {}, ["a"], {"a": True}, "\ud800"])
def test_a_value_of_another_type_anywhere_is_refused_as_a_document_or_ignored(leaf: object) -> None:
    # GIVEN a document with every kind of record, WHEN any one value in it is of another type
    tried = 0
    for line, record in enumerate(EVERY_KIND.splitlines()):
        for path in leaves(json.loads(record)):
            tried += 1
            try:
                document = decode_document(with_leaf(EVERY_KIND, line, path, leaf))
            except DocumentError:
                continue
            # THEN where it is no error, what was read is a whole document: written, it reads as the same
            assert decode_document(encode_document(document)) == document, (record, path)
            assert "true" not in encode_document(document)
    assert tried > 30


@given(
    st.recursive(
        st.none() | st.integers() | st.text(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)
    )
)
def test_what_is_no_record_is_refused_or_ignored_and_never_crashes(record: object) -> None:
    with contextlib.suppress(DocumentError):
        assert decode_document(TEXT + json.dumps(record) + "\n") == DOCUMENT


TARGET = '{"service":"a"}\n{"group":["g",1]}\n'


@pytest.mark.parametrize(
    "records",
    [
        TARGET + '["10.0.0.1",1e400,"z","t",0]',
        TARGET + f'["10.0.0.1",{"9" * 5000},"z","t",0]',
        TARGET + '["fe80::1%eth0",50051,"z","t",0]',
        TARGET + '["10.0.0.1/32",50051,"z","t",0]',
        TARGET + '["10.0.0.1",50051,"z","t",0,{"state":["serving"]}]',
        '{"service":"a"}\n{"group":["g",NaN]}',
        '{"service":"a"}\n{"service":"a"}',
        '{"service":"\\ud800"}',
        "[" * 100_000,
        TARGET + '["10.0.0.1",50051,"z","t",0]\n{"balancer":[1,8080,"z","t","n"]}',
        TARGET + '["10.0.0.1",50051,"z","t",0]\n{"balancer":["10.0.0.2",8080,"z","t",["n"]]}',
        TARGET + '["10.0.0.1",50051,"z","t",0]\n{"balancer":{}}',
    ],
    ids=lambda records: records[-40:],
)
def test_numbers_lists_and_addresses_that_are_none_are_refused_as_a_document(records: str) -> None:
    with pytest.raises(DocumentError):
        decode_document(records + "\n")
