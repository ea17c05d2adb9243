"""What the tests ask of a Markdown page: its tables, its commands, its headings and links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from textwrap import dedent

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


def page(name: str) -> str:
    """The text of a page of docs/, such as `operate/logs`."""
    return (DOCS / f"{name}.md").read_text()


def section(text: str, heading: str) -> str:
    """The text below a heading, down to the next one of its level or above."""
    level = heading.split(" ")[0]
    _, found, rest = f"\n{text}".partition(f"\n{heading}\n")
    assert found, heading
    return re.split(rf"\n#{{1,{len(level)}}} ", rest)[0]


def tables(text: str) -> list[list[list[str]]]:
    """Every table as rows of cells, without its head."""
    found: list[list[list[str]]] = []
    before = ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not before.startswith("|"):
                found.append([])
            found[-1].append([cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip("|"))])
        before = line
    return [rows[2:] for rows in found]


def code(cell: str) -> str:
    """What stands between the first two backticks."""
    return cell.split("`")[1]


def code_blocks(text: str) -> list[str]:
    """Each run of indented lines, without the indentation."""
    blocks = re.findall(r"(?:^ {4}.*\n|^\n(?=\n? {4}))+", text, flags=re.MULTILINE)
    return [dedent(block).strip() for block in blocks if block.strip()]


def commands(text: str, program: str) -> Iterator[str]:
    """The lines of code, and the code within lines, that run a program."""
    for line in text.splitlines():
        if line.startswith("    ") and line.strip().startswith(f"{program} "):
            yield line.strip()
        elif not line.startswith("    "):
            yield from (part for part in re.findall(r"`([^`]+)`", line) if part.startswith(f"{program} "))


def anchors(text: str) -> frozenset[str]:
    """The names by which headings can be linked to, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def links(text: str) -> list[str]:
    return re.findall(r"\]\(([^)\s]+)\)", text)
