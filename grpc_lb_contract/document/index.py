"""The index of a document: the one small parameter that readers poll, and what they accept of it.

    {"format":1,"generation":"5dff83080d155c3bfe7a2b2e3c5ad2a1","cluster":"arn:aws:ecs:…:cluster/main",
     "prefix":"/grpc-lb/main","serial":1790000000610,"changes_expected_until":1790000300,"cause":{"kind":"event",…}}
    …the document's records, or none where the index has "shards":"…"

`cluster`, `prefix` and `serial`, which grows with every index that is written, tell a reader an index that was copied
from elsewhere, or put back: `check_source`.

`"incomplete":true` says that the Lambda has no document to start from and is still reading task definitions: services
are missing that have targets. A reader that has a whole document keeps it.

`cause`, `changes_expected_until` and `incomplete` stand beside the generation and are no part of what it names: an
index may be written again with the same generation, because changes are expected now, or no longer.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass

from grpc_lb_contract.document.cause import Cause, read_cause
from grpc_lb_contract.errors import DocumentError, ForeignIndex, OldIndex, UnknownFormat

FORMAT = 1
"""Major version of the document's format. Readers refuse any other; additions do not change it."""

MAX_EXPECTED_SECONDS = 600.0
"""Changes are announced for at most this long at a time: what is further in the future comes from a wrong clock."""

MAX_SERIAL = 2**53
"""Milliseconds since 1970 come to it in a quarter of a million years: no writer counts so far."""

EXPECTED = "changes_expected_until"
INCOMPLETE = "incomplete"

_SHARD_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Index:
    """What a reader polls. `inline` is the whole document's text where it fits; else it is None, and `shards` name its
    parts in their order. `cause` is why it was published, None where the index does not say.

    `changes_expected_until`, in seconds since 1970, is set while the Lambda knows that targets are about to change:
    tasks start or stop, or a deployment runs. The Lambda prolongs it while that lasts, and removes it when it is over.

    `cluster` is the ARN of the cluster whose targets these are, `prefix` where the document lies, "" where not said;
    `serial` is larger than that of every index before.
    """

    generation: str
    shards: tuple[str, ...] = ()
    inline: str | None = None
    cause: Cause | None = None
    changes_expected_until: float | None = None
    cluster: str = ""
    prefix: str = ""
    serial: int = 0
    incomplete: bool = False
    """Whether services are missing: the writer had no document to start from, and will add them."""

    def expects_changes(self, now: float) -> bool:
        """Whether to poll fast; `now` is in seconds since 1970."""
        until = self.changes_expected_until
        return until is not None and now < until <= now + MAX_EXPECTED_SECONDS


def read_index(text: str) -> Index:
    """Read an index. Raises `UnknownFormat` for another major version, `DocumentError` for what is no index."""
    line, newline, inline = text.partition("\n")
    try:
        fields = json.loads(line)
        known = fields["format"], fields["generation"], fields.get("shards", "")
        cause, until = read_cause(fields.get("cause")), _moment(fields.get(EXPECTED))
        cluster, prefix, serial = (fields.get(name) for name in ("cluster", "prefix", "serial"))
        incomplete = fields.get(INCOMPLETE) is True
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
        raise DocumentError(
            f"the index must start with a line of JSON that says its format, got {line[:120]!r}"
        ) from None
    version, generation, names = known
    if isinstance(version, bool) or not isinstance(version, int) or version != FORMAT:
        raise UnknownFormat(
            f"the format of the document must be {FORMAT}, got {version!r}; update the balancer or the Lambda, so that "
            "both are of the same major version"
        )
    if not isinstance(generation, str) or not isinstance(names, str) or not newline:
        raise DocumentError(f"the index must name its generation and shards, got {line[:120]!r}")
    shards = tuple(names.split())
    odd = [name for name in shards if _SHARD_NAME.fullmatch(name) is None]
    if odd:
        raise DocumentError(f"the index must name shards by letters, digits, - and _, got {odd[0][:120]!r}")
    return Index(
        generation,
        shards,
        None if shards else inline,
        cause,
        until,
        cluster if isinstance(cluster, str) else "",
        prefix if isinstance(prefix, str) else "",
        serial if isinstance(serial, int) and not isinstance(serial, bool) and 0 <= serial <= MAX_SERIAL else 0,
        incomplete,
    )


def check_source(index: Index, *, prefix: str, accepted: Index | None = None) -> None:
    """Whether an index may follow the one that a reader has `accepted` before, if any.

    Raises `ForeignIndex` for one that was written for another prefix or cluster, `OldIndex` for one that was written
    before the accepted one and names another generation.
    """
    if index.prefix and index.prefix != prefix:
        raise ForeignIndex(f"the index must be of the prefix {prefix}, got one of {index.prefix}: who copied it?")
    if accepted is None:
        return
    if accepted.cluster and index.cluster != accepted.cluster:
        got = index.cluster or "one that names none"
        raise ForeignIndex(f"the index must be of the cluster {accepted.cluster}, got {got}: who copied it?")
    if index.serial < accepted.serial and index.generation != accepted.generation:
        raise OldIndex(
            f"the serial of the index must be {accepted.serial} or more, got {index.serial}: who put an old one back?"
        )


def _moment(value: object) -> float | None:
    """None for what is no moment: a newer writer's, or spoilt. No reader needs it to serve."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    try:
        moment = float(value)
    except OverflowError:
        return None
    return moment if math.isfinite(moment) else None
