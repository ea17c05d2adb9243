"""What routers have beside a rule."""

from __future__ import annotations

from tests.traefik_labels.judge.sets import LabelSet
from tests.traefik_labels.judge.words import A, R, box, one, other, two

_SETTINGS: tuple[dict[str, str], ...] = (
    {"tls": "true"},
    {"tls": "false"},
    {"tls": ""},
    {"tls": "yes"},
    {"tls.options": "mtls@file"},
    {"tls.options": "default"},
    {"tls.certresolver": "le"},
    {"tls.domains[0].main": "a.~"},
    {"tls": "false", "tls.options": "mtls@file"},
    {"entrypoints": "web"},
    {"entrypoints": "admin"},
    {"entrypoints": "web,admin"},
    {"entrypoints": "nowhere"},
    {"entrypoints": ","},
    {"entrypoints": ""},
    {"EntryPoints": "admin"},
    {"priority": "5"},
    {"priority": "0"},
    {"priority": "-5"},
    {"priority": "+5"},
    {"priority": "2000000"},
    {"priority": "9223372036854775807"},
    {"service": "s~"},
    {"service": "s~@ecs"},
    {"service": "s~@docker"},
    {"service": "S~"},
    {"service": "nobody"},
    {"service": "api@internal"},
    {"service": "noop@internal"},
    {"service": ""},
    {"rulesyntax": "v3"},
    {"rulesyntax": "v2"},
    {"rulesyntax": "default"},
    {"observability.accesslogs": "false"},
    {"observability.metrics": "false", "observability.tracing": "false"},
    {"observability.traceverbosity": "detailed"},
    {"middlewares": ""},
)

_SYNTAX_2 = (
    "Host(`a.~`, `b.~`)",
    "HostHeader(`a.~`)",
    "HostRegexp(`{any:[a-z]+}.~`)",
    "HostRegexp(`{any:.+}.~`)",
    "Host(`a.~`) && Headers(`x-tenant`, `acme`)",
    "Host(`a.~`) && HeadersRegexp(`x-tenant`, `^acme-`)",
    "Host(`a.~`) && PathPrefix(`/rng.~.R/`, `/rng.~.S/`)",
    "Host(`a.~`) && Path(`/rng.~.{service}/Get`)",
    "Host(`a.~`) && Query(`a=b`)",
    "Host(`a.~`) && Method(`GET`, `POST`)",
    "Host(`a.~`) && Header(`x-tenant`, `acme`)",
    "Host(`a.~`) && PathRegexp(`^/rng`)",
)

SETS: list[LabelSet] = [
    *(
        one(
            f"router with {setting}",
            A,
            {f"routers.r~.{name}": value for name, value in setting.items()},
        )
        for setting in _SETTINGS
    ),
    *(one(f"version 2's syntax: {rule}", rule, {"routers.r~.rulesyntax": "v2"}) for rule in _SYNTAX_2),
    # the same beside a router that is open
    *(
        two(
            f"a router with {setting} before one without",
            box(f"{A} && {R}", {f"routers.r~.{name}": value for name, value in setting.items()}),
            other(A),
        )
        for setting in _SETTINGS[:16]
    ),
    one("no rule at all", None),
    one("no router and no service label", None, {"services.s~.loadbalancer.server.scheme": "(none)"}),
    one("two routers", A, {"routers.q~.rule": "Host(`b.~`)"}),
    one("two routers of one host", A, {"routers.q~.rule": f"{A} && {R}"}),
    one("a router without a rule beside one", A, {"routers.q~.service": "s~"}),
    one("a router that is only a word", A, {"routers.q~": "x"}),
]
