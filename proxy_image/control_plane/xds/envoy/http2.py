"""HTTP/2 towards callers and targets: windows, metadata and streams, so that what one call does ends with that call.

docs/transparency.md has each default beside ours, and why.
"""

from __future__ import annotations

from typing import Any

from envoy.config.core.v3 import protocol_pb2

from proxy_image.control_plane.xds.messages import boolean, uint32
from proxy_image.metadata import MetadataLimits

# What one stream holds at each side of Envoy while its reader pauses. Envoy's own default is 16 MiB.
STREAM_WINDOW = 256 * 2**10
# All paused streams of a connection together must not fill it, or every call on the connection waits for the slowest
# reader (default: 24 MiB, less than two paused streams of Envoy's default size).
CONNECTION_WINDOW = 64 * 2**20
# What waits in Envoy for a caller's socket to take it. Beyond it Envoy holds up all streams of that connection, and
# what it has of their answers is lost where the target then ends its own (default: 1 MiB, four such streams).
CALLERS_CONNECTION_BUFFER = 8 * 2**20
# What a connection brings in a round trip. Envoy reads it until nothing is left, or the buffer above is full, before it
# turns to another: 8 MiB of calls that are cancelled at once are 40,000 streams of about 14 KiB, and more than a second
# (default: it grows to net.ipv4.tcp_rmem, 6 MiB). A stream that uploads has no larger window either.
CALLERS_RECEIVE_BUFFER = STREAM_WINDOW
# So many streams go on one connection to a target, or fewer where it says so: all of them paused fill 25 of 64 MiB,
# and Kestrel, which takes 100, refuses none. More streams go on more connections.
STREAMS_PER_TARGET_CONNECTION = 100

# Beyond so many in a row, the connection ends, and all its calls (default: 1). A peer that writes nothing may send a
# frame all the same; as a flood (CVE-2019-9518) they cost no more than frames of one byte, which nothing bounds.
EMPTY_FRAMES = 10_000

# https://www.rfc-editor.org/rfc/rfc9113.html#section-6.5.2
SETTINGS_MAX_HEADER_LIST_SIZE = 6

# HTTP/2 lets a server bound a connection's streams; a gRPC client that meets the bound queues calls without a word.
UNBOUNDED_STREAMS = 2**31 - 1


def to_callers(metadata: MetadataLimits, keepalive: Any) -> Any:
    return _options(metadata, max_concurrent_streams=uint32(UNBOUNDED_STREAMS), connection_keepalive=keepalive)


def to_targets(metadata: MetadataLimits) -> Any:
    return _options(metadata, max_concurrent_streams=uint32(STREAMS_PER_TARGET_CONNECTION))


def _options(metadata: MetadataLimits, **more: Any) -> Any:
    return protocol_pb2.Http2ProtocolOptions(
        # Peers that know the limit do not send what is beyond it: they fail that call themselves, and say why.
        custom_settings_parameters=[
            protocol_pb2.Http2ProtocolOptions.SettingsParameter(
                identifier=uint32(SETTINGS_MAX_HEADER_LIST_SIZE), value=uint32(metadata.kib * 2**10)
            )
        ],
        initial_stream_window_size=uint32(STREAM_WINDOW),
        initial_connection_window_size=uint32(CONNECTION_WINDOW),
        max_consecutive_inbound_frames_with_empty_payload=uint32(EMPTY_FRAMES),
        # A call or an answer that breaks HTTP's rules ends alone (default: the connection ends, and all its calls).
        override_stream_error_on_invalid_http_message=boolean(True),
        **more,
    )
