"""Words of Go: rules, constraints and circuit breakers are Go expressions to Traefik, and templates have words alike.

https://go.dev/ref/spec#Lexical_elements
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from traefik_labels.grammar.syntax import CannotBeReadAt

NAME, STRING, NUMBER, OPERATOR, END = "name", "string", "number", "operator", "end"
LINE_END = "line end"
"""Where Go ends a statement by itself: no expression goes on behind it."""

_WORDS = re.compile(
    r"(?P<space>[ \t\r]+)"
    r"|(?P<newline>\n)"
    r"|(?P<comment>//[^\n]*|/\*.*?\*/)"
    r"|(?P<raw>`[^`]*`)"
    r'|(?P<quoted>"(?:\\.|[^"\\\n])*")'
    r"|(?P<number>(?:[0-9][0-9_]*)(?:\.[0-9]*)?(?:[eE][+-]?[0-9]+)?|\.[0-9]+)"
    r"|(?P<name>[^\W\d]\w*)"
    r"|(?P<operator>&&|\|\||==|!=|>=|<=|\.\.\.|[!()<>,.|-])",
    re.DOTALL,
)
_ENDS_STATEMENT = (NAME, STRING, NUMBER)
_ESCAPE = re.compile(r"\\(?:([0-7]{3})|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([abfnrtv\\\"]))")
_SIMPLE = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v", "\\": "\\", '"': '"'}


@dataclass(frozen=True, slots=True)
class Token:
    """`text` is what a string says, not how it is written; `column` is its first character's number, from 1."""

    kind: str
    text: str
    column: int

    def is_operator(self, text: str) -> bool:
        return self.kind == OPERATOR and self.text == text


class Words:
    """Tokens, one ahead."""

    def __init__(self, found: Sequence[Token]) -> None:
        self._tokens = found
        self._at = 0

    @property
    def next(self) -> Token:
        return self._tokens[self._at]

    def take(self) -> Token:
        token = self.next
        self._at += token.kind != END
        return token

    def is_operator(self, text: str) -> bool:
        return self.next.is_operator(text)

    def skip(self, text: str) -> bool:
        """Whether it was there."""
        there = self.is_operator(text)
        if there:
            self.take()
        return there

    def expect(self, text: str) -> None:
        if not self.skip(text):
            raise self.refused()

    def refused(self) -> CannotBeReadAt:
        return CannotBeReadAt(self.next.column)

    def end(self) -> None:
        """Raises CannotBeReadAt where more follows."""
        if self.next.kind == LINE_END:
            self.take()
        if self.next.kind != END:
            raise self.refused()


def tokens(text: str, start: int = 0, end: int | None = None) -> Iterator[Token]:
    """Those of text[start:end], with END as the last. Raises CannotBeReadAt."""
    at, stop = start, len(text) if end is None else end
    last: Token | None = None
    while at < stop:
        found = _WORDS.match(text, at, stop)
        if found is None:
            raise CannotBeReadAt(at + 1)
        kind, word = found.lastgroup or "", found[0]
        if kind == "newline" or (kind == "comment" and ("\n" in word or word.startswith("//"))):
            if last is not None and (last.kind in _ENDS_STATEMENT or last.is_operator(")")):
                last = Token(LINE_END, word, at + 1)
                yield last
        elif kind not in ("space", "comment"):
            last = _token(kind, word, at + 1)
            yield last
        at = found.end()
    yield Token(END, "", 0)


def _token(kind: str, word: str, column: int) -> Token:
    if kind == "raw":
        return Token(STRING, word[1:-1].replace("\r", ""), column)
    return Token(STRING, _unquoted(word, column), column) if kind == "quoted" else Token(kind, word, column)


def _unquoted(word: str, column: int) -> str:
    """As Go's strconv.Unquote. Escapes of single bytes make up UTF-8 together."""
    parts: list[bytes] = []
    at, text = 0, word[1:-1]
    while at < len(text):
        if text[at] != "\\":
            parts.append(text[at].encode(errors="surrogatepass"))
            at += 1
            continue
        found = _ESCAPE.match(text, at)
        if found is None:
            raise CannotBeReadAt(column + at + 1)
        parts.append(_escaped(found, column + at + 1))
        at = found.end()
    return b"".join(parts).decode(errors="surrogateescape")


def _escaped(found: re.Match[str], column: int) -> bytes:
    octal, byte, short, long, simple = found.groups()
    if simple:
        return _SIMPLE[simple].encode()
    if octal or byte:
        number = int(octal, 8) if octal else int(byte, 16)
        if number > 255:
            raise CannotBeReadAt(column)
        return bytes([number])
    code = int(short or long, 16)
    if code > 0x10FFFF or 0xD800 <= code < 0xE000:
        raise CannotBeReadAt(column)
    return chr(code).encode()
