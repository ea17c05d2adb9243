"""Rules of versions 2 and 3, constraints, and what trips a circuit breaker: calls of Go functions.

Parentheses and negations wait on a stack, so that no depth of them is a depth of Python calls.
https://doc.traefik.io/traefik/v3.6/routing/routers/#rule

    expression  = unary { ("&&" | "||" | comparison) unary }
    unary       = { "!" | "(" } call { ")" }
    call        = NAME "(" [ argument { "," argument } [ "..." ] [ "," ] ] ")"
    comparison  = ">" | ">=" | "<" | "<=" | "==" | "!="          (a call on the left, a number on the right)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from traefik_labels.grammar.lexer import NAME, NUMBER, OPERATOR, STRING, Token, Words, tokens
from traefik_labels.grammar.syntax import And, Call, CannotBeReadAt, Comparison, Expression, Not, Or

# As in Go: https://go.dev/ref/spec#Operator_precedence
_BINDS = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3}
_NUMBER = re.compile(r"[0-9]+(\.[0-9]*)?|\.[0-9]+")


@dataclass(frozen=True, slots=True)
class _Number:
    literal: str


_Operand = Expression | _Number


def expression(text: str) -> Expression:
    """An operator waits on a stack until what binds tighter is done. Raises CannotBeReadAt and NotReadable."""
    words = Words(list(tokens(text)))
    operands: list[_Operand] = []
    operators: list[Token] = []
    while True:
        while words.is_operator("!") or words.is_operator("("):
            operators.append(words.take())
        operands.append(_operand(words))
        while words.is_operator(")"):
            _apply_until(operands, operators, 0)
            if not operators:
                raise words.refused()
            operators.pop()
            words.take()
            _negate(operands, operators)
        if words.next.kind != OPERATOR or words.next.text not in _BINDS:
            break
        _apply_until(operands, operators, _BINDS[words.next.text])
        operators.append(words.take())
    words.end()
    _apply_until(operands, operators, 0)
    if operators:
        raise CannotBeReadAt(0)
    (found,) = operands
    return _expression(found, 1)


def _apply_until(operands: list[_Operand], operators: list[Token], binds: int) -> None:
    """Apply what is on the stack up to a parenthesis, or what binds less tightly."""
    _negate(operands, operators)
    while operators and operators[-1].text != "(" and _BINDS[operators[-1].text] >= binds:
        operator, right, left = operators.pop(), operands.pop(), operands.pop()
        operands.append(_joined(operator, left, right))
        _negate(operands, operators)


def _negate(operands: list[_Operand], operators: list[Token]) -> None:
    while operators and operators[-1].text == "!":
        what = _expression(operands.pop(), operators.pop().column)
        operands.append(what.what if isinstance(what, Not) else Not(what))


def _joined(operator: Token, left: _Operand, right: _Operand) -> Expression:
    if operator.text in ("&&", "||"):
        both = _expression(left, operator.column), _expression(right, operator.column)
        if operator.text == "&&":
            return And(tuple(part for one in both for part in (one.all if isinstance(one, And) else (one,))))
        return Or(tuple(part for one in both for part in (one.any if isinstance(one, Or) else (one,))))
    if not isinstance(left, Call) or not isinstance(right, _Number):
        raise CannotBeReadAt(operator.column)
    return Comparison(left, operator.text, float(right.literal), right.literal)


def _expression(operand: _Operand, column: int) -> Expression:
    if isinstance(operand, _Number):
        raise CannotBeReadAt(column)
    return operand


def _operand(words: Words) -> _Operand:
    sign = "-" if words.skip("-") else ""
    if words.next.kind == NUMBER:
        return _number(words, sign)
    if words.next.kind != NAME or sign:
        raise words.refused()
    name = words.take().text
    words.expect("(")
    arguments: list[str] = []
    has_numbers = False
    while not words.skip(")"):
        has_numbers |= words.next.kind != STRING
        arguments.append(_argument(words))
        if words.skip("..."):
            words.skip(",")
            words.expect(")")
            break
        if not words.is_operator(")"):
            words.expect(",")
    return Call(name, tuple(arguments), has_numbers)


def _argument(words: Words) -> str:
    sign = "-" if words.skip("-") else ""
    if words.next.kind == NUMBER:
        return sign + words.take().text
    if words.next.kind != STRING or sign:
        raise words.refused()
    return words.take().text


def _number(words: Words, sign: str) -> _Number:
    if _NUMBER.fullmatch(words.next.text) is None:
        raise words.refused()
    return _Number(sign + words.take().text)
