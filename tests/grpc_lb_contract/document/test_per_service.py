"""What is made of a service is made once, for as long as the service is the same object."""

from __future__ import annotations

from dataclasses import replace

from grpc_lb_contract import Document, Service, encode_document
from grpc_lb_contract.document.per_service import PerService
from grpc_lb_contract.document.records import service_texts
from tests.grpc_lb_contract.fleets import fleet


def test_only_what_is_new_is_made() -> None:
    made: list[str] = []

    def make(service: Service) -> int:
        made.append(service.name)
        return len(service.targets)

    sizes, document = PerService(make), fleet(30)
    assert sizes.of(document.services) == {service.name: len(service.targets) for service in document.services}
    made.clear()
    # WHEN one service has another target list, and another comes
    first, *others = document.services
    after = (replace(first, targets=first.targets[1:]), *others, Service("zz"))
    assert sizes.of(after) == {service.name: len(service.targets) for service in after}
    assert made == [first.name, "zz"]
    # AND what is gone is forgotten
    sizes.of(others)
    made.clear()
    sizes.of(after)
    assert made == [first.name, "zz"]


def test_a_writer_that_follows_a_document_writes_what_any_other_does() -> None:
    texts, document = service_texts(), fleet(30)
    for services in (document.services, document.services[1:], document.services):
        again = Document(tuple(replace(service, targets=service.targets[:-1]) for service in services[:2]))
        for one in (replace(document, services=services), again):
            assert encode_document(one, texts) == encode_document(one)
