"""The texts of Traefik's labels read as trees."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from traefik_labels.grammar.syntax import Call, CannotBeReadAt, Expression, NotReadable, Tag, Template, TooMuch

LONGEST = 65_536
"""A whole task definition is no longer:
https://docs.aws.amazon.com/AmazonECS/latest/developerguide/service-quotas.html"""


def read_expression(text: str, such_as: str = "Host(`a.example`) && PathPrefix(`/`)") -> Expression:
    """A rule of version 2 or 3, a constraint, or a circuit breaker's expression. Raises NotReadable."""
    expression: Expression = _read(text, "expression", f"an expression such as {such_as}")
    return expression


def read_first_rule(text: str) -> tuple[Call, ...]:
    """A rule of version 1, such as `Host:a,b;PathPrefix:/x`: all must hold. Raises NotReadable."""
    calls: tuple[Call, ...] = _read(text, "first_rule", "a rule such as Host:a.example;PathPrefix:/")
    return calls


def read_tags(text: str) -> tuple[Tag, ...]:
    """Constraints of version 1. Raises NotReadable."""
    tags: tuple[Tag, ...] = _read(text, "tags", "constraints such as tag==grpc,tag!=test-*")
    return tags


def read_template(text: str) -> Template:
    """A default rule. Raises NotReadable."""
    template: Template = _read(text, "template", "a template such as Host(`{{ normalize .Name }}.example.com`)")
    return template


@cache
def _parser() -> Callable[[str, str], Any]:
    # A Lambda that reads no such labels is not to load a parser at its cold start.
    from traefik_labels.grammar import expression, lists, template

    readers: Mapping[str, Callable[[str], Any]] = {
        "expression": expression.expression,
        "first_rule": lists.first_rule,
        "tags": lists.tags,
        "template": template.template,
    }
    return lambda text, start: readers[start](text)


@lru_cache(maxsize=1024)
def _read(text: str, start: str, rule: str) -> Any:
    # A Lambda reads the labels of all running task definitions at each refresh, and they seldom change.
    if len(text) > LONGEST:
        raise TooMuch(f"at most {LONGEST} characters")
    try:
        return _parser()(text, start)
    except CannotBeReadAt as error:
        where = f"character {error.column}" if error.column > 0 else "its end"
        raise NotReadable(f"{rule}; it cannot be read at {where}") from None
