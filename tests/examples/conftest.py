"""The environment of tests/wheel, and each example synthesised in it once."""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.wheel.conftest import installed, source, wheel
from tests.wheel.environment import CDK, HERE, PATIENCE_SECONDS, ROOT, Environment

__all__ = ["installed", "source", "wheel"]

EXAMPLES = ROOT / "examples"


@dataclass(frozen=True, slots=True)
class Synth:
    """What came of an app with one stack."""

    output: Path

    def read(self, pattern: str) -> dict[str, Any]:
        (path,) = self.output.glob(pattern)
        found = json.loads(path.read_text())
        assert isinstance(found, dict)
        return found

    @property
    def manifest(self) -> dict[str, Any]:
        return self.read("manifest.json")

    @property
    def template(self) -> dict[str, Any]:
        return self.read("*.template.json")

    @property
    def annotations(self) -> list[Any]:
        """The warnings and errors of constructs, as the CDK CLI would print them."""
        artifacts = self.manifest["artifacts"].values()
        # New versions of the CDK write it beside the manifest.
        metadata = [artifact.get("metadata", {}) for artifact in artifacts]
        metadata += [
            self.read(each["additionalMetadataFile"]) for each in artifacts if "additionalMetadataFile" in each
        ]
        return [
            entry["data"]
            for of_artifact in metadata
            for entries in of_artifact.values()
            for entry in entries
            if entry["type"] in {"aws:cdk:warning", "aws:cdk:error"}
        ]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        return {name: each for name, each in self.template["Resources"].items() if each["Type"] == kind}


class Running:
    """A synth in a copy of an example, started at once and waited for when it is asked for."""

    def __init__(self, example: str, into: Path, variables: Mapping[str, str], command: Sequence[str]) -> None:
        shutil.copytree(EXAMPLES / example, into, ignore=shutil.ignore_patterns("cdk.out", "__pycache__"))
        self._output = into / "made"
        self._process = subprocess.Popen(
            command,
            cwd=into,
            env={"CDK_OUTDIR": str(self._output), **variables},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def result(self) -> Synth:
        printed, _ = self._process.communicate(timeout=PATIENCE_SECONDS)
        assert self._process.returncode == 0, printed
        return Synth(self._output)

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


def by_cli() -> Sequence[str]:
    return (str(HERE / "node"), str(CDK.resolve()), "synth", "--quiet", "--no-notices", "--output", "made")


def by_python(example: str, **context: str) -> tuple[Sequence[str], Mapping[str, str]]:
    """What the CLI does with an app, without the seconds that it takes itself."""
    settings = json.loads((EXAMPLES / example / "cdk.json").read_text())
    command = shlex.split(settings["app"])
    return command, {"CDK_CONTEXT_JSON": json.dumps(settings.get("context", {}) | context)}


@pytest.fixture(scope="session")
def synths(
    tmp_path_factory: pytest.TempPathFactory, installed: Environment, source: Path
) -> Iterator[Mapping[str, Synth]]:
    """Each example from the wheel alone, one of them by the CDK CLI; `checkout` is that one from the checkout, and
    `before` the registered service before it is registered.
    """
    at = tmp_path_factory.mktemp("examples")
    wheel_only = installed.variables()
    checkout = wheel_only | {"PATH": f"{HERE}:/usr/bin:/bin", "PYTHONPATH": str(source)}
    running: dict[str, Running] = {}

    def start(name: str, example: str, variables: Mapping[str, str], **context: str) -> None:
        command, more = by_python(example, **context)
        running[name] = Running(example, at / name, {**variables, **more}, command)

    try:
        running["whole_stack"] = Running("whole_stack", at / "whole_stack", wheel_only, by_cli())
        start("checkout", "whole_stack", checkout)
        start("shared_balancer", "shared_balancer", wheel_only)
        start("registered_service", "registered_service", wheel_only)
        start("before", "registered_service", wheel_only, register="no")
        yield {name: each.result() for name, each in running.items()}
    finally:
        for each in running.values():
            each.end()
