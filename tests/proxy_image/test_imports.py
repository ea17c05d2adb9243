"""What starts often, or first, loads what it uses."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from app import ROOT

LOADED = "import json, sys, {module}; print(json.dumps(list(sys.modules)))"


@pytest.mark.parametrize("module", ["proxy_image.health", "proxy_image.__main__", "proxy_image.control_plane.__main__"])
def test_health_check_supervisor_and_reading_of_settings_load_no_policy_and_no_library(module: str) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", LOADED.format(module=module)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    loaded = set(json.loads(ran.stdout))
    assert module in loaded
    assert not {"grpc_lb_contract.public", "grpc_lb_contract.policy", "grpc", "boto3", "google.protobuf"} & loaded
