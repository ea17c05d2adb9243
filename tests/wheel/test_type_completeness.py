"""The smallest package of the wheel, as a sample: `make types` does all of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.wheel.environment import Environment
from tests.wheel.pyright import PATIENCE_SECONDS, every_public_type_is_known


@pytest.mark.timeout(PATIENCE_SECONDS)
def test_pyright_knows_every_public_type_of_traefik_labels(installed: Environment, tmp_path: Path) -> None:
    every_public_type_is_known("traefik_labels", installed, tmp_path)
