"""`import cdk_grpc_lb` loads what it uses, because every synth of every app pays for it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from app import ROOT
from tests.imports import loaded_after

SOURCES = sorted((ROOT / "cdk_grpc_lb").rglob("*.py"))


def used_by(source: Path) -> set[str]:
    """The modules of aws-cdk-lib that a module imports when it is imported: `aws_ecs`, ..."""
    return {
        alias.name
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module == "aws_cdk"
        for alias in node.names
    }


USED = {module for source in SOURCES for module in used_by(source)}


@pytest.fixture(scope="session")
def loaded() -> list[frozenset[str]]:
    """By the modules of aws-cdk-lib that the package uses, and by the package after them: in one process, because Node
    takes a second to start.
    """
    needed = "; ".join(["import aws_cdk", *(f"import aws_cdk.{module}" for module in sorted(USED))])
    return loaded_after(needed, "import cdk_grpc_lb")


def test_the_package_loads_only_the_modules_it_uses(loaded: list[frozenset[str]]) -> None:
    needed, with_package = loaded
    assert of_aws_cdk(with_package) == of_aws_cdk(needed)
    # AND uses them all: what names them is loaded.
    assert {module_of(source) for source in SOURCES if used_by(source)} <= with_package


def module_of(source: Path) -> str:
    return ".".join(source.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def of_aws_cdk(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.startswith("aws_cdk.")}


@pytest.mark.parametrize("module", ["aws_route53", "aws_route53_targets", "aws_certificatemanager", "aws_ecs_patterns"])
def test_what_few_users_need_is_loaded_where_they_do(module: str) -> None:
    assert module not in USED


def test_no_aws_sdk_and_no_code_of_the_assets_is_loaded(loaded: list[frozenset[str]]) -> None:
    packages = {name.partition(".")[0] for name in loaded[-1]}
    assert "cdk_grpc_lb" in packages
    assert not {"boto3", "grpc", "envoy", "lambda_src", "proxy_image", "starlette"} & packages
