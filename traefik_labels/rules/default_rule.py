"""Rules of containers that have none: the template that Traefik is set up with, filled in."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from traefik_labels.grammar.parsing import read_template
from traefik_labels.grammar.syntax import Field, Name, NotReadable, Pipeline, Word
from traefik_labels.model import Container

DEFAULT_RULE = "Host(`{{ normalize .Name }}`)"
"""https://doc.traefik.io/traefik/v3.6/providers/ecs/#defaultrule"""

FUNCTIONS: Mapping[str, tuple[int, Callable[..., str]]] = {
    "normalize": (1, lambda text: normalized(text)),
    # of Sprig, which Traefik's templates have: https://masterminds.github.io/sprig/strings.html
    "trim": (1, str.strip),
    "lower": (1, str.lower),
    "upper": (1, str.upper),
    "trimPrefix": (2, lambda prefix, text: text.removeprefix(prefix)),
    "trimSuffix": (2, lambda suffix, text: text.removesuffix(suffix)),
    "replace": (3, lambda old, new, text: text.replace(old, new)),
    "default": (2, lambda default, text: text or default),
}
"""Each with its number of arguments, of which a pipe gives the last."""

_NO_FUNCTION: tuple[int, Callable[..., str]] = (-1, str)

_Value = str | Mapping[str, str]


def normalized(text: str) -> str:
    """As Traefik makes names: letters and digits, with - for whatever is between them.

    >>> normalized("service-rng_service-app")
    'service-rng-service-app'
    """
    return "-".join(part for part in re.split(r"[\W_]+", text) if part)


def fill_in(template: str, container: Container) -> str:
    """Raises NotReadable for what is no template, or says more than the common forms."""
    parts = (part if isinstance(part, str) else _run(part, container) for part in read_template(template))
    try:
        return "".join(map(_text, parts))
    except RecursionError:
        raise NotReadable("a template of fewer levels") from None


def first_default_rule(container: Container, domain: str | None) -> str:
    """Version 1's: https://github.com/traefik/traefik/blob/v1.7.34/provider/ecs/config.go"""
    return f"Host:{container.traefik_name.replace('_', '-').lower()}{f'.{domain}' if domain else ''}"


def _run(pipeline: Pipeline, container: Container) -> _Value:
    piped: list[_Value] = []
    for command in pipeline.commands:
        piped = [_call(command, piped, container)]
    return piped[0]


def _call(command: tuple[Word, ...], piped: list[_Value], container: Container) -> _Value:
    first, *rest = command
    arguments = [_value(word, container) for word in rest] + piped
    if not isinstance(first, Name):
        if arguments:
            raise NotReadable("a template whose values take no arguments")
        return _value(first, container)
    if first.name == "index":
        match arguments:
            case [Mapping() as labels, str() as label]:
                return str(labels.get(label, ""))
        raise NotReadable("a template with index .Labels `name`")
    number, function = FUNCTIONS.get(first.name, _NO_FUNCTION)
    texts = list(map(_text, arguments))
    if number != len(texts):
        raise NotReadable(f"a template of the functions {', '.join(sorted((*FUNCTIONS, 'index')))}, got {first.name}")
    filled_in: str = function(*texts)
    return filled_in


def _value(word: Word, container: Container) -> _Value:
    match word:
        case str():
            return word
        case Pipeline():
            return _run(word, container)
        case Field("Name"):
            # As Traefik hands it to the template, whether or not that normalizes it.
            return normalized(container.traefik_name)
        case Field("Labels"):
            return container.labels
        case Field(name) | Name(name):
            raise NotReadable(f"a template of .Name and .Labels, got {name}")


def _text(value: _Value) -> str:
    if not isinstance(value, str):
        raise NotReadable("a template that takes one of .Labels, with index")
    return value
