"""The part of Go's templates that default rules are made of: https://pkg.go.dev/text/template

template = { TEXT | "{{" pipeline "}}" }
pipeline = command { "|" command }    command = operand { operand }
operand  = "." NAME | NAME | STRING | NUMBER | "(" pipeline ")"
"""

from __future__ import annotations

from traefik_labels.grammar.lexer import NAME, NUMBER, STRING, Words, tokens
from traefik_labels.grammar.syntax import CannotBeReadAt, Field, Name, NotReadable, Pipeline, Template, Word

_DEEPEST = 100


def template(text: str) -> Template:
    """Raises CannotBeReadAt and NotReadable."""
    parts: list[str | Pipeline] = []
    at = 0
    while at < len(text):
        start = text.find("{{", at)
        if start < 0:
            start = len(text)
        if start > at:
            parts.append(text[at:start])
        if start == len(text):
            break
        end = text.find("}}", start)
        if end < 0:
            raise CannotBeReadAt(0)
        words = Words(list(tokens(text, start + 2, end)))
        parts.append(_pipeline(words, 1))
        words.end()
        at = end + 2
    return tuple(parts)


def _pipeline(words: Words, depth: int) -> Pipeline:
    if depth > _DEEPEST:
        raise NotReadable("a template of fewer levels")
    commands = [_command(words, depth)]
    while words.skip("|"):
        commands.append(_command(words, depth))
    return Pipeline(tuple(commands))


def _command(words: Words, depth: int) -> tuple[Word, ...]:
    found: list[Word] = []
    while words.next.kind in (NAME, STRING, NUMBER) or words.is_operator(".") or words.is_operator("("):
        found.append(_word(words, depth))
    if not found:
        raise words.refused()
    return tuple(found)


def _word(words: Words, depth: int) -> Word:
    if words.skip("("):
        within = _pipeline(words, depth + 1)
        words.expect(")")
        return within
    if words.skip("."):
        if words.next.kind != NAME:
            raise words.refused()
        return Field(words.take().text)
    token = words.take()
    return Name(token.text) if token.kind == NAME else token.text
