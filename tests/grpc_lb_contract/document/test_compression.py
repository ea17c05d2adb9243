"""Shards are compressed, and what is no compressed shard is refused without harm."""

from __future__ import annotations

import base64
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpc_lb_contract import DocumentError, Index, assemble, pack, read_index
from grpc_lb_contract.document.compression import MAX_BYTES, compressed, decompressed
from grpc_lb_contract.document.records import encode_document
from grpc_lb_contract.document.shards import content_hash
from tests.grpc_lb_contract.fleets import fleet


@given(st.text(alphabet=st.characters(codec="utf-8")).map(lambda text: "{" + text))
def test_records_come_back_as_they_were(records: str) -> None:
    assert decompressed(compressed(records)) == records
    assert len(compressed(records)) <= len(records)


def test_a_large_document_takes_half_as_many_bytes() -> None:
    document = fleet(3_000)
    assert 2 * sum(map(len, pack(document).shards.values())) < len(encode_document(document))


def test_shards_that_an_older_writer_did_not_compress_are_read() -> None:
    document = fleet(100)
    lines = encode_document(document).splitlines(keepends=True)
    parts = ["".join(lines[start : start + 30]) for start in range(0, len(lines), 30)]
    generation = read_index(pack(document).index).generation
    index = Index(generation, tuple(map(content_hash, parts)))
    assert assemble(index, {content_hash(part): part for part in parts}) == document


def packed(content: bytes) -> str:
    return base64.b64encode(zlib.compress(content)).decode()


@pytest.mark.parametrize(
    "make",
    [
        lambda: "no base64",
        lambda: base64.b64encode(b"not compressed").decode(),
        lambda: packed(b"{}\n" * 100)[:-8],
        lambda: packed(b"\xff\xfe"),
        lambda: packed(b"x" * 100_000_000),
        lambda: packed(b"{}\n" * (MAX_BYTES // 3 + 1)),
        lambda: base64.b64encode(zlib.compress(b"{}\n") + b"more").decode(),
    ],
    ids=["text", "no zlib", "cut short", "no UTF-8", "bomb", "too long", "more behind"],
)
def test_what_is_no_compressed_shard_is_no_document(make: Callable[[], str]) -> None:
    text = make()
    with pytest.raises(DocumentError, match="a parameter must hold records, plain or compressed"):
        decompressed(text)
