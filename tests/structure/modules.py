"""The import graph of this repository: which module imports which when it runs, inside functions too."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = (
    "cdk_grpc_lb",
    "grpc_lb_contract",
    "lambda_src",
    "proxy_image",
    "rng_service",
    "traefik_labels",
    "local_aws",
)


def modules() -> dict[str, Path]:
    """Every module of ours by its dotted name; a package stands for its `__init__`."""
    return {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for package in PACKAGES
        for path in sorted((ROOT / package).rglob("*.py"))
    }


def imports(known: Mapping[str, Path]) -> dict[str, frozenset[str]]:
    return {name: frozenset(_imported(path, known)) - {name} for name, path in known.items()}


def cycle(graph: Mapping[str, frozenset[str]]) -> list[str] | None:
    """The modules of one import cycle, in order, or None where there is none."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return None


def _imported(path: Path, known: Mapping[str, Path]) -> Iterator[str]:
    for node in _running(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                if inner in known:
                    yield inner
                elif node.module in known:
                    yield node.module


def _running(node: ast.AST) -> Iterator[ast.AST]:
    """All statements but those that only type checkers read: a type may name another that names it."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.expr):  # which holds no import
            continue
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        yield child
        yield from _running(child)
