"""An environment like a user's: the built wheel, what it asks for, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from dataclasses import dataclass
from importlib.metadata import Distribution, distribution, distributions
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(sys.executable).parent
CDK = ROOT / "build/node/node_modules/.bin/cdk"

# What the wheel and the sdist are made of.
SOURCES = (
    *("cdk_grpc_lb", "grpc_lb_contract", "traefik_labels", "lambda_src", "proxy_image", "examples", "docs"),
    *("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", ".gitignore"),
)

# Longer than a synth takes on two busy cores.
PATIENCE_SECONDS = 900


@dataclass(frozen=True, slots=True)
class Environment:
    folder: Path

    @property
    def python(self) -> Path:
        return self.folder / "bin/python"

    @property
    def site_packages(self) -> Path:
        (found,) = self.folder.glob("lib/python3*/site-packages")
        return found

    @property
    def byte_code(self) -> Path | None:
        """Where Python keeps that of what is linked there, if the tests' own is kept in one place too."""
        return self.folder / "bytecode" if sys.pycache_prefix is not None else None

    def variables(self) -> dict[str, str]:
        """What a shell with this environment activated has; Node comes from the test's own environment."""
        kept = {} if self.byte_code is None else {"PYTHONPYCACHEPREFIX": str(self.byte_code)}
        return kept | {
            "PATH": f"{self.folder / 'bin'}:{HERE}:/usr/bin:/bin",
            # jsii unpacks aws-cdk-lib into a cache there, which takes it seconds where there is none yet.
            "HOME": os.environ.get("HOME", ""),
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }

    def run(self, *arguments: str, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), *arguments],
            cwd=cwd,
            env=self.variables() | variables,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )


def build(target: str, source: Path, into: Path) -> Path:
    """Build an sdist or a wheel of a source tree, with the build backend that is installed here."""
    ran = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", str(into)],
        cwd=source,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    (made,) = into.glob("*.tar.gz" if target == "sdist" else "*.whl")
    return made


def make(folder: Path, wheel: Path) -> Environment:
    """A new environment with the wheel installed by pip, which finds there what the wheel asks for, no more."""
    venv.create(folder, with_pip=False)
    environment = Environment(folder)
    asked_for = [Requirement(line) for line in read_metadata(wheel).requires or ()]
    for name in closure(asked_for):
        link(name, environment)
    # Nothing is fetched: a requirement that is not met by now is an error.
    ran = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--python", str(environment.python), "--isolated"),
            *("--disable-pip-version-check", "install", "--no-index", "--quiet", str(wheel)),
        ],
        # As pip does for everyone: byte code beside what it installs.
        env={name: value for name, value in os.environ.items() if name != "PYTHONPYCACHEPREFIX"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return environment


def read_metadata(wheel: Path) -> Distribution:
    (found,) = distributions(path=[str(wheel)])
    return found


def closure(asked_for: list[Requirement]) -> frozenset[str]:
    """The names of the distributions asked for, and of those that they ask for in turn."""
    found: set[str] = set()
    waiting = list(asked_for)
    while waiting:
        requirement = waiting.pop()
        if requirement.name in found or (requirement.marker is not None and not requirement.marker.evaluate()):
            continue
        found.add(requirement.name)
        waiting += [Requirement(line) for line in distribution(requirement.name).requires or ()]
    return frozenset(found)


def link(name: str, environment: Environment) -> None:
    """Put a distribution that is installed here there too, with its byte code: downloading aws-cdk-lib again would take
    its time, and compiling it again does.
    """
    installed = distribution(name)
    for entry in sorted({file.parts[0] for file in installed.files or () if file.parts[0] != ".."}):
        here, there = Path(str(installed.locate_file(entry))), environment.site_packages / entry
        if entry == "__pycache__" or there.exists():
            continue
        there.symlink_to(here)
        if sys.pycache_prefix is not None and environment.byte_code is not None and here.is_dir():
            compiled = kept(sys.pycache_prefix, here)
            compiled.mkdir(parents=True, exist_ok=True)
            kept(environment.byte_code, there).symlink_to(compiled)


def kept(prefix: str | Path, folder: Path) -> Path:
    """Where Python keeps the byte code of a folder below a prefix."""
    found = Path(prefix, *folder.parts[1:])
    found.parent.mkdir(parents=True, exist_ok=True)
    return found
