"""HTML that is escaped unless it was made here."""

from __future__ import annotations

import html


class Html(str):
    """Markup. Any other text is escaped where it becomes a child or an attribute."""

    __slots__ = ()


Child = str | int | None


def tag(element: str, *children: Child, **attributes: str | int | float | None) -> Html:
    """An element. `class_` is class, `aria_label` aria-label; an attribute or child that is None is left out."""
    written = "".join(
        f' {_attribute(name)}="{html.escape(str(value), quote=True)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{element}{written}>{joined(*children)}</{element}>")


def joined(*children: Child) -> Html:
    return Html("".join(_text(child) for child in children if child is not None))


def _attribute(name: str) -> str:
    return "class" if name == "class_" else name if name == "viewBox" else name.replace("_", "-")


def _text(child: str | int) -> str:
    return child if isinstance(child, Html) else html.escape(str(child), quote=True)
