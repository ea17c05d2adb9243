"""What `cdk destroy`, and an update to another prefix, leave behind: nothing."""

from __future__ import annotations

import time

import pytest

from local_aws.stack import LocalStack

PREFIX, MOVED = "/grpc-lb/removal", "/grpc-lb/moved"
PATIENCE_SECONDS = 90


def parameters(stack: LocalStack, prefix: str = PREFIX) -> list[str]:
    found = stack.client("ssm").get_parameters_by_path(Path=prefix, Recursive=True)["Parameters"]
    return [parameter["Name"] for parameter in found]


def publish(stack: LocalStack, prefix: str) -> None:
    for name in ("index", "shards/0123"):
        stack.client("ssm").put_parameter(Name=f"{prefix}/{name}", Value="{}", Type="String", Overwrite=True)


def settled(stack: LocalStack, name: str) -> str:
    """The stack's status once it changes no more."""
    cloudformation = stack.client("cloudformation")
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        statuses = {each["StackName"]: each["StackStatus"] for each in cloudformation.describe_stacks()["Stacks"]}
        status = str(statuses.get(name, "DELETE_COMPLETE"))
        if not status.endswith("_IN_PROGRESS") or time.monotonic() > deadline:
            return status
        time.sleep(0.5)


def gone(stack: LocalStack, prefix: str) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while parameters(stack, prefix) and time.monotonic() < deadline:
        time.sleep(0.5)
    return not parameters(stack, prefix)


@pytest.mark.timeout(300)
def test_the_target_document_goes_with_its_prefix_and_with_its_stack(two_stacks: LocalStack) -> None:
    """GIVEN a stack that has published, WHEN its prefix changes, THEN the parameters of the old one are gone and those
    of the new one stay; AND WHEN it is deleted, THEN those are gone too and it was not held up.
    """
    stack, assembly = two_stacks, two_stacks.layout.assembly
    assert assembly is not None
    template = assembly / "moved" / "Removal.template.json"
    cloudformation = stack.client("cloudformation")
    (name,) = (
        each["StackName"] for each in cloudformation.describe_stacks()["Stacks"] if "Removal" in each["StackName"]
    )
    publish(stack, PREFIX)
    publish(stack, MOVED)
    cloudformation.update_stack(StackName=name, TemplateBody=template.read_text(), Capabilities=["CAPABILITY_IAM"])
    assert settled(stack, name) == "UPDATE_COMPLETE"
    assert gone(stack, PREFIX)
    assert f"{MOVED}/index" in parameters(stack, MOVED)
    cloudformation.delete_stack(StackName=name)
    assert gone(stack, MOVED)
    assert settled(stack, name) == "DELETE_COMPLETE"
