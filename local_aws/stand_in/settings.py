"""What `up` tells the stand-in, in one JSON file."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from local_aws.addresses import Range
from local_aws.layout import TasksAs


@dataclass(frozen=True, slots=True)
class Settings:
    range_number: int
    region: str
    mark: str
    """The value of LOCAL_AWS_RUN that every process of this run carries."""
    python: str
    """The interpreter that stands for `python` in an image."""
    envoy: str
    images: str
    bytecode: str
    """Where every Python process finds what another has compiled."""
    logs: str
    """Where each task's output goes, one file a task."""
    runtime: str
    """A private folder with a short path: sockets live in it."""
    control: str
    net: str = "127.0"
    tasks_as: TasksAs = TasksAs.PROCESSES
    seed: int | None = None
    """Of AWS's latencies, quotas and late events; None: there are none, and every call is answered at once."""

    @property
    def addresses(self) -> Range:
        return Range(self.range_number, self.net)

    def write(self, file: Path) -> None:
        file.write_text(json.dumps(asdict(self), indent=2))

    @classmethod
    def read(cls, file: Path) -> Settings:
        values = json.loads(file.read_text())
        return cls(**values | {"tasks_as": TasksAs(values["tasks_as"])})
