"""The document cut into SSM parameters: shards named by their content, behind one small index that is written last.

A shard's name is the hash of its text, so a new generation never overwrites a shard of the one before: a reader that
holds an index finds all of it, or notices that it does not. A document that fits beside the index is carried inside it.

    {"format":1,"generation":"5dff83080d155c3b","changes_expected_until":1790000300,"cause":{"kind":"event",…}}
    …the document's records, or none where the index has "shards":"…"

`cause` and `changes_expected_until` stand beside the generation and are no part of what it names: an index may be
written again with the same generation, because changes are expected now, or no longer.
"""

from __future__ import annotations

import hashlib
import json
import math
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

MAX_EXPECTED_SECONDS = 600.0
"""Changes are announced for at most this long at a time: what is further in the future comes from a wrong clock."""


EXPECTED = "changes_expected_until"
ROOM_FOR_EXPECTED = {EXPECTED: 9_999_999_999}


@dataclass(frozen=True, slots=True)
class Index:
    """What a reader polls. `inline` is the whole document's text where it fits; else it is None, and `shards` name its
    parts in their order. `cause` is why it was published, None where the index does not say.

    `changes_expected_until`, in seconds since 1970, is set while the Lambda knows that targets are about to change:
    tasks start or stop, or a deployment runs. The Lambda prolongs it while that lasts, and removes it when it is over.
    """

    generation: str
    shards: tuple[str, ...] = ()
    inline: str | None = None
    cause: Cause | None = None
    changes_expected_until: float | None = None

    def expects_changes(self, now: float) -> bool:
        """Whether to poll fast; `now` is in seconds since 1970."""
        until = self.changes_expected_until
        return until is not None and now < until <= now + MAX_EXPECTED_SECONDS


@dataclass(frozen=True, slots=True)
class Packed:
    """The texts to write: every shard under its name, then the index. Each is at most `MAX_PARAMETER_BYTES` long."""

    index: str
    shards: Mapping[str, str]


def pack(document: Document, cause: Cause | None = None, *, changes_expected_until: float | None = None) -> Packed:
    """Cut a document into parameters. The cause has what room the index leaves; `changes_expected_until`, in seconds
    since 1970, is rounded to whole ones and always has room, so that it never moves the cuts.

    Raises `DocumentTooLarge` where one index cannot name all its shards.
    """
    text = encode_document(document)
    generation = content_hash(text)
    fields: dict[str, object] = {"format": FORMAT, "generation": generation}
    expected = {} if changes_expected_until is None else {EXPECTED: round(changes_expected_until)}
    if _size(_index_line(fields | ROOM_FOR_EXPECTED) + text) <= MAX_PARAMETER_BYTES:
        return Packed(_with_cause(_index_line(fields | expected) + text, cause), {})
    named = [(content_hash(shard), shard) for shard in _cut(text)]
    shards = dict(named)
    fields["shards"] = " ".join(name for name, _ in named)
    size = _size(_index_line(fields | ROOM_FOR_EXPECTED))
    if size > MAX_PARAMETER_BYTES:
        targets = sum(len(service.targets) for service in document.services)
        raise DocumentTooLarge(
            f"the index of a document must be at most {MAX_PARAMETER_BYTES} bytes, got {size} for "
            f"{len(shards)} shards ({len(document.services)} services, {targets} targets); "
            "put some services into another cluster"
        )
    return Packed(_with_cause(_index_line(fields | expected), cause), shards)


def share_of_limit(shards: Sequence[str]) -> float:
    """How much of what an index can name these shards take, 0 to 1. A document inside its index counts as one shard."""
    names = list(shards) or [content_hash("")]
    fields = {"format": FORMAT, "generation": content_hash(""), "shards": " ".join(names)}
    index = _index_line(fields | ROOM_FOR_EXPECTED)
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
        cause, until = read_cause(fields.get("cause")), _moment(fields.get(EXPECTED))
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
    return Index(generation, shards, None if shards else inline, cause, until)


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


def _moment(value: object) -> float | None:
    """None for what is no moment: a newer writer's, or spoilt. No reader needs it to serve."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        moment = float(value)
    except OverflowError:
        return None
    return moment if math.isfinite(moment) else None


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
