"""Constraints: which containers a Traefik takes, by their labels."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Mapping

from traefik_labels.grammar.parsing import read_expression, read_tags
from traefik_labels.grammar.syntax import And, Call, Comparison, Expression, Not, NotReadable, Or, Tag
from traefik_labels.rules.host_patterns import with_pythons_classes

TAGS = "traefik.tags"
_OF_TAGS = re.compile(r"\s*tag\s*[!=]=")

Fits = Callable[[Mapping[str, str]], bool]


def constraint(text: str) -> Fits:
    """What a container's labels must fit: `tag==grpc,tag!=test-*` of version 1, or ``Label(`k`, `v`)`` and its like of
    2 and 3. Raises NotReadable.
    """
    if _OF_TAGS.match(text):
        tags = read_tags(text)
        for tag in tags:
            if tag.name != "tag" or tag.operator not in ("==", "!="):
                raise NotReadable(f"constraints such as tag==grpc or tag!=test-*, got {tag.name}{tag.operator}")
        return lambda labels: all(_fits_tag(tag, labels) for tag in tags)
    return _constraint(read_expression(text, "Label(`name`, `value`)"))


def _fits_tag(tag: Tag, labels: Mapping[str, str]) -> bool:
    has = any(_globs(one.strip(), tag.pattern) for one in labels.get(TAGS, "").split(",") if one.strip())
    return has if tag.operator == "==" else not has


def _globs(text: str, pattern: str) -> bool:
    """`*` alone is a wildcard: https://github.com/ryanuber/go-glob"""
    return fnmatch.fnmatchcase(text, re.sub(r"[\[?]", lambda found: f"[{found[0]}]", pattern))


def _constraint(expression: Expression) -> Fits:
    match expression:
        case And(parts):
            every = [_constraint(part) for part in parts]
            return lambda labels: all(fits(labels) for fits in every)
        case Or(parts):
            some = [_constraint(part) for part in parts]
            return lambda labels: any(fits(labels) for fits in some)
        case Not(what):
            fits = _constraint(what)
            return lambda labels: not fits(labels)
        case Call("Label", (key, value)):
            # To Traefik a label that is not there is an empty one.
            return lambda labels: labels.get(key, "") == value
        case Call("LabelRegex", (key, pattern)):
            found = _pattern(pattern)
            return lambda labels: found.search(labels.get(key, "")) is not None
        case Call() | Comparison():
            raise NotReadable(
                f"constraints of Label(`name`, `value`) and LabelRegex(`name`, `pattern`), got {expression}"
            )


_PYTHONS_ALONE = re.compile(r"\(\?(?:<?[=!]|\()|\\[1-9]")


def _pattern(text: str) -> re.Pattern[str]:
    if _PYTHONS_ALONE.search(text):
        raise NotReadable(f"constraints with regular expressions of Go, got {text!r} (it has no look-around)")
    try:
        return re.compile(with_pythons_classes(text), re.ASCII)
    except re.error as error:
        raise NotReadable(f"constraints with regular expressions, got {text!r} ({error})") from None
