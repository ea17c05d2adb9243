"""The balancers that the document names."""

from __future__ import annotations

from dataclasses import replace

from grpc_lb_contract import Balancer, Document, DocumentDecoder, decode_document, encode_document
from grpc_lb_contract.document.balancers import BALANCER_LABEL, MAX_BALANCERS
from lambda_src.discovery.tasks import Container, TaskDefinition
from tests.lambda_src.fake_aws import task_name
from tests.lambda_src.transform.test_document import definition, draft, task

NAME = "/grpc-lb/stack/balancer"
BALANCER = TaskDefinition("lb", 1, (Container("Balancer", {BALANCER_LABEL: NAME}, (50051, 8080), True),))
DEFINITIONS = {**definition("rng"), "lb": BALANCER}


def test_a_running_balancer_is_named_beside_the_services() -> None:
    made = draft([task(1), task(7, "lb")], DEFINITIONS).document
    assert made.balancers == (Balancer("10.0.0.7", 8080, "eu-west-1a", task_name(7), NAME),)
    assert [service.name for service in made.services] == ["rng"]


def test_one_that_starts_stops_or_has_no_address_is_not() -> None:
    others = [
        task(2, "lb", desired_status="STOPPED"),
        task(3, "lb", last_status="PENDING"),
        task(4, "lb", address=None),
    ]
    assert draft([task(1), *others], DEFINITIONS).document.balancers == ()


def test_so_many_are_named_and_no_more() -> None:
    many = [task(number, "lb") for number in range(1, MAX_BALANCERS + 20)]
    assert len(draft([task(200), *many], DEFINITIONS).document.balancers) == MAX_BALANCERS


def test_they_come_back_from_the_document_s_text() -> None:
    whole = draft([task(1), task(7, "lb"), task(8, "lb")], DEFINITIONS).document
    text = encode_document(whole)
    decoder = DocumentDecoder()
    assert decode_document(text) == decoder.decode(text) == whole
    fewer = replace(whole, balancers=whole.balancers[:1])
    assert decoder.decode(encode_document(fewer)) == fewer
    # A document without services is read by older balancers too, to which a balancer would be a service's record.
    assert encode_document(Document((), balancers=whole.balancers)) == ""
