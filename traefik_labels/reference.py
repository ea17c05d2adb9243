"""The part of docs/traefik.md that tells what has no counterpart: made of the tables that labels are read by."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from traefik_labels.model import PREFIX
from traefik_labels.unsupported import FIRST, MIDDLEWARES, OTHERS, ROUTERS, SERVICES, Without

_TABLES: Sequence[tuple[str, str, Sequence[Without]]] = (
    ("Version 1", PREFIX, FIRST),
    ("Versions 2 and 3: routers", PREFIX + "http.routers.NAME.", ROUTERS),
    ("Versions 2 and 3: services", PREFIX + "http.services.NAME.", SERVICES),
    ("Versions 2 and 3: middlewares", PREFIX + "http.middlewares.NAME.", MIDDLEWARES),
    ("Versions 2 and 3: others", PREFIX, OTHERS),
)


def without_counterpart() -> str:
    """As tables in Markdown."""
    return "\n".join(line for title, prefix, rows in _TABLES for line in _table(title, prefix, rows))


def _table(title: str, prefix: str, rows: Sequence[Without]) -> Iterator[str]:
    yield from (f"### {title}", "", "| label | becomes | why, and what to write instead |", "|---|---|---|")
    for row in rows:
        # The first row that fits a label counts.
        yield f"| `{prefix}{row.pattern}` | {row.outcome} | {row.why} |"
    yield ""
