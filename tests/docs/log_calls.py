"""The log lines that the code can write, read from its source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

LEVELS = {"exception": "error"} | {level: level for level in ("debug", "info", "warning", "error", "critical")}


def log_lines(*files: Path) -> frozenset[tuple[str, str]]:
    """Each (event, level) that these files log; where an event has a child process's name in it, one for each child."""
    trees = [ast.parse(file.read_text()) for file in files]
    children = [_text(call.args[0]) for tree in trees for call in _calls(tree, "Child")]
    found = set()
    for tree in trees:
        for method, level in LEVELS.items():
            for call in _calls(tree, f"log.{method}"):
                event = _text(call.args[0])
                found |= (
                    {(event.replace("%s", name), level) for name in children} if "%s" in event else {(event, level)}
                )
    return frozenset(found)


def _calls(tree: ast.AST, name: str) -> Iterator[ast.Call]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.Call) and ast.unparse(node.func) == name)


def _text(node: ast.expr) -> str:
    """Events are constants, so that they can be searched for."""
    assert isinstance(node, ast.Constant), ast.unparse(node)
    assert isinstance(node.value, str), ast.unparse(node)
    return node.value
