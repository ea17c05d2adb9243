"""The document cut into SSM parameters: shards named by their content, behind one small index that is written last.

A shard's name is the hash of its text, so a new generation never overwrites a shard of the one before: a reader that
holds an index finds all of it, or notices that it does not. A document that fits beside the index is carried inside it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from grpc_lb_contract.document.cause import Cause, read_cause
from grpc_lb_contract.document.model import Document
from grpc_lb_contract.document.records import decode_document, encode_document
from grpc_lb_contract.errors import DocumentError, DocumentTooLarge, MissingShard, MixedGenerations, UnknownFormat

FORMAT = 1
"""Major version of the document's format. Readers refuse any other; additions do not change it."""

# Standard tier: https://docs.aws.amazon.com/general/latest/gr/ssm.html#limits_ssm
MAX_PARAMETER_BYTES = 4096

# A shard may end after any record whose checksum is a multiple of this, once it has this many bytes. Cuts that depend
# on content, not on position, leave the other shards as they are when a target comes or goes, so little is written.
CUT_EVERY_RECORDS = 16
CUT_FROM_BYTES = 2048


@dataclass(frozen=True, slots=True)
class Index:
    """What a reader polls. `inline` is the whole document's text where it fits; else it is None, and `shards` name its
    parts in their order. `cause` is why it was published, None where the index does not say.
    """

    generation: str
    shards: tuple[str, ...] = ()
    inline: str | None = None
    cause: Cause | None = None


@dataclass(frozen=True, slots=True)
class Packed:
    """The texts to write: every shard under its name, then the index. Each is at most `MAX_PARAMETER_BYTES` long."""

    index: str
    shards: Mapping[str, str]


def pack(document: Document, cause: Cause | None = None) -> Packed:
    """Cut a document into parameters. The cause has what room the index leaves.

    Raises `DocumentTooLarge` where one index cannot name all its shards.
    """
    text = encode_document(document)
    generation = content_hash(text)
    inline = _index_line({"format": FORMAT, "generation": generation}) + text
    if _size(inline) <= MAX_PARAMETER_BYTES:
        return Packed(_with_cause(inline, cause), {})
    named = [(content_hash(shard), shard) for shard in _cut(text)]
    shards = dict(named)
    index = _index_line({"format": FORMAT, "generation": generation, "shards": " ".join(name for name, _ in named)})
    if _size(index) > MAX_PARAMETER_BYTES:
        targets = sum(len(service.targets) for service in document.services)
        raise DocumentTooLarge(
            f"the index of a document must be at most {MAX_PARAMETER_BYTES} bytes, got {_size(index)} for "
            f"{len(shards)} shards ({len(document.services)} services, {targets} targets); "
            "put some services into another cluster"
        )
    return Packed(_with_cause(index, cause), shards)


def share_of_limit(shards: Sequence[str]) -> float:
    """How much of what an index can name these shards take, 0 to 1. A document inside its index counts as one shard."""
    names = list(shards) or [content_hash("")]
    index = _index_line({"format": FORMAT, "generation": content_hash(""), "shards": " ".join(names)})
    return _size(index) / MAX_PARAMETER_BYTES


def _with_cause(index: str, cause: Cause | None) -> str:
    line, _, rest = index.partition("\n")
    while cause is not None:
        caused = _index_line(json.loads(line) | {"cause": cause.fields()}) + rest
        if _size(caused) <= MAX_PARAMETER_BYTES:
            return caused
        cause = cause.with_fewer_tasks() if cause.tasks else None
    return index


def read_index(text: str) -> Index:
    """Read an index. Raises `UnknownFormat` for another major version, `DocumentError` for what is no index."""
    line, newline, inline = text.partition("\n")
    try:
        fields = json.loads(line)
        known = fields["format"], fields["generation"], fields.get("shards", "")
        cause = read_cause(fields.get("cause"))
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise DocumentError(
            f"the index must start with a line of JSON that says its format, got {line[:120]!r}"
        ) from None
    version, generation, names = known
    if version != FORMAT:
        raise UnknownFormat(
            f"the format of the document must be {FORMAT}, got {version!r}; update the balancer or the Lambda, so that "
            "both are of the same major version"
        )
    if not isinstance(generation, str) or not isinstance(names, str) or not newline:
        raise DocumentError(f"the index must name its generation and shards, got {line[:120]!r}")
    shards = tuple(names.split())
    return Index(generation, shards, None if shards else inline, cause)


def assemble(index: Index, shards: Mapping[str, str], decode: Callable[[str], Document] = decode_document) -> Document:
    """The document of an index and its shards (by name; more than the index names do no harm).

    `decode` may be that of a `DocumentDecoder`, for a reader that follows a document.

    Raises `MissingShard` or `MixedGenerations` where the shards are not the ones that the index names, `DocumentError`
    where they hold no document.
    """
    text = index.inline if index.inline is not None else "".join(_checked(name, shards) for name in index.shards)
    if content_hash(text) != index.generation:
        raise MixedGenerations(f"the document must be of generation {index.generation}, got {content_hash(text)}")
    return decode(text)


def generation_of(document: Document) -> str:
    """16 hex digits that name a document's content: never a clock, so the same content has the same generation."""
    return content_hash(encode_document(document))


def content_hash(text: str) -> str:
    """16 hex digits of SHA-256."""
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]


def index_parameter(prefix: str) -> str:
    return f"{prefix}/index"


def shard_parameter(prefix: str, name: str) -> str:
    return f"{prefix}/shards/{name}"


def _checked(name: str, shards: Mapping[str, str]) -> str:
    if name not in shards:
        raise MissingShard(f"shard {name} is missing")
    if content_hash(shards[name]) != name:
        raise MixedGenerations(f"shard {name} must hold the content of that hash, got {content_hash(shards[name])}")
    return shards[name]


def _cut(text: str) -> Iterator[str]:
    shard, size = "", 0
    for record in text.splitlines(keepends=True):
        if size + _size(record) > MAX_PARAMETER_BYTES:
            yield shard
            shard, size = "", 0
        shard, size = shard + record, size + _size(record)
        if size >= CUT_FROM_BYTES and zlib.crc32(record.encode()) % CUT_EVERY_RECORDS == 0:
            yield shard
            shard, size = "", 0
    if shard:
        yield shard


def _index_line(fields: Mapping[str, object]) -> str:
    return json.dumps(fields, separators=(",", ":")) + "\n"


def _size(text: str) -> int:
    return len(text.encode())
