"""The differences that the documentation lists: the test of the matrix takes no other."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "transparency.md"
HEADING = "## Differences"
FRAMES_HEADING = "### Unusual frames"
ANY = "any"


@dataclass(frozen=True)
class Difference:
    """A row of the table: what is done, by which client with which server, and what differs, in a word that the test
    knows."""

    behaviour: str
    client: str
    server: str
    what: str

    def holds(self, behaviour: str, client: str, server: str) -> bool:
        asked = ((self.behaviour, behaviour), (self.client, client), (self.server, server))
        return all(mine in (ANY, theirs) for mine, theirs in asked)


def documented() -> list[Difference]:
    return [Difference(*row[:4]) for row in _rows(HEADING)]


def documented_of_frames() -> set[tuple[str, str]]:
    """What is sent, and what differs."""
    return {(row[0], row[1]) for row in _rows(FRAMES_HEADING)}


def _rows(heading: str) -> list[list[str]]:
    _, found, after = PAGE.read_text().partition(f"\n{heading}\n")
    assert found, f"{PAGE} must have a heading {heading!r}"
    section = after.partition("\n## ")[0].partition("\n### ")[0]
    lines = (line for line in section.splitlines() if line.startswith("|"))
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines][2:]
