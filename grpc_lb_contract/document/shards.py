"""The document cut into SSM parameters: shards named by their content, behind one small index that is written last.

A shard's name is the hash of its text, so a new generation never overwrites a shard of the one before: a reader that
holds an index finds all of it, or notices that it does not. A document that fits beside the index is carried inside it;
shards are compressed (`grpc_lb_contract.document.compression`).
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from grpc_lb_contract.document.cause import Cause
from grpc_lb_contract.document.compression import compressed, decompressed
from grpc_lb_contract.document.index import EXPECTED, FORMAT, INCOMPLETE, Index
from grpc_lb_contract.document.model import Document
from grpc_lb_contract.document.parameter_json import parameter_json
from grpc_lb_contract.document.per_service import PerService
from grpc_lb_contract.document.records import decode_document, encode_document
from grpc_lb_contract.errors import (
    DocumentTooLarge,
    MissingShard,
    MixedGenerations,
)

# Standard tier: https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm
MAX_PARAMETER_BYTES = 4096

# A shard may end after any record whose checksum is a multiple of this, once it has about this many bytes. Cuts that
# depend on content, not on position, leave the other shards as they are when a target comes or goes, so little is
# written.
CUT_EVERY_RECORDS = 8
CUT_FROM_BYTES = 3072
CUT_AT_BYTES = 3900

# About what compression leaves: of a target its random task id, of other records their names. Where that is too little,
# a shard is cut again.
TARGET_BYTES = 36
SHARE_OF_OTHERS = 0.3

HASH_BYTES = 16

_ROOM_FOR_EXPECTED = {EXPECTED: 9_999_999_999}

_compressed = lru_cache(maxsize=512)(compressed)
"""Most shards are those of the generation before."""


@dataclass(frozen=True, slots=True)
class Packed:
    """The texts to write: every shard under its name, then the index. Each is at most `MAX_PARAMETER_BYTES` long."""

    index: str
    shards: Mapping[str, str]
    generation: str


def pack(
    document: Document,
    cause: Cause | None = None,
    *,
    changes_expected_until: float | None = None,
    cluster: str = "",
    prefix: str = "",
    serial: int = 0,
    incomplete: bool = False,
    texts: PerService[str] | None = None,
) -> Packed:
    """Cut a document into parameters. The cause has what room the index leaves; `changes_expected_until`, in seconds
    since 1970, is rounded to whole ones and always has room, so that it never moves the cuts. `incomplete` says that
    services are missing. `texts` are those of a writer that follows a document.

    Raises `DocumentTooLarge` where one index cannot name all its shards.
    """
    text = encode_document(document, texts)
    generation = _generation(text)
    source = {"cluster": cluster, "prefix": prefix, "serial": serial}
    fields: dict[str, object] = {"format": FORMAT, "generation": generation}
    fields |= {name: value for name, value in source.items() if value}
    fields |= {INCOMPLETE: True} if incomplete else {}
    expected = {} if changes_expected_until is None else {EXPECTED: round(changes_expected_until)}
    if _size(_index_line(fields | _ROOM_FOR_EXPECTED) + text) <= MAX_PARAMETER_BYTES:
        return Packed(_with_cause(_index_line(fields | expected) + text, cause), {}, generation)
    named = [(content_hash(shard), shard) for shard in _cut(text)]
    shards = dict(named)
    fields["shards"] = " ".join(name for name, _ in named)
    size = _size(_index_line(fields | _ROOM_FOR_EXPECTED))
    if size > MAX_PARAMETER_BYTES:
        targets = sum(len(service.targets) for service in document.services)
        raise DocumentTooLarge(
            f"the index of a document must be at most {MAX_PARAMETER_BYTES} bytes, got {size} for "
            f"{len(shards)} shards ({len(document.services)} services, {targets} targets); "
            "put some services into another cluster"
        )
    return Packed(_with_cause(_index_line(fields | expected), cause), shards, generation)


def share_of_limit(shards: Sequence[str]) -> float:
    """How much of what an index can name these shards take, 0 to 1. A document inside its index counts as one shard."""
    names = list(shards) or [content_hash("")]
    fields = {"format": FORMAT, "generation": _generation(""), "shards": " ".join(names)}
    return _size(_index_line(fields)) / MAX_PARAMETER_BYTES


def _with_cause(index: str, cause: Cause | None) -> str:
    line, _, rest = index.partition("\n")
    while cause is not None:
        caused = _index_line(json.loads(line) | {"cause": cause.index_fields()}) + rest
        if _size(caused) <= MAX_PARAMETER_BYTES:
            return caused
        cause = cause.shorter()
    return index


def assemble(index: Index, shards: Mapping[str, str], decode: Callable[[str], Document] = decode_document) -> Document:
    """The document of an index and its shards (by name; more than the index names do no harm).

    `decode` may be that of a `DocumentDecoder`, for a reader that follows a document.

    Raises `MissingShard` or `MixedGenerations` where the shards are not the ones that the index names, `DocumentError`
    where they hold no document.
    """
    text = index.inline if index.inline is not None else "".join(_checked(name, shards) for name in index.shards)
    if _generation(text) != index.generation:
        raise MixedGenerations(f"the document must be of generation {index.generation}, got {_generation(text)}")
    return decode(text)


def generation_of(document: Document) -> str:
    """32 hex digits that name a document's content: never a clock, so the same content has the same generation."""
    return _generation(encode_document(document))


def content_hash(text: str) -> str:
    """The name of a shard: 128 bits of SHA-256, in the 22 characters that leave the index room for most shards."""
    return base64.urlsafe_b64encode(_sha256(text)).decode().rstrip("=")


def _generation(text: str) -> str:
    return _sha256(text).hex()


def _sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogatepass")).digest()[:HASH_BYTES]


def index_parameter(prefix: str) -> str:
    return f"{prefix}/index"


def shard_parameter(prefix: str, name: str) -> str:
    return f"{prefix}/shards/{name}"


def _checked(name: str, shards: Mapping[str, str]) -> str:
    if name not in shards:
        raise MissingShard(f"shard {name} is missing")
    if content_hash(shards[name]) != name:
        raise MixedGenerations(f"shard {name} must hold the content of that hash, got {content_hash(shards[name])}")
    return decompressed(shards[name])


def _cut(text: str) -> Iterator[str]:
    for records in _by_content(text.splitlines(keepends=True)):
        yield from _fitting(records)


def _by_content(records: Sequence[str]) -> Iterator[Sequence[str]]:
    shard: list[str] = []
    size = 0.0
    for record in records:
        more = TARGET_BYTES if record.startswith("[") else SHARE_OF_OTHERS * len(record)
        if shard and size + more > CUT_AT_BYTES:
            yield shard
            shard, size = [], 0.0
        shard.append(record)
        size += more
        if size >= CUT_FROM_BYTES and zlib.crc32(record.encode()) % CUT_EVERY_RECORDS == 0:
            yield shard
            shard, size = [], 0.0
    if shard:
        yield shard


def _fitting(records: Sequence[str]) -> Iterator[str]:
    """A single record is taken as it is: none is so long."""
    text = _compressed("".join(records))
    if len(text) <= MAX_PARAMETER_BYTES or len(records) == 1:
        yield text
        return
    middle = len(records) // 2
    yield from _fitting(records[:middle])
    yield from _fitting(records[middle:])


def _index_line(fields: Mapping[str, object]) -> str:
    return parameter_json(fields) + "\n"


def _size(text: str) -> int:
    return len(text.encode())
