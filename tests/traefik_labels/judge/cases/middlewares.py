"""What middlewares do: each alone on a router, and on a router before one that has none."""

from __future__ import annotations

from tests.traefik_labels.judge.sets import Call, LabelSet
from tests.traefik_labels.judge.words import AUTH, A, R, box, one, other, two

_KINDS: tuple[dict[str, str], ...] = (
    {"basicauth.users": "u:$apr1$abc$0123456789012345678901"},
    {"digestauth.users": "u:r:0123456789abcdef0123456789abcdef"},
    {"forwardauth.address": "http://127.0.0.1:9/"},
    {"ipallowlist.sourcerange": "10.0.0.0/8"},
    {"ipallowlist.sourcerange": "127.0.0.0/8"},
    {"ipallowlist.sourcerange": "10.0.0.0/8", "ipallowlist.rejectstatuscode": "404"},
    {"ipwhitelist.sourcerange": "10.0.0.0/8"},
    {"headers.allowedhosts": "x.test"},
    {"headers.customrequestheaders.X-User": ""},
    {"headers.customrequestheaders.X-User": "nobody"},
    {"headers.customresponseheaders.X-Powered-By": ""},
    {"headers.framedeny": "true"},
    {"headers.sslredirect": "true"},
    {"headers.stsseconds": "10"},
    {"headers.accesscontrolalloworiginlist": "*", "headers.accesscontrolallowmethods": "GET"},
    {"headers.isdevelopment": "true", "headers.allowedhosts": "x.test"},
    {"redirectscheme.scheme": "https"},
    {"redirectregex.regex": "^http://(.*)", "redirectregex.replacement": "https://$1"},
    {"addprefix.prefix": "/x"},
    {"stripprefix.prefixes": "/rng.~.R"},
    {"stripprefixregex.regex": "^/rng"},
    {"replacepath.path": "/x.Y/Z"},
    {"replacepathregex.regex": "^/(.*)", "replacepathregex.replacement": "/x/$1"},
    {"retry.attempts": "2"},
    {"retry.attempts": "2", "retry.initialinterval": "100ms"},
    {"retry.attempts": "x"},
    {"circuitbreaker.expression": "NetworkErrorRatio() > 0.5"},
    {"circuitbreaker.expression": "nonsense"},
    {"ratelimit.average": "1000", "ratelimit.burst": "1000"},
    {"ratelimit.average": "1000", "ratelimit.burst": "1000", "ratelimit.sourcecriterion.requesthost": "true"},
    {"inflightreq.amount": "100"},
    {"inflightreq.amount": "100", "inflightreq.sourcecriterion.requesthost": "true"},
    {"compress": "true"},
    {"compress": "false"},
    {"contenttype": "true"},
    {"contenttype.autodetect": "true"},
    {"buffering.maxrequestbodybytes": "1"},
    {"buffering.maxrequestbodybytes": "1000000"},
    {"errors.status": "500-599", "errors.service": "s~", "errors.query": "/x"},
    {"grpcweb.alloworigins": "*"},
    {"passtlsclientcert.pem": "true"},
    {"chain.middlewares": "auth~"},
    {"chain.middlewares": "m~"},
    {"chain.middlewares": "nobody"},
    {"plugin.thing.option": "x"},
    {"encodedcharacters.allowencodedslash": "true"},
    {"invented.option": "x"},
    {"retry.invented": "x"},
)

# Traefik decodes these, and then refuses them with the routers that have them.
_REFUSED: tuple[dict[str, str], ...] = (
    {"retry.initialinterval": "1s"},
    {"inflightreq.sourcecriterion.requesthost": "true"},
    {
        "inflightreq.amount": "5",
        "inflightreq.sourcecriterion.requesthost": "true",
        "inflightreq.sourcecriterion.requestheadername": "x",
    },
    {"inflightreq.amount": "5", "inflightreq.sourcecriterion.ipstrategy.excludedips": "x"},
    {"ratelimit.average": "5", "ratelimit.period": "-1s"},
    {"circuitbreaker.checkperiod": "1s"},
    {"circuitbreaker.expression": "NetworkErrorRatio() > 1"},
    {"circuitbreaker.expression": "NetworkErrorRatio() > -0.5"},
    {"circuitbreaker.expression": "NetworkErrorRatio()"},
    {"circuitbreaker.expression": "NetworkErrorRatio(1) > 0.5"},
    {"circuitbreaker.expression": "!(NetworkErrorRatio() > 0.5)"},
    {"circuitbreaker.expression": "LatencyAtQuantileMS(50) > 100"},
    {"circuitbreaker.expression": "LatencyAtQuantileMS(50.0) > 100.5"},
    {"circuitbreaker.expression": "ResponseCodeRatio(500, 600) > 0.3"},
    {"circuitbreaker.expression": "Invented() > 0.5"},
    {"errors.status": "x", "errors.service": "s~"},
    {"errors.status": "500,", "errors.service": "s~"},
    {"errors.status": "500"},
    {"errors.status": "100-599", "errors.service": "s~"},
    {"errors.statusrewrites.x": "500", "errors.service": "s~"},
    {"compress.encodings": "gzip,nonsense"},
    {"compress.defaultencoding": "gzip", "compress.encodings": "br"},
    {"compress.excludedcontenttypes": "a/b", "compress.includedcontenttypes": "c/d"},
    {"compress.excludedcontenttypes": "not a type"},
    {"buffering.retryexpression": "Attempts()"},
    {"buffering.retryexpression": "Attempts() < 3.5"},
    {"buffering.memrequestbodybytes": "-5"},
    {"headers.framedeny": "false"},
    {"headers.accesscontrolalloworiginlist": ""},
    {"headers.accesscontrolalloworiginlistregex": "("},
)
# And takes these, which look much alike.
_TAKEN: tuple[dict[str, str], ...] = (
    {"inflightreq.amount": "5", "inflightreq.sourcecriterion.ipstrategy.excludedips": "10.0.0.1/8,::1"},
    {"circuitbreaker.expression": "NetworkErrorRatio() > 1.0 || LatencyAtQuantileMS(50.0) > 100"},
    {"errors.status": "400-499, 500", "errors.service": "s~"},
    {"compress.excludedcontenttypes": "text/html; charset=utf-8, image/*"},
    {"buffering.retryexpression": "IsNetworkError() && Attempts() < 3"},
    {"headers.framedeny": "false", "headers.stsseconds": "0"},
)

_CALLS = (
    Call("a.~", "/rng.~.R/Get", (("x-user", "root"),)),
    Call("a.~", "/rng.~.R/Get", (("authorization", "Basic eDp5"),)),
    Call("a.~", "/rng.~.S/Get"),
)


def _with(kind: dict[str, str]) -> dict[str, str]:
    auth = AUTH if "auth~" in kind.values() else {}
    return {"routers.r~.middlewares": "m~", **{f"middlewares.m~.{key}": value for key, value in kind.items()}, **auth}


SETS: list[LabelSet] = [
    *(one(f"refused middleware {kind}", A, _with(kind)) for kind in _REFUSED),
    *(one(f"middleware {kind}", A, _with(kind)) for kind in _TAKEN),
    *(
        two(f"refused middleware {kind} before a router without", box(f"{A} && {R}", _with(kind)), other(A))
        for kind in _REFUSED[::3]
    ),
    *(one(f"middleware {kind}", A, _with(kind), calls=_CALLS) for kind in _KINDS),
    *(
        two(f"middleware {kind} before a router without", box(f"{A} && {R}", _with(kind)), other(A), calls=_CALLS)
        for kind in _KINDS[:24]
    ),
    *(
        one(f"middlewares named {names!r}", A, {"routers.r~.middlewares": names, **AUTH}, calls=_CALLS)
        for names in (
            "auth~",
            "auth~@ecs",
            "auth~@file",
            "Auth~",
            " auth~ ",
            "nobody",
            "nobody@file",
            "auth~,nobody",
            ",",
            "auth~@docker",
        )
    ),
    one("a middleware that is defined and not used", A, AUTH),
    one("middleware without the s", A, {"routers.r~.middleware": "auth~", **AUTH}),
    one("middlewares with an index", A, {"routers.r~.middlewares[0]": "auth~", **AUTH}),
    two("a middleware that another container defines", box(A, {"routers.r~.middlewares": "auth~"}), other(None, AUTH)),
    two(
        "a harmless middleware that another container defines",
        box(A, {"routers.r~.middlewares": "m~"}),
        other(None, {"middlewares.m~.compress": "true"}),
    ),
    two(
        "a middleware that two containers define otherwise",
        box(A, {"routers.r~.middlewares": "m~", "middlewares.m~.compress": "true"}),
        other("Host(`b.~`)", {"middlewares.m~.basicauth.users": "u:$apr1$abc$0123456789012345678901"}),
    ),
    two(
        "an auth in a router that is less specific and comes first",
        box(A, {"routers.r~.middlewares": "auth~", "routers.r~.priority": "1000", **AUTH}),
        other(f"{A} && {R}"),
    ),
    one(
        "an auth in a router of the same container",
        f"{A} && {R}",
        {"routers.r~.middlewares": "auth~", "routers.q~.rule": A, **AUTH},
    ),
    *(
        two(
            f"an auth whose rule is {what}",
            box(rule, {"routers.r~.middlewares": "auth~", "routers.r~.priority": "100000", **AUTH}),
            other(A),
        )
        for what, rule in (
            ("long", f"{A} && ({' || '.join(f'PathPrefix(`/rng.~.R{number}/`)' for number in range(300))} || {R})"),
            ("deep", "(" * 70 + A + ")" * 70),
            ("with a comma behind", "Host(`a.~`,)"),
            ("with a comment", "Host(`a.~`) /* all */"),
            ("with an escape", 'Host("\\x61.~")'),
            ("with a line break", "Host(`a.~`) &&\n PathPrefix(`/`)"),
            ("of a query", f"{A} && Query(`a`)"),
            ("of a client", f"{A} && ClientIP(`127.0.0.1`)"),
            ("of a pattern", "HostRegexp(`^[a-z]\\.~$`)"),
            ("negated", f"{A} && !PathPrefix(`/x.Y/`)"),
            ("unreadable", "Host(`a.~`"),
        )
    ),
]
