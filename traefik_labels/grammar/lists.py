"""Version 1's rules and constraints: lists of lists.

    rule = matcher { ";" matcher } [ ";" ]    matcher = NAME ":" value { "," value }
    tags = tag { "," tag }                    tag = NAME ("==" | "!=" | ...) value

https://doc.traefik.io/traefik/v1.7/basics/#matchers and
https://doc.traefik.io/traefik/v1.7/configuration/commons/#constraints
"""

from __future__ import annotations

import re

from traefik_labels.grammar.syntax import Call, CannotBeReadAt, Tag

_FIRST_MATCHER = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\s*:")
_TAG = re.compile(r"\s*([A-Za-z][A-Za-z0-9]*)\s*(==|!=|>=|<=|>|<)\s*([^;,]*[^;,\s])\s*")


def first_rule(text: str) -> tuple[Call, ...]:
    """A rule of version 1. Raises CannotBeReadAt."""
    found: list[Call] = []
    at = 0
    for part in text.split(";"):
        matcher = _FIRST_MATCHER.match(part)
        if matcher is None and not (found and at + len(part) == len(text) and not part.strip()):
            raise CannotBeReadAt(0 if not part.strip() else at + 1)
        if matcher is not None:
            values = tuple(value.strip() for value in part[matcher.end() :].split(","))
            if not all(values):
                raise CannotBeReadAt(at + matcher.end() + 1 if part[matcher.end() :].strip() else 0)
            found.append(Call(matcher[1], values))
        at += len(part) + 1
    return tuple(found)


def tags(text: str) -> tuple[Tag, ...]:
    """Constraints of version 1. Raises CannotBeReadAt."""
    found: list[Tag] = []
    at = 0
    for part in text.split(","):
        tag = _TAG.fullmatch(part)
        if tag is None:
            raise CannotBeReadAt(at + 1 if part.strip() else 0)
        found.append(Tag(tag[1], tag[2], tag[3]))
        at += len(part) + 1
    return tuple(found)
