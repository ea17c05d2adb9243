"""Makes the trees of syntax.py while the generated parser reads."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from traefik_labels.parser import Lark_StandAlone, LarkError, Token, Transformer, UnexpectedInput, UnexpectedToken
from traefik_labels.syntax import (
    And,
    Call,
    CannotBeReadAt,
    Comparison,
    Field,
    Name,
    Not,
    NotReadable,
    Or,
    Pipeline,
    Tag,
    Template,
    Word,
)


def build(text: str, start: str) -> Any:
    """The tree of a text; `start` is a start symbol of the grammar. Raises CannotBeReadAt and NotReadable."""
    try:
        return _parser().parse(text, start=start)
    except UnexpectedToken as error:
        raise CannotBeReadAt(0 if error.token.type == "$END" else error.column) from None
    except UnexpectedInput as error:
        raise CannotBeReadAt(error.column) from None
    except LarkError as error:
        # What a callback raises comes wrapped.
        if isinstance(error.__context__, NotReadable):
            raise error.__context__ from None
        raise


@cache
def _parser() -> Lark_StandAlone:
    return Lark_StandAlone(transformer=_Builder())


class _Builder(Transformer):
    """Bottom up, so that no depth of parentheses is a depth of Python calls."""

    def expression(self, children: list[Any]) -> Any:
        return children[0]

    def disjunction(self, children: list[Any]) -> Or:
        return Or(tuple(part for child in children for part in (child.any if isinstance(child, Or) else (child,))))

    def conjunction(self, children: list[Any]) -> And:
        return And(tuple(part for child in children for part in (child.all if isinstance(child, And) else (child,))))

    def negation(self, children: list[Any]) -> Any:
        return children[0].what if isinstance(children[0], Not) else Not(children[0])

    def comparison(self, children: list[Any]) -> Comparison:
        call, operator, number = children
        return Comparison(call, str(operator), float(number))

    def call(self, children: list[Any]) -> Call:
        name, *arguments = children
        return Call(str(name), tuple(map(_text, arguments)))

    def first_rule(self, children: list[Any]) -> tuple[Call, ...]:
        return tuple(children)

    def first_matcher(self, children: list[Any]) -> Call:
        name, *values = (str(child).strip() for child in children)
        return Call(name, tuple(values))

    def tags(self, children: list[Any]) -> tuple[Tag, ...]:
        return tuple(children)

    def tag(self, children: list[Any]) -> Tag:
        return Tag(*(str(child).strip() for child in children))

    def template(self, children: list[Any]) -> Template:
        return tuple(str(child) if isinstance(child, Token) else child for child in children)

    def action(self, children: list[Any]) -> Any:
        return children[0]

    def pipeline(self, children: list[Any]) -> Pipeline:
        return Pipeline(tuple(children))

    def command(self, children: list[Any]) -> tuple[Word, ...]:
        return tuple(map(_word, children))


def _word(child: Any) -> Word:
    if isinstance(child, Pipeline):
        return child
    if child.type == "FIELD":
        return Field(child[1:])
    return Name(str(child)) if child.type == "NAME" else _text(child)


def _text(token: Token) -> str:
    if token.type == "RAW":
        return token[1:-1]
    return _go_string(token) if token.type == "QUOTED" else str(token)


def _go_string(token: Token) -> str:
    try:
        # What both languages write in the same way; Go's \x41 is no JSON.
        return str(json.loads(token, strict=False))
    except ValueError:
        raise NotReadable(f"an expression with texts in backticks, without escapes such as those in {token}") from None
