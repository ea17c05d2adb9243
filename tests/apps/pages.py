"""The apps and the snippets of our pages."""

from __future__ import annotations

import argparse
import ast
import re
from pathlib import Path
from textwrap import dedent

from tests.docs.pages import DOCS


def apps() -> dict[str, str]:
    """Each app of docs/apps.md by its heading: all that is indented below it."""
    _, *sections = re.split(r"^## ", (DOCS / "apps.md").read_text(), flags=re.MULTILINE)
    return {
        section.partition("\n")[0]: _indented(section)
        for section in sections
        if section.partition("\n")[0] != "Contents"
    }


def _indented(section: str) -> str:
    lines = section.splitlines()
    first = next(number for number, line in enumerate(lines) if line.startswith("    "))
    last = max(number for number, line in enumerate(lines) if line.startswith("    "))
    return dedent("\n".join(lines[first : last + 1])) + "\n"


def write_apps(folder: Path) -> None:
    """Each app as a module of its own, and no other there."""
    folder.mkdir(parents=True, exist_ok=True)
    for module in folder.glob("*.py"):
        module.unlink()
    for heading, code in apps().items():
        (folder / f"{module_name(heading)}.py").write_text(code)


def module_name(heading: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", heading.lower()).strip("_")


def snippets(page: Path) -> list[str]:
    """The blocks of a page that are Python and use our constructs."""
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?=\n? {4}))+", page.read_text(), flags=re.MULTILINE)
    return [block for block in (dedent(each).strip("\n") for each in blocks) if _is_ours(block)]


def _is_ours(block: str) -> bool:
    try:
        tree = ast.parse(block)
    except SyntaxError:
        return False
    uses = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return any(isinstance(node, ast.Call) for node in ast.walk(tree)) and bool(
        uses & {"balancer", "GrpcBalancer", "GrpcBalancedService", "TrafficPolicy", "numbers"}
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Write each app of docs/apps.md as a module.")
    parser.add_argument("folder", type=Path)
    write_apps(parser.parse_args().folder)
