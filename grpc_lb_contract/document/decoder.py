"""Decodes the generations of one document, one after the other, and of each only what is new."""

from __future__ import annotations

import re
from collections.abc import Mapping

from grpc_lb_contract.document.model import Document, Service
from grpc_lb_contract.document.records import decode_document

_SERVICE = re.compile(r'(?<=\n)(?={"service":)')
_NOTES = re.compile(r'^(?={"(?:rejected|shadowed|more|balancer)":)', re.MULTILINE)


class DocumentDecoder:
    """A service whose records are as they were is the same object again, so that what was made of it can be used again.

    It remembers the last document, and no more.
    """

    def __init__(self) -> None:
        self._known: Mapping[str, tuple[Service, ...]] = {}

    def decode(self, text: str) -> Document:
        """As `decode_document`."""
        services, *after = _NOTES.split(text, maxsplit=1)
        records_of_services = _SERVICE.split(services)
        try:
            rest = decode_document("".join(after))
            decoded = {
                records: self._known[records] if records in self._known else decode_document(records).services
                for records in records_of_services
            }
            known = (service for records in records_of_services for service in decoded[records])
            document = Document((*known, *rest.services), rest.diagnostics, rest.balancers)
        except ValueError:
            return decode_document(text)  # its error names the line
        self._known = decoded
        return document
