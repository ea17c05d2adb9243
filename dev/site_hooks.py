"""mkdocs hooks: links that leave docs/ lead to the repository; architecture and changes are its files."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
REPOSITORY = "https://github.com/cdk-grpc-lb/cdk-grpc-lb/blob/main/"
# Pages that stand at the top of the repository, where readers of the repository look for them.
SHOWN = {"architecture.md": "ARCHITECTURE.md", "changelog.md": "CHANGELOG.md"}

_UP = re.compile(r"\]\((\.\./[^)\s]+)\)")
_TO_DOCS = re.compile(r"\]\(docs/([^)\s]+)\)")
_TO_TOP = re.compile(r"\]\((?!https?:|#|docs/|\.\./)([A-Za-z_./]+)([^)\s]*)\)")


def on_files(files: Files, config: Any) -> Files:
    for name, source in SHOWN.items():
        files.append(File.generated(config, name, content=_from_top((ROOT / source).read_text())))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    folder = posixpath.dirname(page.file.src_uri)
    return _UP.sub(lambda found: f"]({_from(folder, found[1])})", markdown)


def _from(folder: str, link: str) -> str:
    """A link of a page in `folder` of docs/: to another page as it is, out of docs/ to the repository."""
    path = posixpath.normpath(posixpath.join(folder, link))
    if not path.startswith("../"):
        return link
    found = _of_repository(path.removeprefix("../"))
    return found if found.startswith("https:") or not folder else posixpath.join(posixpath.relpath(".", folder), found)


def _of_repository(path: str) -> str:
    page, _, anchor = path.partition("#")
    shown = {source: name for name, source in SHOWN.items()}.get(page)
    if shown is not None:
        return shown + (f"#{anchor}" if anchor else "")
    return REPOSITORY + path


def _from_top(text: str) -> str:
    """A file of the repository's top level as a page of docs/."""
    text = _TO_TOP.sub(lambda found: f"]({_of_repository(found[1] + found[2])})", text)
    return _TO_DOCS.sub(r"](\1)", text)
