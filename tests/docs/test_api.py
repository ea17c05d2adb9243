"""docs/api.md says what the docstrings say, and those leave nothing out."""

from __future__ import annotations

import runpy
from typing import Any

import griffe
import pytest

from tests.docs.pages import ROOT, code, section, tables

MAKE_API: dict[str, Any] = runpy.run_path(str(ROOT / "dev/make_api.py"))


@pytest.fixture(scope="module")
def package() -> griffe.Module:
    found = MAKE_API["load"]()
    assert isinstance(found, griffe.Module)
    return found


def test_the_page_is_current(package: griffe.Module) -> None:
    """GIVEN the docstrings as they are, THEN `make docs` would change nothing."""
    assert MAKE_API["page"](package) == MAKE_API["PAGE"].read_text(), "run: make docs"


def test_every_public_name_has_a_docstring_that_explains_each_prop(package: griffe.Module) -> None:
    """GIVEN what `cdk_grpc_lb` exports, THEN every class and method says what it is, and what each of its props is."""
    silent = []
    for name in MAKE_API["exported"](package):
        each = MAKE_API["resolved"](package[name])
        if MAKE_API["is_of_contract"](each):
            continue
        methods = [one for one in MAKE_API["own_members"](each, package) if isinstance(one, griffe.Function)]
        documented = [(each, each.members["__init__"])] if "__init__" in each.members else []
        silent += [one.path for one in (each, *methods) if one.docstring is None]
        for says, function in (*documented, *((method, method) for method in methods)):
            assert isinstance(function, griffe.Function)
            told = {one.name.lstrip("*") for one in MAKE_API["documented_parameters"](says)}
            asked = {known for known, _ in MAKE_API["parameters_of"](function)}
            if told or function is not says:
                silent += [f"{function.path} {prop}" for prop in asked - told - {"scope", "id"}]
            silent += [f"{function.path} {prop}, which is no prop" for prop in told - asked]
    assert silent == []


def test_every_part_of_a_policy_says_what_it_is_and_what_each_field_means(package: griffe.Module) -> None:
    """GIVEN the values that `cdk_grpc_lb` exports, THEN each row of their tables on the page has its meaning."""
    values = [each for each in MAKE_API["classes_of"](package) if MAKE_API["is_of_contract"](each)]
    assert {"TrafficPolicy", "Condition"} < {each.name for each in values}
    page = MAKE_API["page"](package)
    for each in values:
        of_class = section(page, f"## {each.name}")
        assert each.docstring is not None, each.name
        for rows in tables(of_class):
            assert [code(row[0]) for row in rows] == [field.name for field in MAKE_API["fields_of"](each)]
            assert all(row[-1] for row in rows), each.name
