"""Publish: the target document in SSM, shards first, the index last, and nothing that is there already."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from grpc_lb_contract import (
    Cause,
    Diagnostics,
    Document,
    DocumentError,
    DocumentTooLarge,
    Index,
    Packed,
    UnknownFormat,
    assemble,
    generation_of,
    index_parameter,
    pack,
    read_index,
    shard_parameter,
)
from lambda_src import log

if TYPE_CHECKING:
    from mypy_boto3_ssm import SSMClient

# The most that GetParameters, GetParametersByPath and DeleteParameters take or give at once:
# https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameters.html
PARAMETERS_PER_CALL = 10


@dataclass(frozen=True, slots=True)
class Stored:
    """What is published. `document` is None where there is none, or where it is `unreadable`. `cause` and
    `changes_expected_until` are the index's.
    """

    document: Document | None = None
    generation: str | None = None
    shards: tuple[str, ...] = ()
    unreadable: bool = False
    cause: Cause | None = None
    changes_expected_until: float | None = None


@dataclass(frozen=True, slots=True)
class Published:
    """`writes` counts the parameters written: 0 where nothing had to be."""

    stored: Stored
    writes: int


class ParameterStore:
    """The document under one prefix. The content of shards is kept, so that a warm process reads the index alone."""

    def __init__(self, ssm: SSMClient, prefix: str) -> None:
        self._ssm = ssm
        self._prefix = prefix
        self._index_name = index_parameter(prefix)
        self._last: tuple[str, Stored] | None = None
        self._shards: Mapping[str, str] = {}
        self._written: set[str] = set()
        self._written_beside: str | None = None

    def read(self, *, anew: bool = False) -> Stored:
        """What is there. With `anew` every shard is read again, so that one which got lost is noticed.

        Raises `UnknownFormat` for a document of another major version, which must not be overwritten by this one.
        """
        text = self._index_text()
        if text != self._written_beside:
            # Another writer may have deleted what no index names.
            self._written.clear()
            self._written_beside = text
        if text is None:
            return Stored()
        if self._last is not None and self._last[0] == text and not anew:
            return self._last[1]
        stored = self._assembled(text, anew)
        self._last = (text, stored)
        return stored

    def publish(
        self,
        document: Document,
        stored: Stored,
        cause: Cause | None = None,
        *,
        changes_expected_until: float | None = None,
    ) -> Published:
        """Write the document, where it is not what is `stored`, whatever the cause; of the same document the index
        alone, where other changes are expected. Raises `DocumentTooLarge`, or botocore's error, and then readers still
        have what was there.
        """
        until = changes_expected_until
        if stored.document is not None and stored.generation == generation_of(document):
            return self._announce(stored.document, stored, until)
        document, packed = _packed(document, cause, until)
        if stored.document == document:
            return self._announce(document, stored, until)
        there = frozenset(stored.shards) if stored.document is not None else frozenset[str]()
        new = [name for name in packed.shards if name not in there]
        for name in new:
            # Not again what an attempt wrote that failed later: PutParameter allows but about three a second.
            if name not in self._written:
                self._put(shard_parameter(self._prefix, name), packed.shards[name])
                self._written.add(name)
        self._put(self._index_name, packed.index)
        self._written.clear()
        published = Stored(
            document, generation_of(document), tuple(packed.shards), cause=cause, changes_expected_until=until
        )
        self._last, self._shards = (packed.index, published), packed.shards
        if packed.shards:
            # Readers that got the index before this one are reading the shards that it names.
            self._delete_all_but(frozenset(packed.shards) | frozenset(stored.shards))
        return Published(published, writes=len(new) + 1)

    def _announce(self, document: Document, stored: Stored, until: float | None) -> Published:
        if stored.changes_expected_until == until:
            return Published(stored, writes=0)
        packed = pack(document, stored.cause, changes_expected_until=until)
        self._put(self._index_name, packed.index)
        announced = replace(stored, changes_expected_until=until)
        self._last = packed.index, announced
        return Published(announced, writes=1)

    def _index_text(self) -> str | None:
        try:
            return self._ssm.get_parameter(Name=self._index_name)["Parameter"]["Value"]
        except self._ssm.exceptions.ParameterNotFound:
            return None

    def _assembled(self, text: str, anew: bool) -> Stored:
        index: Index | None = None
        try:
            index = read_index(text)
            self._shards = self._read_shards(index.shards, {} if anew else self._shards)
            return Stored(
                assemble(index, self._shards),
                index.generation,
                index.shards,
                cause=index.cause,
                changes_expected_until=index.changes_expected_until,
            )
        except UnknownFormat as error:
            raise UnknownFormat(f"{error} (parameter {self._index_name}; nothing was written)") from error
        except DocumentError as error:
            log.error("published document unreadable", parameter=self._index_name, problem=str(error))
            return Stored(shards=() if index is None else index.shards, unreadable=True)

    def _read_shards(self, names: Sequence[str], known: Mapping[str, str]) -> dict[str, str]:
        shards = {name: known[name] for name in names if name in known}
        by_parameter = {shard_parameter(self._prefix, name): name for name in names if name not in known}
        for chunk in _chunks(list(by_parameter)):
            for parameter in self._ssm.get_parameters(Names=chunk)["Parameters"]:
                shards[by_parameter[parameter["Name"]]] = parameter["Value"]
        return shards

    def _put(self, name: str, text: str) -> None:
        self._ssm.put_parameter(Name=name, Value=text, Type="String", Tier="Standard", Overwrite=True)

    def _delete_all_but(self, kept: frozenset[str]) -> None:
        keep = {shard_parameter(self._prefix, name) for name in kept}
        try:
            pages = self._ssm.get_paginator("get_parameters_by_path").paginate(
                Path=shard_parameter(self._prefix, "").rstrip("/"),
                PaginationConfig={"PageSize": PARAMETERS_PER_CALL},
            )
            there = {parameter["Name"] for page in pages for parameter in page["Parameters"]}
            for chunk in _chunks(sorted(there - keep)):
                self._ssm.delete_parameters(Names=chunk)
        except (BotoCoreError, ClientError) as error:
            # What is left over costs nothing and is found again by the next sharded generation.
            log.warning("old shards not deleted", problem=str(error))


def _packed(document: Document, cause: Cause | None, until: float | None) -> tuple[Document, Packed]:
    try:
        return document, pack(document, cause, changes_expected_until=until)
    except DocumentTooLarge:
        if document.diagnostics == Diagnostics():
            raise
        # What labels were rejected must not cost a target its place.
        without_notes = replace(document, diagnostics=Diagnostics())
        return without_notes, pack(without_notes, cause, changes_expected_until=until)


def _chunks(names: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(names), PARAMETERS_PER_CALL):
        yield names[start : start + PARAMETERS_PER_CALL]
