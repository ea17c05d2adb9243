from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from traefik_labels.grammar.parsing import read_expression, read_first_rule, read_tags, read_template
from traefik_labels.grammar.syntax import Field, Name, NotReadable, Pipeline, Tag

MAKER = Path(__file__).parents[2] / "dev/make_traefik_parser.py"


TEXTS = [
    ("expression", '!(Host(`a`) || Host("b", `c`)) && NetworkErrorRatio() >= 0.5 || A(1, -2.5)'),
    ("first_rule", "Host: a,b:1 ;PathPrefix:/x/{y:z};"),
    ("tags", "tag==a*, tag!=b"),
    ("template", "a {b} {{ index .Labels `x` | default (normalize .Name) }}{{ .Name }}"),
]


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def maker() -> ModuleType:
    return load(MAKER)


def test_the_parser_is_made_of_the_grammar_beside_it(maker: ModuleType, tmp_path: Path) -> None:
    """GIVEN the grammar, THEN the parser is what Lark makes of it (run dev/make_traefik_parser.py after a change)."""
    here, anew = maker.PARSER.read_text(), maker.made()
    assert here.splitlines()[0] == anew.splitlines()[0]
    # Its code, up to its tables, which come in another order each time
    assert here.partition("DATA = (")[0] == anew.partition("DATA = (")[0]
    # AND by its tables it reads as the other does
    (tmp_path / "parser_anew.py").write_text(anew)
    ours, theirs = (load(path).Lark_StandAlone() for path in (maker.PARSER, tmp_path / "parser_anew.py"))
    for start, text in TEXTS:
        assert str(ours.parse(text, start=start)) == str(theirs.parse(text, start=start))


def test_the_parser_needs_the_standard_library_alone() -> None:
    """GIVEN the Lambda's runtime, THEN the parser can be imported there: Lark itself is not asked for."""
    code = "import sys, traefik_labels.grammar.expression; print('lark' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "False"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Host(`a`", "cannot be read at its end"),
        ("Host(`a`) Host(`b`)", "cannot be read at character 11"),
        ("", "cannot be read at its end"),
        (r'Host("\x41")', "texts in backticks"),
        ("Host(`a`)" + " || Host(`a`)" * 400, "at most 4096 characters"),
        ("A() && (B() || (" * 20 + "C()" + "))" * 20, "at most 32 levels"),
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
