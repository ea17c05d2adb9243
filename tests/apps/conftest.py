"""The environment of tests/wheel, for apps that have nothing else."""

from __future__ import annotations

from tests.wheel.conftest import installed, source, wheel

__all__ = ["installed", "source", "wheel"]
