"""What CloudWatch Logs asks of a line in its embedded metric format, and the metrics that it makes of one.

https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import jsonschema

# The units that MetricDatum knows, of those that this project uses.
UNITS = ["Seconds", "Percent", "Count", "None"]
NAME = {"type": "string", "minLength": 1, "maxLength": 255}
DIRECTIVE = {
    "type": "object",
    "required": ["Namespace", "Dimensions", "Metrics"],
    "additionalProperties": False,
    "properties": {
        "Namespace": NAME,
        "Dimensions": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "array", "maxItems": 30, "items": NAME},
        },
        "Metrics": {
            "type": "array",
            "minItems": 1,
            "maxItems": 100,
            "items": {
                "type": "object",
                "required": ["Name"],
                "additionalProperties": False,
                "properties": {"Name": NAME, "Unit": {"enum": UNITS}, "StorageResolution": {"enum": [1, 60]}},
            },
        },
    },
}
SCHEMA = {
    "type": "object",
    "required": ["_aws"],
    "properties": {
        "_aws": {
            "type": "object",
            "required": ["Timestamp", "CloudWatchMetrics"],
            "additionalProperties": False,
            "properties": {
                "Timestamp": {"type": "integer", "minimum": 1},
                "CloudWatchMetrics": {"type": "array", "minItems": 1, "items": DIRECTIVE},
            },
        }
    },
}
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
MAX_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class Datum:
    """One value of one metric, as CloudWatch stores it."""

    at: float
    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]
    value: float


def metrics_of(line: str) -> Iterator[Datum]:
    """Raises `jsonschema.ValidationError` or `AssertionError` for a line that CloudWatch Logs would pass over."""
    assert len(line.encode()) <= MAX_BYTES
    root: dict[str, Any] = json.loads(line)
    VALIDATOR.validate(root)
    for directive in root["_aws"]["CloudWatchMetrics"]:
        for names in directive["Dimensions"]:
            # A target is a member of the root: text for a dimension, a number for a metric.
            assert all(isinstance(root[name], str) and 1 <= len(root[name]) <= 1024 for name in names), line
            dimensions = tuple((name, root[name]) for name in sorted(names))
            for metric in directive["Metrics"]:
                value = root[metric["Name"]]
                assert type(value) in (int, float), line
                at = root["_aws"]["Timestamp"] / 1000
                yield Datum(at, directive["Namespace"], metric["Name"], dimensions, value)


def emf_lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith('{"_aws"')]


def metrics_in(text: str) -> list[Datum]:
    return [datum for line in emf_lines(text) for datum in metrics_of(line)]


def values(data: Iterable[Datum], name: str, **dimensions: str) -> list[float]:
    """The values of one metric, which has these dimensions and no other."""
    wanted = tuple(sorted(dimensions.items()))
    return [datum.value for datum in data if (datum.name, datum.dimensions) == (name, wanted)]
