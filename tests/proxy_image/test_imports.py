"""What starts often, or first, loads what it uses."""

from __future__ import annotations

import pytest

from tests.imports import loaded_by


@pytest.mark.parametrize("module", ["proxy_image.health", "proxy_image.__main__", "proxy_image.control_plane.__main__"])
def test_health_check_supervisor_and_reading_of_settings_load_no_policy_and_no_library(module: str) -> None:
    loaded = loaded_by(f"import {module}")
    assert module in loaded
    assert not {"grpc_lb_contract.public", "grpc_lb_contract.policy", "grpc", "boto3", "google.protobuf"} & loaded


def test_a_health_check_loads_no_http_client() -> None:
    loaded = loaded_by("import proxy_image.health")
    assert "proxy_image.envoy.alive" in loaded
    assert "http.client" not in loaded
