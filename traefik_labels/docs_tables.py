"""The end of docs/traefik.md: Traefik settings without a counterpart, from the tables that the reader itself uses."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from traefik_labels.model import PREFIX
from traefik_labels.unsupported import MIDDLEWARES, OTHERS, ROUTERS, SERVICES, V1, UnsupportedSetting

_TABLES: Sequence[tuple[str, str, Sequence[UnsupportedSetting]]] = (
    ("Version 1", PREFIX, V1),
    ("Versions 2 and 3: routers", PREFIX + "http.routers.NAME.", ROUTERS),
    ("Versions 2 and 3: services", PREFIX + "http.services.NAME.", SERVICES),
    ("Versions 2 and 3: middlewares", PREFIX + "http.middlewares.NAME.", MIDDLEWARES),
    ("Versions 2 and 3: others", PREFIX, OTHERS),
)


def with_unsupported_settings(page: str) -> str:
    """The page, whose end is replaced by the tables of unsupported settings, in Markdown."""
    beginning, _, _ = page.partition(f"### {_TABLES[0][0]}\n")
    return beginning + "\n".join(line for title, prefix, rows in _TABLES for line in _table(title, prefix, rows))


def _table(title: str, prefix: str, rows: Sequence[UnsupportedSetting]) -> Iterator[str]:
    yield from (f"### {title}", "", "| label | becomes | why, and what to write instead |", "|---|---|---|")
    for row in rows:
        # The first row that fits a label counts.
        yield f"| `{prefix}{row.pattern}` | {row.outcome} | {row.why} |"
    yield ""
