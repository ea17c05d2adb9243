"""Which tests CI runs once more."""

from __future__ import annotations

import json

from dev.failed_tests import ids


def test_a_test_is_named_without_its_group() -> None:
    failed = [
        "tests/a/test_x.py::test_shares@tests.a.conftest:stack",
        "tests/a/test_x.py::test_case[user@host]@tests.apps.test_apps:folder",
        "tests/a/test_w.py::test_whole@tests/a/test_w.py",
        "tests/a/test_w.py::test_case[[::1]:80]@tests/a/test_w.py",
        "tests/a/test_v.py::test_makes_constructs@aws_cdk",
        "tests/a/test_y.py::test_case[user@host]",
        "tests/a/test_z.py",
    ]
    assert ids(json.dumps(dict.fromkeys(failed, True))) == [
        "tests/a/test_v.py::test_makes_constructs",
        "tests/a/test_w.py::test_case[[::1]:80]",
        "tests/a/test_w.py::test_whole",
        "tests/a/test_x.py::test_case[user@host]",
        "tests/a/test_x.py::test_shares",
        "tests/a/test_y.py::test_case[user@host]",
        "tests/a/test_z.py",
    ]
