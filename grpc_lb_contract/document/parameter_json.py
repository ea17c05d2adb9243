"""JSON as the value of an SSM parameter."""

from __future__ import annotations

import json

# json.dumps makes an encoder for each call, which takes longer than most records.
_encode = json.JSONEncoder(separators=(",", ":")).encode


def parameter_json(value: object) -> str:
    """Compact JSON in ASCII, without {{: SSM takes {{…}} for a reference to another parameter, and rejects the value.

    Only texts hold two such braces side by side, so that one of them can be escaped.
    https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_PutParameter.html
    """
    return _encode(value).replace("{{", r"{\u007b")
