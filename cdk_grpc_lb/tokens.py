"""Values that only the deployment knows."""

from __future__ import annotations

from collections.abc import Sequence

import aws_cdk as cdk

# What StringParameter.value_from_lookup gives before the CLI has looked: synth has to come through, or it never will.
# https://docs.aws.amazon.com/cdk/api/v2/docs/aws-cdk-lib.aws_ssm-readme.html#lookup-existing-parameters
_NOT_LOOKED_UP = "dummy-value-for-"


def is_unresolved(value: object) -> bool:
    """Whether it is not known yet: a token, or what stands for a parameter that the CLI has still to look up."""
    return (isinstance(value, str) and _NOT_LOOKED_UP in value) or is_token(value)


def is_token(value: object) -> bool:
    """What ``Token.is_unresolved`` says, which is a call to the CDK's Node: most values need none.

    A token in a text is ``${Token[...]}``, and as a number it is a negative one:
    https://docs.aws.amazon.com/cdk/v2/guide/tokens.html
    """
    if value is None or (isinstance(value, str) and "${" not in value) or (isinstance(value, int) and value >= 0):
        return False
    return cdk.Token.is_unresolved(value)


def texts_of(values: Sequence[str]) -> Sequence[str]:
    """The values; or, if only the deployment knows how many there are, one text with commas between them."""
    is_reference = len(values) == 1 and "#{Token[" in str(values[0])
    return [cdk.Fn.join(",", list(values))] if is_reference else values


def number_text(value: float) -> str:
    """A number as an environment variable holds it: a token stays one."""
    return cdk.Token.as_string(value) if is_unresolved(value) else f"{value:g}"
