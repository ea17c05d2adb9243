"""Who may take how many of the control plane's file descriptors."""

from __future__ import annotations

import resource
from dataclasses import dataclass

# Envoy's ADS, SSM, new targets that are tried (64 at once), files and pipes.
OWN = 128
MAX_WEB = 200
MAX_XDS = 1_300
"""More connections than streams: whoever comes while all streams are taken gets through to be served or refused."""
_LEAST = 8


@dataclass(frozen=True, slots=True)
class Shares:
    """Connections that the web server and the ADS port for gRPC clients may have at once."""

    web: int
    xds: int


def shares(descriptors: int) -> Shares:
    """Shares of so many descriptors; what is left is the control plane's own, for Envoy and for its sources."""
    rest = max(0, descriptors - OWN)
    web = max(_LEAST, min(MAX_WEB, rest // 4))
    return Shares(web=web, xds=max(_LEAST, min(MAX_XDS, rest - web)))


def of_this_process() -> Shares:
    soft, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return shares(2**20 if soft == resource.RLIM_INFINITY else soft)
