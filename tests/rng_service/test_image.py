from __future__ import annotations

import json
import re
from pathlib import Path

from packaging.requirements import Requirement

FOLDER = Path(__file__).resolve().parents[2] / "rng_service"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
LAST_STAGE = DOCKERFILE.rpartition("FROM ")[2]


def pins(text: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_given_the_image_then_it_runs_the_server_without_root_and_without_a_shell() -> None:
    entrypoint = re.search(r"^ENTRYPOINT (.*)$", LAST_STAGE, re.MULTILINE)
    assert entrypoint is not None
    assert json.loads(entrypoint[1]) == ["python", "-m", "rng_service"]
    assert "\nUSER 10001:10001\n" in LAST_STAGE
    assert "\nWORKDIR /app\n" in LAST_STAGE
    assert "\nEXPOSE 50051\n" in LAST_STAGE


def test_given_the_image_then_pip_installs_by_hash_and_only_before_the_last_stage() -> None:
    assert "--require-hashes" in DOCKERFILE
    assert "pip" in LAST_STAGE.partition("rm -rf")[2]
    assert "install" not in LAST_STAGE


def test_given_the_requirements_of_the_image_then_they_are_those_of_a_checkout_with_hashes_and_no_registry() -> None:
    text = (FOLDER / "requirements.txt").read_text()
    pinned = pins(text)
    everything = pins((FOLDER.parent / "requirements" / "dev.txt").read_text())
    assert pinned == {name: everything[name] for name in pinned}
    wanted = [Requirement(line) for line in (FOLDER / "requirements.in").read_text().splitlines() if line[:1] != "#"]
    assert all(requirement.specifier.contains(pinned[requirement.name]) for requirement in wanted)
    assert "://" not in text
    blocks = re.split(r"\n(?=[a-z])", text.strip())
    assert all("--hash=sha256:" in block for block in blocks)
