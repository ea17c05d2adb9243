"""Values that only the deployment knows."""

from __future__ import annotations

import aws_cdk as cdk


def is_unresolved(value: object) -> bool:
    """What ``Token.is_unresolved`` says, which is a call to the CDK's Node: most values need none.

    A token in a text is ``${Token[...]}``, and as a number it is a negative one:
    https://docs.aws.amazon.com/cdk/v2/guide/tokens.html
    """
    if value is None or (isinstance(value, str) and "${" not in value) or (isinstance(value, int) and value >= 0):
        return False
    return cdk.Token.is_unresolved(value)


def number_text(value: float) -> str:
    """A number as an environment variable holds it: a token stays one."""
    return cdk.Token.as_string(value) if is_unresolved(value) else f"{value:g}"
