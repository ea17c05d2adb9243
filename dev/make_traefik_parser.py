"""Makes traefik_labels/parser.py, a parser without dependencies, of the grammar beside it.

Lark's stand-alone generator writes it, because the Lambda's asset has no packages; its output carries a licence of its
own, MPL 2.0, in its head. Its tables come in another order at each run, so that what tells a stale file is the hash of
the grammar in the first line.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1] / "traefik_labels"
GRAMMAR = PACKAGE / "expressions.lark"
PARSER = PACKAGE / "parser.py"
STARTS = ("expression", "first_rule", "tags", "template")


def first_line() -> str:
    return (
        f"# Made by dev/make_traefik_parser.py of {GRAMMAR.name} {hashlib.sha256(GRAMMAR.read_bytes()).hexdigest()}\n"
    )


def made() -> str:
    """What the parser is to be."""
    starts = [word for start in STARTS for word in ("--start", start)]
    ran = subprocess.run(
        [sys.executable, "-m", "lark.tools.standalone", *starts, GRAMMAR], check=True, capture_output=True, text=True
    )
    return first_line() + ran.stdout


if __name__ == "__main__":
    PARSER.write_text(made(), encoding="utf-8")
