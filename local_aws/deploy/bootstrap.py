"""The stack that `cdk bootstrap` makes, without the CLI, whose start is most of what that takes."""

from __future__ import annotations

from pathlib import Path

from local_aws.clients import client_of
from local_aws.errors import LocalAwsError

STACK = "CDKToolkit"
WAIT = {"Delay": 1, "MaxAttempts": 60}


def bootstrap(endpoint: str, region: str, template: Path) -> None:
    """Returns once all of the CLI's own template is there. Raises LocalAwsError."""
    cloudformation = client_of(endpoint, region, "cloudformation")
    from botocore.exceptions import ClientError, WaiterError

    try:
        cloudformation.create_stack(
            StackName=STACK, TemplateBody=template.read_text(), Capabilities=["CAPABILITY_NAMED_IAM"]
        )
        cloudformation.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig=WAIT)
    except (ClientError, WaiterError) as error:
        raise LocalAwsError(f"stack {STACK} must be made, got {error}") from error
