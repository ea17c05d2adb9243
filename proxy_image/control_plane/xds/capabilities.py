"""What of a document this balancer can do: the rest is taken out, so that no resource names what is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from grpc_lb_contract import Document, Mirror, Service, Tls, TlsVerify


@dataclass(frozen=True, slots=True, order=True)
class LeftOut:
    """A setting of a service's owner that is not applied here, and why."""

    service: str
    label: str
    value: str
    problem: str


def feasible(document: Document, system_cas: Path | None) -> tuple[Document, tuple[LeftOut, ...]]:
    """The document with what can be done, and what cannot.

    A service whose targets could not be verified as it asks gets no call, instead of calls to whoever answers.
    `system_cas` is the file with this machine's CAs, None where it has none.
    """
    left_out = tuple(_left_out(document, system_cas))
    if not left_out:
        return document, ()
    unverified = frozenset(each.service for each in left_out if each.label == TLS_VERIFY)
    without_mirror = frozenset(each.service for each in left_out if each.label == MIRROR_SERVICE)

    def done(service: Service) -> Service:
        if service.name in without_mirror:
            service = replace(service, policy=replace(service.policy, mirror=Mirror()))
        if service.name in unverified:
            service = replace(service, targets=(), policy=replace(service.policy, tls=Tls()))
        return service

    return Document(tuple(map(done, document.services))), left_out


TLS_VERIFY = "grpc-lb.tls.verify"
MIRROR_SERVICE = "grpc-lb.mirror.service"


def _left_out(document: Document, system_cas: Path | None) -> Iterator[LeftOut]:
    names = frozenset(service.name for service in document.services)
    for service in document.services:
        mirror, tls = service.policy.mirror.service, service.policy.tls
        if mirror == service.name:
            yield LeftOut(service.name, MIRROR_SERVICE, mirror, "must be another service: no call is copied")
        elif mirror is not None and mirror not in names:
            yield LeftOut(
                service.name,
                MIRROR_SERVICE,
                mirror,
                "must be a service of this balancer: no call is copied until it is",
            )
        if tls.verify is TlsVerify.SYSTEM and system_cas is None:
            yield LeftOut(
                service.name,
                TLS_VERIFY,
                tls.verify,
                "must be none where the balancer has no file of CAs (set SSL_CERT_FILE): no target gets a call",
            )
