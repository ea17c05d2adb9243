"""Records compressed into the text of one parameter, and back: fewer parameters to write, and more targets in all.

SSM lets an account write but three parameters a second. Of a target's record, compressed, about half is left: its task
id is random. Text that compression makes no shorter stays as it is; records begin with { or [, which base64 has not.
"""

from __future__ import annotations

import base64
import binascii
import zlib

from grpc_lb_contract.errors import DocumentError

MAX_BYTES = 64 * 1024
"""Of a shard's records: whoever spoils a shard must not take its readers' memory."""


def compressed(records: str) -> str:
    """The shorter of the records and their compressed form."""
    packed = base64.b64encode(zlib.compress(records.encode(), 9)).decode()
    return packed if len(packed) < len(records) else records


def decompressed(text: str, max_bytes: int = MAX_BYTES) -> str:
    """The records of a text. Raises `DocumentError` where it is none, or holds more than any writer puts there: by
    default what a shard holds.
    """
    if not text or text[0] in "{[":
        return text
    try:
        packed = zlib.decompressobj()
        records = packed.decompress(base64.b64decode(text, validate=True), max_bytes).decode()
    except (ValueError, zlib.error, binascii.Error) as error:
        raise DocumentError(f"a parameter must hold records, plain or compressed, got {text[:40]!r}: {error}") from None
    if not packed.eof or packed.unused_data:
        raise DocumentError(
            f"a parameter must hold records, plain or compressed, of at most {max_bytes} bytes, got {text[:40]!r}"
        )
    return records
