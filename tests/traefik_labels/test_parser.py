from __future__ import annotations

import pytest

from traefik_labels.grammar.parsing import read_expression, read_first_rule, read_tags, read_template
from traefik_labels.grammar.syntax import Field, Name, NotReadable, Pipeline, Tag


@pytest.mark.parametrize(
    ("text", "read"),
    [
        (r'Host("\x61\142\u0063\"")', 'Host(`abc"`)'),
        ("Host(`a`,)", "Host(`a`)"),
        ("/* all */ Host(\n`a`) // of them", "Host(`a`)"),
        ("A() || B() && !C()", "A() || (B() && !C())"),
        ("!(A() && !B()) || C() > 0.5", "!(A() && !B()) || (C() > 0.5)"),
        ("A(1, -2.5)", "A(`1`, `-2.5`)"),
    ],
)
def test_expressions_are_read_as_go_reads_them(text: str, read: str) -> None:
    assert str(read_expression(text)) == read


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Host(`a`", "cannot be read at its end"),
        ("Host(`a`) Host(`b`)", "cannot be read at character 11"),
        ("", "cannot be read at its end"),
        (r'Host("\q")', "cannot be read at character 7"),
        ("Host(`a`\n)", "cannot be read at character 9"),
        ("Host(`a`)\n|| Host(`b`)", "cannot be read at character 11"),
        ("Host(`a`) & Host(`b`)", "cannot be read at character 11"),
        ("Host('a')", "cannot be read at character 6"),
        ("A() > 1 > 2", "cannot be read at character 9"),
        ("1 > A()", "cannot be read at character 3"),
        ("A())", "cannot be read at character 4"),
        ("Host(`a`)" + " || Host(`a`)" * 6000, "at most 65536 characters"),
    ],
)
def test_what_is_no_expression_is_told_with_its_place(text: str, words: str) -> None:
    with pytest.raises(NotReadable, match=words):
        read_expression(text)


def test_parentheses_and_negations_take_no_depth() -> None:
    assert str(read_expression("(" * 1500 + "A()" + ")" * 1500)) == "A()"
    assert str(read_expression("!" * 2001 + "A()")) == "!A()"


def test_the_other_languages() -> None:
    host, headers = read_first_rule("Host: a , b;Headers:k,v:w;")
    assert (host.name, host.arguments, headers.arguments) == ("Host", ("a", "b"), ("k", "v:w"))
    assert read_tags("tag==a*, tag!=b") == (Tag("tag", "==", "a*"), Tag("tag", "!=", "b"))
    assert read_template("{a} {{ .Name | f `/` }}") == (
        "{a} ",
        Pipeline(((Field("Name"),), (Name("f"), "/"))),
    )
