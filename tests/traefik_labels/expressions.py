"""Rules and calls by chance, of few words, so that they often meet."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hypothesis import strategies as st

from traefik_labels.grammar.syntax import And, Call, Expression, Not, Or


@dataclass(frozen=True)
class Sample:
    """A call of gRPC, and whether its client's address is one that a rule names."""

    host: str
    grpc_service: str
    method: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    known_client: bool = False


HOSTS = ("a.test", "b.test", "x.a.test", "y.x.a.test")
SERVICES = ("p.S", "p.ST", "p.T")
METHODS = ("Get", "GetAll")
KEYS, VALUES = ("k", "tenant"), ("v", "vw", "w")

SAMPLES = st.builds(
    Sample,
    st.sampled_from(HOSTS),
    st.sampled_from(SERVICES),
    st.sampled_from(METHODS),
    st.dictionaries(st.sampled_from(KEYS), st.sampled_from(VALUES)),
    st.booleans(),
)

_PATHS = ("/", "/p.S/", "/p.S", "/p.T/", "/p.S/Get", "/p.ST/GetAll", "/p.", "/p.S/Get/", "/health", "/p.S/{id}")


def _calls(name: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[Call]:
    return st.tuples(*arguments).map(lambda texts: Call(name, texts))


class Words:
    """Matchers."""

    SECOND = st.one_of(
        st.lists(st.sampled_from([*HOSTS, "A.Test", "no host"]), min_size=1, max_size=2).map(
            lambda hosts: Call("Host", tuple(hosts))
        ),
        _calls(
            "HostRegexp",
            st.sampled_from(
                [r"^.+\.a\.test$", r"^[a-z]+\.a\.test$", r".+\.a\.test", "{s:.+}.a.test", "{s:[a-z]+}.a.test"]
            ),
        ),
        _calls("PathPrefix", st.sampled_from(_PATHS)),
        _calls("Path", st.sampled_from(_PATHS)),
        _calls("PathRegexp", st.sampled_from([r"^/p\.S/", r"^/p\.S/Get$", r"/p\.S/", r"^/p\.[ST]/.*"])),
        _calls("Header", st.sampled_from([*KEYS, "Tenant"]), st.sampled_from(VALUES)),
        _calls("HeaderRegexp", st.sampled_from(KEYS), st.sampled_from(["^v", "^v$", ".*", "^v.*$", "v|w", "w$"])),
        _calls("Method", st.sampled_from(["POST", "GET"])),
        _calls("ClientIP", st.just("10.0.0.0/8")),
        _calls("Query", st.just("a"), st.just("b")),
    )
    FIRST = st.sampled_from(
        [
            "Host:a.test",
            "Host: a.test, B.test",
            "HostRegexp:{s:.+}.a.test",
            "HostRegexp:{s:[a-z]+}.a.test",
            "PathPrefix:/p.S/",
            "PathPrefix:/p.S",
            "PathPrefix:/p.S/,/p.T/",
            "Path:/p.S/Get",
            "Path:/p.S/Get,/health",
            "Headers:k,v",
            "HeadersRegexp:k,^v",
            "HeadersRegexp:k,v",
            "Method:POST",
            "Method:GET,POST",
            "Method:GET",
            "Query:a=b",
        ]
    )


def _joined(parts: list[Expression], join: type[And] | type[Or]) -> Expression:
    """As the parser makes them: what stands in itself is one."""
    flat: list[Expression] = []
    for part in parts:
        if isinstance(part, And) and join is And:
            flat += part.all
        elif isinstance(part, Or) and join is Or:
            flat += part.any
        else:
            flat.append(part)
    return join(tuple(flat))


def mixes_syntaxes(rule: Expression) -> bool:
    """Whether no version takes it: some of its matchers are of version 3 alone, and some of version 2 alone."""
    calls, waiting = list[Call](), [rule]
    while waiting:
        match waiting.pop():
            case Call() as call:
                calls.append(call)
            case Not(what):
                waiting.append(what)
            case And(parts) | Or(parts):
                waiting += parts
    only_in_v3 = any(call.name in ("PathRegexp", "Header", "HeaderRegexp") for call in calls)
    return only_in_v3 and any(call.name == "Host" and len(call.arguments) > 1 for call in calls)


RULES: st.SearchStrategy[Expression] = st.recursive(
    Words.SECOND,
    lambda inner: st.one_of(
        inner.map(lambda one: one.what if isinstance(one, Not) else Not(one)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: _joined(parts, And)),
        st.lists(inner, min_size=2, max_size=3).map(lambda parts: _joined(parts, Or)),
    ),
    max_leaves=8,
)
