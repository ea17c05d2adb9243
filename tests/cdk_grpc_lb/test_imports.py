"""`import cdk_grpc_lb` loads what it uses, because every synth of every app pays for it."""

from __future__ import annotations

import ast

import pytest

from app import ROOT
from tests.imports import loaded_by

SOURCES = sorted((ROOT / "cdk_grpc_lb").rglob("*.py"))


def used() -> set[str]:
    """The modules of aws-cdk-lib that the package imports when it is imported: `aws_ecs`, ..."""
    return {
        alias.name
        for source in SOURCES
        for node in ast.parse(source.read_text()).body
        if isinstance(node, ast.ImportFrom) and node.module == "aws_cdk"
        for alias in node.names
    }


@pytest.fixture(scope="session")
def loaded() -> frozenset[str]:
    return loaded_by("import cdk_grpc_lb")


def test_the_package_loads_only_the_modules_it_uses(loaded: frozenset[str]) -> None:
    statements = "; ".join(["import aws_cdk", *(f"import aws_cdk.{module}" for module in sorted(used()))])
    assert of_aws_cdk(loaded) == of_aws_cdk(loaded_by(statements))


def of_aws_cdk(names: frozenset[str]) -> set[str]:
    return {name for name in names if name.startswith("aws_cdk.")}


@pytest.mark.parametrize("module", ["aws_route53", "aws_route53_targets", "aws_certificatemanager", "aws_ecs_patterns"])
def test_what_few_users_need_is_loaded_where_they_do(module: str) -> None:
    assert module not in used()


def test_no_aws_sdk_and_no_code_of_the_assets_is_loaded(loaded: frozenset[str]) -> None:
    packages = {name.partition(".")[0] for name in loaded}
    assert "cdk_grpc_lb" in packages
    assert not {"boto3", "grpc", "envoy", "lambda_src", "proxy_image", "starlette"} & packages
