"""Where things of a checkout lie."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from local_aws.errors import LocalAwsError

ROOT = Path(__file__).resolve().parent.parent


class TasksAs(StrEnum):
    PROCESSES = "processes"
    """Each on its own loopback address; needs nothing but Linux."""
    CONTAINERS = "containers"
    """Each by podman on its own network interface; needs what `make containers` sets up."""


@dataclass(frozen=True, slots=True)
class Layout:
    root: Path = ROOT
    """The checkout, with its tools under build/."""
    app_folder: Path = ROOT
    """Where cdk.json is; the example's, unless a test brings its own."""
    name: str = "local"
    """Of the run; each has its own folder, lock and state under build/."""
    tasks_as: TasksAs = TasksAs.PROCESSES
    seed: int | None = None
    """With one, the local AWS is as slow, throttled and late as AWS is, the same way for the same seed."""
    assembly: Path | None = None
    """A cloud assembly to deploy, in place of synthesising the app: nothing runs the CLI then."""

    @property
    def build(self) -> Path:
        return self.root / "build"

    @property
    def run(self) -> Path:
        return self.build / self.name

    @property
    def state(self) -> Path:
        return self.build / f"{self.name}.json"

    @property
    def lock(self) -> Path:
        return self.build / f"{self.name}.lock"

    @property
    def tasks(self) -> Path:
        return self.run / "tasks"

    @property
    def images(self) -> Path:
        return self.run / "images"

    @property
    def bytecode(self) -> Path:
        """What Python compiled: not beside the sources, for a deployed asset is to stay as it is."""
        return self.build / "bytecode"

    @property
    def venv(self) -> Path:
        return self.build / "venv" / "bin"

    @property
    def ministack_python(self) -> Path:
        return self.build / "ministack-venv" / "bin" / "python"

    @property
    def cdk(self) -> Path:
        return self.build / "node" / "node_modules" / ".bin" / "cdk"

    @property
    def bootstrap_template(self) -> Path:
        """The CDK CLI's own."""
        return self.build / "node/node_modules/aws-cdk/lib/api/bootstrap/bootstrap-template.yaml"

    def check_app(self) -> None:
        """Raises LocalAwsError where there is nothing to deploy."""
        if self.assembly is not None and not (self.assembly / "manifest.json").is_file():
            raise LocalAwsError(
                f"--assembly must be a folder that `cdk synth` wrote, with a manifest.json, got {self.assembly}"
            )
        if self.assembly is None and not (self.app_folder / "cdk.json").is_file():
            raise LocalAwsError(f"--app must be a folder with a cdk.json, got {self.app_folder}")

    def check_tools(self) -> None:
        for tool in (self.venv / "python", self.ministack_python, self.cdk):
            if not tool.exists():
                raise LocalAwsError(f"{tool.relative_to(self.root)} must be there; make it: make setup")
