"""A misspelt field of a setting is told with the one that is meant, as a misspelt prop of a construct is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import cdk_grpc_lb
from cdk_grpc_lb import Limits, Retry, RouteRule, TraefikLabels, TrafficPolicy
from grpc_lb_contract.named_fields import NamedFields

MISSPELT: list[tuple[Callable[..., object], dict[str, Any], str]] = [
    (Retry, {"max_retry": 2}, "Retry got an unexpected field 'max_retry': did you mean max_retries"),
    (Limits, {"x": 1}, "Limits got an unexpected field 'x': it has requests, pending, connections, conn"),
    (TrafficPolicy, {"retries": Retry()}, "TrafficPolicy got an unexpected field 'retries': did you mean retry"),
    (RouteRule, {"name": "a", "method": ("a.B/C",)}, "unexpected field 'method': did you mean methods"),
    (TraefikLabels, {"default_rules": ""}, "unexpected field 'default_rules': did you mean default_rule"),
]


@pytest.mark.parametrize(("setting", "fields", "sentence"), MISSPELT, ids=[sentence for *_, sentence in MISSPELT])
def test_a_misspelt_field_is_told(setting: Callable[..., object], fields: dict[str, Any], sentence: str) -> None:
    with pytest.raises(TypeError, match=sentence):
        setting(**fields)


def test_every_setting_whose_fields_users_name_tells_them() -> None:
    public = [getattr(cdk_grpc_lb, name) for name in cdk_grpc_lb.__all__]
    dataclasses = [one for one in public if hasattr(one, "__dataclass_fields__")]
    # The first is made by its class methods, the second of three values in their order.
    assert {one.__name__ for one in dataclasses if not issubclass(one, NamedFields)} == {"AccessLog", "Condition"}
