"""Small helpers to write protobuf messages, and two fields that the Python package does not know yet."""

from __future__ import annotations

import hashlib
import struct
from typing import Any

from envoy.type.v3 import percent_pb2
from google.protobuf import any_pb2, duration_pb2, wrappers_pb2
from google.protobuf.message import Message


def duration(seconds: float) -> duration_pb2.Duration:
    message = duration_pb2.Duration()
    message.FromNanoseconds(round(seconds * 1_000_000_000))
    return message


def uint32(value: int) -> wrappers_pb2.UInt32Value:
    return wrappers_pb2.UInt32Value(value=value)


def uint64(value: int) -> wrappers_pb2.UInt64Value:
    return wrappers_pb2.UInt64Value(value=value)


def boolean(value: bool) -> wrappers_pb2.BoolValue:
    return wrappers_pb2.BoolValue(value=value)


def fraction(percent: float) -> Any:
    return percent_pb2.FractionalPercent(
        numerator=round(percent * 10_000), denominator=percent_pb2.FractionalPercent.MILLION
    )


def packed(message: Message) -> any_pb2.Any:
    """The message in an Any, with equal bytes for equal messages."""
    envelope = any_pb2.Any()
    envelope.Pack(message, deterministic=True)
    return envelope


def content_version(envelope: any_pb2.Any) -> str:
    return hashlib.sha256(envelope.value).hexdigest()[:16]


def with_connection_duration_jitter(options: Any, percent: float) -> Any:
    """`core.v3.HttpProtocolOptions` with `max_connection_duration_jitter` (field 8, a `type.v3.Percent`).

    Envoy 1.40 has the field, xds-protos 1.85 does not: its bytes are added, and protobuf carries unknown fields along.
    """
    as_percent = b"\x09" + struct.pack("<d", percent)  # Percent.value: field 1, a double
    return type(options).FromString(options.SerializeToString() + b"\x42" + bytes([len(as_percent)]) + as_percent)


def with_stats_scope(options: Any, prefix: str, most: int) -> Any:
    """`access_loggers.stats.v3.Config` with `stats_scope` (field 6, a `type.v3.Scope`) of so many series of each kind.

    Envoy 1.40 has the field, as above.
    """
    limit, name = uint32(most).SerializeToString(), prefix.encode()
    # Scope.max_counters, max_histograms and prefix: fields 1, 3 and 5.
    scope = b"".join(
        tag + bytes([len(part)]) + part for tag, part in ((b"\x0a", limit), (b"\x1a", limit), (b"\x2a", name))
    )
    return type(options).FromString(options.SerializeToString() + b"\x32" + bytes([len(scope)]) + scope)
