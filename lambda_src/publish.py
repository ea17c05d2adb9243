"""Publish: the target document in SSM, shards first, the index last, and nothing that is there already."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

from grpc_lb_contract import (
    Cause,
    Diagnostics,
    Document,
    DocumentError,
    DocumentTooLarge,
    ForeignIndex,
    Index,
    Packed,
    UnknownFormat,
    assemble,
    check_source,
    index_parameter,
    pack,
    read_index,
)
from grpc_lb_contract.document.per_service import PerService
from grpc_lb_contract.document.records import service_texts
from lambda_src import log
from lambda_src.clock import Clock, SecondsLeft
from lambda_src.discovery.saved_definitions import SavedDefinitions, definitions_path
from lambda_src.parameters import ParameterWriter
from lambda_src.shard_parameters import ShardParameters

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient


class _Source(TypedDict):
    cluster: str
    prefix: str
    serial: int


@dataclass(frozen=True, slots=True)
class Stored:
    """What is published. `document` is None where there is none, or where it is `unreadable`. `cause`,
    `changes_expected_until` and `incomplete` are the index's.
    """

    document: Document | None = None
    generation: str | None = None
    shards: tuple[str, ...] = ()
    unreadable: bool = False
    cause: Cause | None = None
    changes_expected_until: float | None = None
    serial: int = 0
    incomplete: bool = False
    is_named: bool = True
    """Whether the index says that it is of this cluster and prefix."""


@dataclass(frozen=True, slots=True)
class PublishResult:
    """`writes` counts the parameters written: 0 where nothing had to be."""

    stored: Stored
    writes: int


class ParameterStore:
    """The document under one prefix: its index, and the shards that it names."""

    def __init__(self, ssm: SSMClient, prefix: str) -> None:
        self._ssm = ssm
        self.prefix = prefix
        self._index_name = index_parameter(prefix)
        self._shards = ShardParameters(ssm, prefix, lambda: self._writer)
        # The text of the index, as it was read or written last.
        self._index_there: str | None = None
        # The text of the last index that could be read, and what it says.
        self._last: tuple[str, Stored] | None = None
        self._texts = service_texts()
        self.clock = Clock()
        self.cluster = ""
        """The ARN of the cluster whose document it is."""

    def read(self, *, fully: bool = False) -> Stored:
        """What is there. With `fully` every shard is read again, so that one which got lost is noticed.

        Raises `UnknownFormat` for a document of another major version, which must not be overwritten by this one.
        """
        text = self._index_text()
        if text != self._index_there:
            self._index_there = text
            self._shards.forget_what_is_there()
        if text is None:
            return Stored()
        if self._last is not None and self._last[0] == text and not fully:
            return self._last[1]
        stored = self._assembled(text, fully)
        self._last = (text, stored)
        return stored

    def publish(
        self,
        document: Document,
        stored: Stored,
        cause: Cause | None = None,
        *,
        stop_reasons: Mapping[str, str] = MappingProxyType({}),
        changes_expected_until: float | None = None,
        incomplete: bool = False,
        seconds_left: SecondsLeft = lambda: math.inf,
    ) -> PublishResult:
        """Write the document, where it is not what is `stored`, whatever the cause; of the same document the index
        alone, where other changes are expected, or `stop_reasons` say why a task left of which the index did not know.
        Raises `DocumentTooLarge`, botocore's error, or `OutOfTime`, and then readers still have what was there; shards
        that were written are not written again.
        """
        until = changes_expected_until
        source = self._source(stored)
        document, packed = _packed(document, cause, until, source, incomplete, self._texts)
        there = frozenset(stored.shards) if stored.document is not None else frozenset[str]()
        # The same document may come in other shards: by another version's cuts or zlib, or where the index says more
        # and has no room for it any longer.
        is_there = stored.generation == packed.generation and packed.shards.keys() <= there
        if stored.document is not None and is_there:
            return self._announce(stored.document, stored, until, stop_reasons, incomplete)
        new = {name: text for name, text in packed.shards.items() if name not in there}
        self._shards.write(new, seconds_left)
        self._put_index(packed.index)
        self._shards.indexed(packed.shards, before=stored.shards)
        published = Stored(
            document,
            packed.generation,
            tuple(packed.shards),
            cause=cause,
            changes_expected_until=until,
            serial=source["serial"],
            incomplete=incomplete,
        )
        self._last = packed.index, published
        return PublishResult(published, writes=len(new) + 1)

    def tidy(self) -> None:
        """Delete shards that no index names any more, where there are any. Does not raise."""
        self._shards.tidy()

    def _announce(
        self,
        document: Document,
        stored: Stored,
        until: float | None,
        stop_reasons: Mapping[str, str],
        incomplete: bool,
    ) -> PublishResult:
        cause = None if stored.cause is None else stored.cause.explained(stop_reasons)
        now = replace(stored, cause=cause, changes_expected_until=until, incomplete=incomplete)
        if now == stored and stored.is_named:
            return PublishResult(stored, writes=0)
        source = self._source(stored)
        packed = pack(document, cause, changes_expected_until=until, incomplete=incomplete, texts=self._texts, **source)
        self._put_index(packed.index)
        announced = replace(now, serial=source["serial"], is_named=True)
        self._last = packed.index, announced
        return PublishResult(announced, writes=1)

    def _index_text(self) -> str | None:
        try:
            return self._ssm.get_parameter(Name=self._index_name)["Parameter"]["Value"]
        except self._ssm.exceptions.ParameterNotFound:
            return None

    def _assembled(self, text: str, fully: bool) -> Stored:
        index: Index | None = None
        try:
            index = read_index(text)
            self._check_source(index)
            return Stored(
                assemble(index, self._shards.read(index.shards, again=fully)),
                index.generation,
                index.shards,
                cause=index.cause,
                changes_expected_until=index.changes_expected_until,
                serial=index.serial,
                incomplete=index.incomplete,
                is_named=(index.cluster, index.prefix) == (self.cluster, self.prefix),
            )
        except UnknownFormat as error:
            raise UnknownFormat(f"{error} (parameter {self._index_name}; nothing was written)") from error
        except DocumentError as error:
            log.error("published document unreadable", parameter=self._index_name, problem=str(error))
            serial = 0 if index is None else index.serial
            return Stored(shards=() if index is None else index.shards, unreadable=True, serial=serial)

    def _check_source(self, index: Index) -> None:
        check_source(index, prefix=self.prefix)
        if index.cluster and index.cluster != self.cluster:
            raise ForeignIndex(f"the index must be of the cluster {self.cluster}, got {index.cluster}")

    def _source(self, stored: Stored) -> _Source:
        serial = max(stored.serial + 1, round(self.clock.now() * 1000))
        return {"cluster": self.cluster, "prefix": self.prefix, "serial": serial}

    @cached_property
    def _writer(self) -> ParameterWriter:
        return ParameterWriter(self._ssm, self.clock)

    def _put_index(self, text: str) -> None:
        self._writer.put(self._index_name, text)
        self._index_there = text

    def saved_definitions(self) -> SavedDefinitions:
        """Those under this prefix, which are written at the same rate as the document."""
        return SavedDefinitions(self._ssm, definitions_path(self.prefix), self._writer.put)


def _packed(
    document: Document,
    cause: Cause | None,
    until: float | None,
    source: _Source,
    incomplete: bool,
    texts: PerService[str],
) -> tuple[Document, Packed]:
    def packed(document: Document) -> Packed:
        return pack(document, cause, changes_expected_until=until, incomplete=incomplete, texts=texts, **source)

    try:
        return document, packed(document)
    except DocumentTooLarge:
        if document.diagnostics == Diagnostics():
            raise
        # What labels were rejected must not cost a target its place.
        without_notes = replace(document, diagnostics=Diagnostics())
        return without_notes, packed(without_notes)
