"""What `cdk destroy` leaves behind: nothing."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local_aws.layout import Layout
from local_aws.stack import LocalStack

APP = Path(__file__).with_name("removal_app")
PREFIX = "/grpc-lb/removal"
PATIENCE_SECONDS = 90


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalStack]:
    # The app is in a folder of its own, and `python app.py` looks for modules there.
    monkeypatch.setenv("PYTHONPATH", str(Layout().root))
    layout = Layout(app_folder=APP, name=f"test-removal-{os.getpid()}")
    with LocalStack.up(layout, log=tmp_path / "up.log") as up:
        yield up
    shutil.rmtree(layout.run, ignore_errors=True)
    layout.lock.unlink(missing_ok=True)


def parameters(stack: LocalStack) -> list[str]:
    found = stack.client("ssm").get_parameters_by_path(Path=PREFIX, Recursive=True)["Parameters"]
    return [parameter["Name"] for parameter in found]


@pytest.mark.timeout(300)
def test_the_target_document_goes_with_its_stack(stack: LocalStack) -> None:
    """GIVEN a stack that has published, WHEN it is deleted, THEN its parameters are gone and it was not held up."""
    cloudformation = stack.client("cloudformation")
    (name,) = (
        each["StackName"] for each in cloudformation.describe_stacks()["Stacks"] if "Removal" in each["StackName"]
    )
    stack.client("ssm").put_parameter(Name=f"{PREFIX}/index", Value="{}", Type="String", Overwrite=True)
    stack.client("ssm").put_parameter(Name=f"{PREFIX}/shards/0123", Value="{}", Type="String", Overwrite=True)
    cloudformation.delete_stack(StackName=name)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while parameters(stack) and time.monotonic() < deadline:
        time.sleep(0.5)
    assert parameters(stack) == []
    statuses = {each["StackName"]: each["StackStatus"] for each in cloudformation.describe_stacks()["Stacks"]}
    while statuses.get(name, "DELETE_COMPLETE") == "DELETE_IN_PROGRESS" and time.monotonic() < deadline:
        time.sleep(0.5)
        statuses = {each["StackName"]: each["StackStatus"] for each in cloudformation.describe_stacks()["Stacks"]}
    assert statuses.get(name, "DELETE_COMPLETE") == "DELETE_COMPLETE"
