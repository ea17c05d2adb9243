"""Print the tests that failed in the last run of pytest, a line each, by ids that a run of one process takes.

pytest-xdist writes a test's group behind its id.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

LAST_FAILED = Path(__file__).resolve().parents[1] / ".pytest_cache/v/cache/lastfailed"
# What stands behind a test's name and parameters: of tests/sharing.py, a fixture, a file or a library.
GROUP = re.compile(r"@[^@\]]+$")


def ids(last_failed: str) -> list[str]:
    return sorted({GROUP.sub("", name) for name in json.loads(last_failed)})


if __name__ == "__main__":
    if LAST_FAILED.exists():
        print("\n".join(ids(LAST_FAILED.read_text())))
