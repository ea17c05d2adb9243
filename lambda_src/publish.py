"""Publish: the target document in SSM, shards first, the index last, and nothing that is there already."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, TypedDict

from botocore.exceptions import BotoCoreError, ClientError

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
    shard_parameter,
)
from grpc_lb_contract.document.per_service import PerService
from grpc_lb_contract.document.records import service_texts
from grpc_lb_contract.document.shards import content_hash
from lambda_src import log
from lambda_src.clock import Clock, OutOfTime, SecondsLeft
from lambda_src.discovery.saved_definitions import SavedDefinitions, definitions_path
from lambda_src.parameters import PER_CALL, PUTS_AT_ONCE, ParameterWriter, chunks, parameters_below

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

RESERVED_SECONDS = 2.0
"""Of the invocation's time: with less left, no shard is begun."""


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
    """The document under one prefix. The content of shards is kept, so that a warm process reads the index alone."""

    def __init__(self, ssm: SSMClient, prefix: str) -> None:
        self._ssm = ssm
        self.prefix = prefix
        self._index_name = index_parameter(prefix)
        self._last: tuple[str, Stored] | None = None
        self._shards: Mapping[str, str] = {}
        self._written: set[str] = set()
        self._written_beside: str | None = None
        self._there: set[str] | None = None
        self._kept: frozenset[str] | None = None
        self._texts = service_texts()
        self.clock = Clock()
        self.cluster = ""
        """The ARN of the cluster whose document it is."""

    def read(self, *, fully: bool = False) -> Stored:
        """What is there. With `fully` every shard is read again, so that one which got lost is noticed.

        Raises `UnknownFormat` for a document of another major version, which must not be overwritten by this one.
        """
        text = self._index_text()
        if text != self._written_beside:
            # Another writer may have deleted what no index names.
            self._written.clear()
            self._written_beside, self._there, self._kept = text, None, None
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
        new = [name for name in packed.shards if name not in there]
        if len(new) > PUTS_AT_ONCE and not self._written and self._there is None:
            # An invocation that ended too early may have written most of them.
            self._written = self._read_all_shards()
        # Not again what an attempt wrote that failed later: PutParameter allows but about three a second.
        self._put_shards({name: packed.shards[name] for name in new if name not in self._written}, seconds_left)
        self._put_index(packed.index)
        self._written.clear()
        published = Stored(
            document,
            packed.generation,
            tuple(packed.shards),
            cause=cause,
            changes_expected_until=until,
            serial=source["serial"],
            incomplete=incomplete,
        )
        self._last, self._shards = (packed.index, published), packed.shards
        # Readers that got the index before this one are reading the shards that it names.
        self._kept = frozenset(packed.shards) | frozenset(stored.shards)
        if self._there is not None and len(self._there - self._kept) >= PER_CALL:
            self._delete_all_but(self._kept)
        return PublishResult(published, writes=len(new) + 1)

    def tidy(self) -> None:
        """Delete shards that no index names any more, where there are any. Does not raise."""
        if self._kept is not None and (self._kept if self._there is None else self._there - self._kept):
            self._delete_all_but(self._kept)

    def _put_shards(self, shards: Mapping[str, str], seconds_left: SecondsLeft) -> None:
        """As many at once as the quota allows. All that was written is noted, whichever fails."""
        writing: dict[str, Future[None]] = {}
        with ThreadPoolExecutor(PUTS_AT_ONCE) as pool:
            for name, text in shards.items():
                self._writer.wait()
                if seconds_left() < RESERVED_SECONDS or any(one.done() and one.exception() for one in writing.values()):
                    break
                writing[name] = pool.submit(self._writer.put_now, shard_parameter(self.prefix, name), text)
        written = {name for name, one in writing.items() if one.exception() is None}
        self._written |= written
        if self._there is not None:
            self._there |= written
        for one in writing.values():
            one.result()
        if len(written) < len(shards):
            raise OutOfTime(
                f"{len(shards) - len(written)} of {len(shards)} new shards are not written; the next refresh goes on"
            )

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
            self._shards = self._read_shards(index.shards, {} if fully else self._shards)
            return Stored(
                assemble(index, self._shards),
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

    def _read_shards(self, names: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
        shards = {name: known[name] for name in names if name in known}
        by_parameter = {shard_parameter(self.prefix, name): name for name in names if name not in known}
        for chunk in chunks(list(by_parameter)):
            for parameter in self._ssm.get_parameters(Names=chunk)["Parameters"]:
                shards[by_parameter[parameter["Name"]]] = parameter["Value"]
        return shards

    @cached_property
    def _writer(self) -> ParameterWriter:
        return ParameterWriter(self._ssm, self.clock)

    def _put_index(self, text: str) -> None:
        self._writer.put(self._index_name, text)
        self._written_beside = text

    def saved_definitions(self) -> SavedDefinitions:
        """Those under this prefix, which are written at the same rate as the document."""
        return SavedDefinitions(self._ssm, definitions_path(self.prefix), self._writer.put)

    def _read_all_shards(self) -> set[str]:
        try:
            there = dict(self._shards_by_path())
            self._there = set(there)
            return {name for name, text in there.items() if content_hash(text) == name}
        except (BotoCoreError, ClientError):
            return set()  # they are written again

    def _shards_by_path(self) -> Iterator[tuple[str, str]]:
        path = shard_parameter(self.prefix, "")
        for name, text in parameters_below(self._ssm, path.rstrip("/")):
            yield name.removeprefix(path), text

    def _delete_all_but(self, kept: frozenset[str]) -> None:
        try:
            # What others left there is looked for by each process once.
            there = {name for name, _ in self._shards_by_path()} if self._there is None else self._there
            for chunk in chunks(sorted(there - kept)):
                self._writer.wait()
                self._ssm.delete_parameters(Names=[shard_parameter(self.prefix, name) for name in chunk])
            self._there = set(kept)
        except (BotoCoreError, ClientError) as error:
            # What is left over costs nothing and is found again by the next sharded generation.
            log.warning("old shards not deleted", problem=str(error))


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
