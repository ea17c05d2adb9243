"""The container images that a synthesised app asks for, by the hash of their assets."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from local_aws.errors import LocalAwsError
from local_aws.stand_in.ecs.podman import REPOSITORY


@dataclass(frozen=True, slots=True)
class ImageAsset:
    hash: str
    folder: Path
    """The build context."""
    dockerfile: str
    """Its path in there."""
    platform: str | None

    @property
    def tag(self) -> str:
        return f"{REPOSITORY}:{self.hash}"

    @property
    def name(self) -> str:
        """For people: the folder of its Dockerfile."""
        return Path(self.dockerfile).parent.name or self.hash[:12]

    @property
    def default_python(self) -> str | None:
        """The Python of the base image that it is built on unless told otherwise, like `3.13`."""
        text = (self.folder / self.dockerfile).read_text()
        named = re.search(r"^ARG BASE_IMAGE=(?:\S*/)?python:(\d+\.\d+)", text, re.MULTILINE)
        return named.group(1) if named is not None else None

    @property
    def requirements(self) -> Path:
        return self.folder / Path(self.dockerfile).parent / "requirements.txt"


def image_assets(assembly: Path) -> tuple[ImageAsset, ...]:
    """Those of every stack of a cloud assembly (the folder that `cdk synth` writes), each once."""
    found = {}
    for file in sorted(assembly.glob("*.assets.json")):
        for asset_hash, image in json.loads(file.read_text())["dockerImages"].items():
            source = image["source"]
            found[asset_hash] = ImageAsset(
                asset_hash,
                assembly / source["directory"],
                source.get("dockerFile", "Dockerfile"),
                source.get("platform"),
            )
    return tuple(found.values())


def check_built(assembly: Path) -> None:
    """Raises LocalAwsError unless podman has an image for every asset: what is deployed must be what was built."""
    missing = [asset for asset in image_assets(assembly) if not is_built(asset.tag)]
    if missing:
        names = ", ".join(f"{asset.name} ({asset.hash[:12]})" for asset in missing)
        raise LocalAwsError(f"every image of the app must be built before, got none for {names}; run: make containers")


def is_built(tag: str) -> bool:
    return _podman("image", "exists", tag) == 0


def _podman(*arguments: str) -> int:
    command: Sequence[str] = ("podman", *arguments)
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False).returncode
