"""Each example, and each app of docs/apps.md, synthesised once in an environment with nothing but the wheel."""

from __future__ import annotations

import json
import runpy
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from local_aws.deploy.synth_environment import UNCHECKED
from tests.apps.pages import apps, module_name
from tests.wheel.environment import CDK, HERE, PATIENCE_SECONDS, ROOT, Environment

EXAMPLES = ROOT / "examples"

# The CLI gives these to an app by variables, which jsii reads but once a process. All have one folder, where what is
# staged for an asset is found again, and then the rest of it is put where it belongs.
SEVERAL = """
import functools, json, os, pathlib, runpy, sys
import aws_cdk
plain, shared = aws_cdk.App, pathlib.Path("shared").absolute()
for app in json.loads(sys.argv[1]):
    os.chdir(app["folder"])
    aws_cdk.App = functools.partial(plain, context=app["context"], outdir=str(shared))
    runpy.run_path("app.py", run_name="__main__")
    output = pathlib.Path(app["output"])
    output.mkdir()
    for made in shared.iterdir():
        if not made.name.startswith(("asset.", "grpc-lb-staged")):
            made.rename(output / made.name)
"""


@dataclass(frozen=True, slots=True)
class Synth:
    """What came of an app. All but `kinds` is for one with one stack."""

    output: Path

    @property
    def kinds(self) -> frozenset[str]:
        """The types of the resources of all its stacks."""
        templates = [json.loads(path.read_text()) for path in self.output.rglob("*.template.json")]
        return frozenset(each["Type"] for template in templates for each in template.get("Resources", {}).values())

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


@dataclass(frozen=True, slots=True)
class Copy:
    """Of an app, with the context that it is to be synthesised with."""

    folder: Path
    context: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of_example(cls, example: str, folder: Path, **context: str) -> Copy:
        shutil.copytree(EXAMPLES / example, folder, ignore=shutil.ignore_patterns("cdk.out", "__pycache__"))
        settings = json.loads((folder / "cdk.json").read_text())
        return cls(folder, {**settings.get("context", {}), **context})

    @classmethod
    def of_page(cls, code: str, folder: Path) -> Copy:
        folder.mkdir()
        (folder / "app.py").write_text(code)
        return cls(folder)

    @property
    def output(self) -> Path:
        return self.folder / "made"


@contextmanager
def running(command: Sequence[str], folder: Path, variables: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command, cwd=folder, env=dict(variables), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def by_cli() -> Sequence[str]:
    return (str(HERE / "node"), str(CDK.resolve()), "synth", "--quiet", "--no-notices", "--output", "made")


def in_this_process(copy: Copy) -> None:
    """From the checkout, which aws-cdk-lib is loaded for already."""
    import aws_cdk as cdk  # here: it starts Node, and every test run loads this module

    settings: dict[str, Any] = {
        "context": copy.context,
        "outdir": str(copy.output),
        "builtin_cloud_formation_validation": False,
    }
    with chdir(copy.folder), pytest.MonkeyPatch.context() as patched:
        patched.setattr(cdk, "App", partial(cdk.App, **settings))
        runpy.run_path("app.py", run_name="__main__")


def in_one_process(copies: Sequence[Copy], python: Path) -> Sequence[str]:
    """Several apps, which load aws-cdk-lib once."""
    apps = [{"folder": str(it.folder), "output": str(it.output), "context": it.context} for it in copies]
    return (str(python), "-c", SEVERAL, json.dumps(apps))


@pytest.fixture(scope="session")
def synths(tmp_path_factory: pytest.TempPathFactory, installed: Environment) -> Mapping[str, Synth]:
    """Each app from the wheel alone, one of the examples by the CDK CLI; `checkout` is that one from the checkout, and
    `before` the registered service before it is registered.
    """
    at = tmp_path_factory.mktemp("apps")
    wheel_only = installed.variables() | UNCHECKED
    whole, checkout = (Copy.of_example("whole_stack", at / name) for name in ("whole_stack", "checkout"))
    others = [Copy.of_example(name, at / name) for name in ("shared_balancer", "registered_service")]
    others.append(Copy.of_example("registered_service", at / "before", register="no"))
    others += [Copy.of_page(code, at / module_name(heading)) for heading, code in apps().items()]
    with (
        running(by_cli(), whole.folder, wheel_only) as first,
        running(in_one_process(others, installed.python), at, wheel_only) as second,
    ):
        in_this_process(checkout)
        for process in (first, second):
            printed, _ = process.communicate(timeout=PATIENCE_SECONDS)
            assert process.returncode == 0, printed
    return {copy.folder.name: Synth(copy.output) for copy in (whole, checkout, *others)}
