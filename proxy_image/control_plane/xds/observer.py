"""Who wants to know what happens on the ADS streams."""

from __future__ import annotations

from typing import Protocol

from proxy_image.control_plane.xds.types import Audience


class Observer(Protocol):
    """Who wants to know what happens on the streams. Types and audiences are few; nodes are not for metrics."""

    def stream_opened(self, audience: Audience) -> None: ...
    def stream_closed(self, audience: Audience, node: str) -> None: ...
    def response_sent(self, audience: Audience, resource_type: str) -> None: ...
    def rejected(self, audience: Audience, resource_type: str, node: str, error: str) -> None: ...
    def accepted(self, audience: Audience, resource_type: str, node: str) -> None: ...
    def in_use(self, audience: Audience, generation: str) -> None:
        """A client has taken all of a generation."""
