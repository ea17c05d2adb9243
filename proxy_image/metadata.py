"""How much metadata one call may have, in each direction."""

from __future__ import annotations

from dataclasses import dataclass

DEFAULT_KIB, DEFAULT_ENTRIES = 1024, 2000
# What Envoy takes: HttpConnectionManager.max_request_headers_kb.
MIN_KIB, MAX_KIB = 8, 8192
# A call has about a dozen entries of its own.
MIN_ENTRIES, MAX_ENTRIES = 50, 20_000


@dataclass(frozen=True, slots=True)
class MetadataLimits:
    """The most metadata of one call in each direction: beyond it Envoy resets that call's stream, and no other."""

    kib: int = DEFAULT_KIB
    entries: int = DEFAULT_ENTRIES


DEFAULT_METADATA = MetadataLimits()
