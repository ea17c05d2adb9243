"""Container images as folders: what the docker stub records, and what a Dockerfile says to run.

No image is ever built. `cdk deploy` publishes each image asset through CDK_DOCKER; the stub notes which folder the
image is made from, and the launcher runs the Dockerfile's command in that very folder.
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from local_aws.errors import LocalAwsError


@dataclass(frozen=True, slots=True)
class Image:
    """What a task runs: a folder in the place of the image's file system."""

    context: Path
    entrypoint: tuple[str, ...]
    command: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=dict)


class ImageStore:
    """Image references to folders, a small file each, so that the stub's short-lived processes share them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def record(self, reference: str, context: Path, dockerfile: Path, target: str | None) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        made = {"context": str(context), "dockerfile": str(dockerfile), "target": target}
        self._file(reference).write_text(json.dumps(made))

    def tag(self, source: str, reference: str) -> None:
        self._file(reference).write_text(self._file(source).read_text())

    def knows(self, reference: str) -> bool:
        return self._file(reference).exists()

    def find(self, reference: str) -> Image:
        if not self.knows(reference):
            raise LocalAwsError(
                f"an image must be built from an asset of the app to run as a process, got {reference}; "
                "use ContainerImage.from_asset"
            )
        made = json.loads(self._file(reference).read_text())
        return read_dockerfile(Path(made["dockerfile"]).read_text(), Path(made["context"]), made["target"])

    def _file(self, reference: str) -> Path:
        # Without the registry's name, which the deploy and the template may spell in two ways.
        return self._folder / (re.sub(r"[^\w.-]", "_", reference.rpartition("/")[2]) + ".json")


def read_dockerfile(text: str, context: Path, target: str | None = None) -> Image:
    """What the wanted stage (the last one unless a target is named) runs. Later lines win, as in docker build."""
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    environment: dict[str, str] = {}
    stage: str | None = None
    for instruction, value in _instructions(text):
        if instruction == "FROM":
            if target is not None and stage == target:
                break
            named = re.search(r"\sAS\s+(\S+)\s*$", value, re.IGNORECASE)
            stage = named.group(1) if named else None
            entrypoint, command, environment = (), (), {}
        elif instruction == "ENTRYPOINT":
            entrypoint, command = _words(value), ()
        elif instruction == "CMD":
            command = _words(value)
        elif instruction == "ENV":
            environment |= _environment(value)
    return Image(context, entrypoint, command, environment)


def _instructions(text: str) -> list[tuple[str, str]]:
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    whole = re.sub(r"\\[ \t]*\n", " ", "\n".join(lines))
    split = (line.strip().split(None, 1) for line in whole.splitlines() if line.strip())
    return [(words[0].upper(), words[1] if len(words) > 1 else "") for words in split]


def _words(value: str) -> tuple[str, ...]:
    """The JSON form as it is; the shell form as docker runs it."""
    if value.startswith("["):
        return tuple(json.loads(value))
    return ("/bin/sh", "-c", value)


def _environment(value: str) -> dict[str, str]:
    words = shlex.split(value)
    if "=" not in words[0]:  # the old form: ENV NAME the rest
        return {words[0]: value.split(None, 1)[1]}
    return dict(word.split("=", 1) for word in words)
