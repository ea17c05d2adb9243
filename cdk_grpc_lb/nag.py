"""What cdk-nag finds in these constructs where a user runs it, and why it is as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import aws_cdk as cdk
from constructs import IConstruct

ANY_RESOURCE = "IAM5[Resource::*]"


def acknowledge(construct: IConstruct, reasons: Mapping[str, str]) -> None:
    """Tell the AwsSolutions pack why rules such as ``ELB2`` do not fit the construct and those below it."""
    cdk.Validations.of(construct).acknowledge(
        *(
            cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason)
            for rule, reason in reasons.items()
        )
    )


def wildcard_in(stack: cdk.Stack, arn: str) -> str:
    """The rule that finds this ARN, which ends with a wildcard, in a policy of the stack."""
    return f"IAM5[Resource::{_as_cdk_nag_writes(stack.resolve(arn))}]"


def _as_cdk_nag_writes(value: Any) -> str:
    match value:
        case {"Ref": name}:
            return f"<{name}>"
        case {"Fn::GetAtt": [name, attribute]}:
            return f"<{name}.{attribute}>"
        case {"Fn::Join": [delimiter, parts]}:
            return str(delimiter).join(map(_as_cdk_nag_writes, parts))
        case _:
            return str(value)
