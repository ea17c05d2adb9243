"""What modules import."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def imported_at_start(module: Path) -> set[str]:
    """Packages beyond the standard library that a module imports when it is loaded: stubs, which type checkers alone
    import, stand inside an `if`.
    """
    imported: set[str] = set()
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add((node.module or "").partition(".")[0])
    return imported - sys.stdlib_module_names


def loaded_by(statement: str) -> frozenset[str]:
    """The names of all modules that a new Python has loaded after a statement."""
    return loaded_after(statement)[0]


def loaded_after(*statements: str) -> list[frozenset[str]]:
    """The same after each of several statements."""
    code = "".join(f"{statement}; print(*sys.modules)\n" for statement in statements)
    ran = subprocess.run(
        [sys.executable, "-c", f"import sys\n{code}"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return [frozenset(line.split()) for line in ran.stdout.splitlines()]
