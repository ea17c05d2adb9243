"""`make wheel-ends`: the wheel with the lowest versions that its ranges name, and with the newest there are.

Not a part of `make test`: it downloads aws-cdk-lib twice.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import tempfile
import venv
from collections.abc import Sequence
from importlib.metadata import distributions
from pathlib import Path

from packaging.requirements import Requirement

from tests.wheel.environment import ROOT, Environment, build, read_metadata

EXAMPLES = ("shared_balancer", "registered_service")


def main() -> int:
    with tempfile.TemporaryDirectory() as folder:
        at = Path(folder)
        wheel = build("wheel", ROOT, at / "dist")
        requirements = [Requirement(line) for line in read_metadata(wheel).requires or ()]
        ends = {"lowest": lowest(requirements), "newest": [f"{one.name}{one.specifier}" for one in requirements]}
        failed = [name for name, wanted in ends.items() if not tries(name, wheel, wanted, at / name)]
    print(f"{len(ends) - len(failed)} passed, {len(failed)} failed")
    return 1 if failed else 0


def lowest(requirements: Sequence[Requirement]) -> list[str]:
    """`>=2.200,<3` names 2.200."""
    return [
        f"{requirement.name}=={specifier.version}"
        for requirement in requirements
        for specifier in requirement.specifier
        if specifier.operator == ">="
    ]


def tries(name: str, wheel: Path, wanted: Sequence[str], at: Path) -> bool:
    print(f"{name}: installing {', '.join(wanted)}", flush=True)
    venv.create(at / "venv", with_pip=False)
    environment = Environment(at / "venv")
    pip = (sys.executable, "-m", "pip", "--python", str(environment.python), "--disable-pip-version-check")
    ran = subprocess.run([*pip, "install", "--quiet", str(wheel), *wanted], capture_output=True, text=True, check=False)
    if ran.returncode != 0:
        print(f"  not installed: {ran.stderr}", flush=True)
        return False
    installed = {one.name: one.version for one in distributions(path=[str(environment.site_packages)])}
    print(f"{name}: aws-cdk-lib {installed['aws-cdk-lib']}, constructs {installed['constructs']}", flush=True)
    results = [synthesises(environment, example, at) for example in EXAMPLES]
    return all(results)


def synthesises(environment: Environment, example: str, at: Path) -> bool:
    settings = json.loads((ROOT / "examples" / example / "cdk.json").read_text())
    ran = environment.run(
        *shlex.split(settings["app"])[1:],
        cwd=ROOT / "examples" / example,
        CDK_OUTDIR=str(at / example),
        CDK_CONTEXT_JSON=json.dumps(settings["context"]),
    )
    print(f"  {example}: {'synthesised' if ran.returncode == 0 else ran.stderr}", flush=True)
    return ran.returncode == 0


if __name__ == "__main__":
    sys.exit(main())
