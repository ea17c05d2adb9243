"""mypy reads of aws-cdk-lib what our code can reach: all 172 MB would double its time, and what it skips is `Any`."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from collections.abc import Iterable
from pathlib import Path

from tests.apps.pages import apps
from tests.structure.modules import ROOT

NOT_OURS = {"build", "cdk.out", "dist"}


def test_mypy_follows_every_module_of_the_cdk_that_ours_can_reach() -> None:
    """GIVEN the modules that our code, the examples and the pages' apps name, THEN mypy follows these and all that they
    name in turn, so that no type is missing, and no others.
    """
    followed = {name.removeprefix("aws_cdk.") for name in followed_by_mypy() if name.startswith("aws_cdk.")}
    assert {"interfaces.*", "_jsii"} <= followed
    reached = reach(modules_named_by(our_code()))
    assert {"aws_ecs", "aws_kms", "cloud_assembly_schema"} <= reached
    assert followed - {"interfaces.*", "_jsii"} == {name for name in reached if not name.startswith("interfaces")}


def test_a_module_that_is_used_in_whatever_way_is_found() -> None:
    code = "from aws_cdk import (\n    Stack,\n    aws_sqs as s,\n)\nfrom aws_cdk.aws_rds import A\ncdk.aws_ecr.B\n"
    assert modules_named_by([code, "import aws_cdk.aws_glue"]) == {"aws_sqs", "aws_rds", "aws_ecr", "aws_glue"}


def followed_by_mypy() -> list[str]:
    overrides = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["overrides"]
    (followed,) = (each["module"] for each in overrides if each.get("follow_imports") == "normal")
    return list(followed)


def our_code() -> Iterable[str]:
    yield from apps().values()
    for folder in ROOT.iterdir():
        if folder.is_dir() and folder.name not in NOT_OURS and not folder.name.startswith("."):
            yield from (path.read_text() for path in folder.rglob("*.py"))
    yield from (path.read_text() for path in ROOT.glob("*.py"))


def modules_named_by(sources: Iterable[str]) -> set[str]:
    named: set[str] = set()
    for source in sources:
        named.update(re.findall(r"\b(?:aws_cdk|cdk)\.(\w+)", source))
        for names in re.findall(r"from aws_cdk import (\([^)]*\)|.*)", source):
            named.update(re.findall(r"\w+", names))
    return {name for name in named if source_of(name).exists()}


def reach(named: Iterable[str]) -> set[str]:
    """The modules, and those whose types they name, however far; a type checker reads the root of them with any."""
    reached: set[str] = set()
    waiting = [*named, *types_named_in("")]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting += types_named_in(name)
    return reached


def types_named_in(module: str) -> list[str]:
    """jsii writes `if typing.TYPE_CHECKING:` and then the imports of what the module's types are made of."""
    _, _, checked = source_of(module).read_text().partition("\nif typing.TYPE_CHECKING:\n")
    return re.findall(r"^    import aws_cdk\.([\w.]+) as ", checked.partition("\nelse:\n")[0], flags=re.MULTILINE)


def source_of(module: str) -> Path:
    package = importlib.util.find_spec("aws_cdk")
    assert package is not None
    assert package.origin is not None
    return Path(package.origin).parent.joinpath(*module.split("."), "__init__.py")
