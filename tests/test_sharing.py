"""Which tests run in the same process."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.sharing import groups_of

ROOT = Path(__file__).resolve().parents[1]
SHARING = """
import os, pathlib, pytest, time

@pytest.fixture(scope="{scope}")
def costly():
    return os.getpid()

@pytest.mark.parametrize("number", range({tests}))
def test_of_several(costly, number):
    time.sleep(0.1)
    with open(pathlib.Path(__file__).parent / "made_of_{scope}", "a") as made:
        print(costly, file=made)
"""
# More of one kind, of which the process that is through with the other takes some, unless they have a group.
TESTS = {"session": 6, "module": 18}


def test_tests_that_share_a_fixture_have_one_group_and_the_others_none() -> None:
    shared = {
        "one": frozenset({"stack"}),
        "two": frozenset({"stack", "wheel"}),
        "three": frozenset({"wheel", "installed"}),
        "alone": frozenset({"templates"}),
        "none": frozenset[str](),
    }
    groups = groups_of(shared)
    assert groups.keys() == {"one", "two", "three", "alone"}
    assert groups["one"] == groups["two"] == groups["three"] != groups["alone"]


def test_what_is_made_once_is_made_in_one_process_alone(tmp_path: Path) -> None:
    """pytest 9.2 with pytest-xdist 3.8.0 made each costly fixture in every process, and nobody noticed."""
    (tmp_path / "conftest.py").write_text("from tests.conftest import *\n")
    (tmp_path / "tests").mkdir()
    for scope, tests in TESTS.items():
        (tmp_path / f"tests/test_several_of_{scope}.py").write_text(SHARING.format(scope=scope, tests=tests))
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-n", "2", "--dist", "loadgroup", "--rootdir", str(tmp_path), "tests"],
        cwd=tmp_path,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
        | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for scope, tests in TESTS.items():
        made = (tmp_path / f"tests/made_of_{scope}").read_text().split()
        assert len(made) == tests
        assert len(set(made)) == 1
