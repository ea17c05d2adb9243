"""What each matcher of a rule says of a gRPC call."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace

from grpc_lb_contract import Condition, Match
from grpc_lb_contract.names import ALL, is_grpc_service, is_host
from traefik_labels.grammar.syntax import And, Call, Comparison, Expression, Not, NotReadable, Or, TooMuch
from traefik_labels.rules.calls import EVERY, NONE, Calls, all_of, any_of
from traefik_labels.rules.host_patterns import domain_of, from_template, is_refused

# `{name:.+}.example.com` in versions 1 and 2, `^.+\.example\.com$` in 3: the regular expressions that say what
# *.example.com says. `[a-z]+` says less: one level, some letters.
_SUBDOMAINS = re.compile(r"\{[A-Za-z0-9_]*:\.[+*]\}\.([A-Za-z0-9_.-]+)|\^\.[+*]\\\.((?:[A-Za-z0-9_-]|\\\.)+)\$")
# https://www.rfc-editor.org/rfc/rfc3986#section-3.2, less the IP addresses in brackets, whose characters are compared.
_IN_NO_AUTHORITY = re.compile(r"[\x00-\x20\x7f\"#/<>?\\^`{|}]")
_ANY_HOST = (".+", ".*", "^.+$", "^.*$")
_BEGINS_WITH = re.compile(r"\^([A-Za-z0-9_@:/-]+)(\$|\.\*\$?)?")
_PATH_BEGINS_WITH = re.compile(r"\^(/(?:[A-Za-z0-9_]|\\\.)+/)(?:([A-Za-z_][A-Za-z0-9_]*)\$|\.\*\$?)?")


DEEPEST = 100
"""Levels of `&&` in `||` in `&&`: what is deeper nobody has written by hand."""


class Rule:
    """One rule taken apart. `narrower` tells where ours takes fewer calls than it; `is_v3` is for a rule that is read
    in version 3's syntax, and not in an older one's.
    """

    def __init__(self, *, is_v3: bool = False) -> None:
        self.narrower: dict[str, None] = {}
        self._is_v3 = is_v3

    def of_expression(self, expression: Expression, *, negated: bool = False) -> tuple[Calls, ...]:
        """The calls that it takes, or, negated, that it does not. Raises NotReadable, TooMuch and TooManyCases."""
        if expression.depth > DEEPEST:
            raise TooMuch(f"a rule of at most {DEEPEST} levels")
        match expression:
            case Not(what):
                return self.of_expression(what, negated=not negated)
            case And(parts) | Or(parts):
                sets = [self.of_expression(part, negated=negated) for part in parts]
                return all_of(sets) if isinstance(expression, And) is not negated else any_of(sets)
            case Comparison():
                raise NotReadable(f"a rule without comparisons; {expression} is one")
            case Call():
                return self._but_for(expression) if negated else self._of_call(expression)

    def of_first_rule(self, calls: Sequence[Call]) -> tuple[Calls, ...]:
        """The calls that a rule of version 1 takes: they fit all matchers. Raises NotReadable and TooManyCases."""
        for call in calls:
            if call.name not in _V1_MATCHERS:
                raise NotReadable(f"a rule of matchers that version 1 of Traefik has; {call.name} is none")
        return all_of([self._of_call(call) for call in calls])

    def _of_call(self, call: Call) -> tuple[Calls, ...]:
        # Version 2 and later take `Host`, `host` and `HOST` alike.
        matcher = _MATCHERS.get(call.name.lower())
        if matcher is None:
            raise NotReadable(f"a rule of matchers that Traefik has; {call.name} is none")
        if not call.arguments:
            raise NotReadable(f"a rule whose matchers say something; {call} does not")
        return matcher(self, call)

    def _but_for(self, call: Call) -> tuple[Calls, ...]:
        """What fits not: exactly, because what is left out here would be taken there."""
        name = call.name.lower()
        if name == "method":
            return NONE if _METHOD in _upper(call.arguments) else EVERY
        if name in ("header", "headers") and len(call.arguments) == 2:
            return _metadata(call, Match.NOT_EXACT)
        if name == "host" and call.arguments == ("*",):
            return NONE
        Rule(is_v3=self._is_v3)._of_call(call)
        return _unsaid(call, "no label says which calls a service does not take, but for metadata", negated=True)

    def hosts(self, call: Call) -> tuple[Calls, ...]:
        return any_of(_host(call, host) for host in call.arguments)

    def host_patterns(self, call: Call) -> tuple[Calls, ...]:
        return any_of(_host_pattern(call, pattern, is_v3=self._is_v3) for pattern in call.arguments)

    def paths(self, call: Call) -> tuple[Calls, ...]:
        return any_of(self._path(call, path) for path in call.arguments)

    def path_prefixes(self, call: Call) -> tuple[Calls, ...]:
        return any_of(self._path_prefix(call, path) for path in call.arguments)

    def path_patterns(self, call: Call) -> tuple[Calls, ...]:
        return any_of(self._path_pattern(call, pattern) for pattern in call.arguments)

    def _path(self, call: Call, path: str) -> tuple[Calls, ...]:
        _must_begin_with_slash(call, path)
        grpc_service, method = _parts_of(path)
        if "{" in path:
            return NONE if self._is_v3 else _unsaid(call, "no label takes a pattern in a path; name the methods")
        return (Calls(grpc_service=grpc_service, method=method),) if grpc_service and method else NONE

    def _path_prefix(self, call: Call, path: str) -> tuple[Calls, ...]:
        _must_begin_with_slash(call, path)
        if path == "/":
            return EVERY
        grpc_service, method = _parts_of(path)
        if not grpc_service:
            return _unsaid(call, "of paths only those of a gRPC service or method have a counterpart: /pkg.Service/")
        if method:
            self.narrower[f"{call} also takes methods whose names begin so; only {method} is taken"] = None
            return (Calls(grpc_service=grpc_service, method=method),)
        if not path.endswith("/"):
            self.narrower[f"{call} also takes gRPC services whose names begin so; only {grpc_service} is taken"] = None
        return (Calls(grpc_service=grpc_service),)

    def _path_pattern(self, call: Call, pattern: str) -> tuple[Calls, ...]:
        found = _PATH_BEGINS_WITH.fullmatch(pattern)
        if found is None:
            return _unsaid(call, "regular expressions have no counterpart; write PathPrefix(`/pkg.Service/`)")
        prefix = found[1].replace("\\.", ".")
        return self._path(call, prefix + found[2]) if found[2] else self._path_prefix(call, prefix)

    def metadata(self, call: Call) -> tuple[Calls, ...]:
        return _metadata(call, Match.EXACT)

    def metadata_patterns(self, call: Call) -> tuple[Calls, ...]:
        key, pattern = _two(call)
        if pattern in (".*", "^.*$"):
            return _with_metadata(call, key, Match.PRESENT, "")
        found = _BEGINS_WITH.fullmatch(pattern)
        if found is None:
            return _unsaid(call, "of regular expressions only ^prefix and ^value$ have a counterpart")
        return _with_metadata(call, key, Match.EXACT if found[2] == "$" else Match.PREFIX, found[1])

    def http_methods(self, call: Call) -> tuple[Calls, ...]:
        return EVERY if _METHOD in _upper(call.arguments) else NONE

    def without_counterpart(self, call: Call) -> tuple[Calls, ...]:
        return _unsaid(call, "no label does this; select calls by host, gRPC service, method or metadata")

    def rewrites(self, call: Call) -> tuple[Calls, ...]:
        return _unsaid(call, "the path of a call names its method and is never rewritten")


PROXY_OWNED = frozenset(
    {
        "x-forwarded-proto",
        "x-forwarded-scheme",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-port",
        "x-forwarded-server",
        "x-forwarded-uri",
        "x-forwarded-method",
        "x-forwarded-prefix",
        "x-forwarded-tls-client-cert",
        "x-forwarded-tls-client-cert-info",
        "x-scheme",
        "x-real-ip",
    }
)
"""Headers that Traefik takes from callers, and writes itself, before it looks at a rule:
https://doc.traefik.io/traefik/v3.6/reference/install-configuration/entrypoints/#forwarded-headers"""

_MATCHERS: dict[str, Callable[[Rule, Call], tuple[Calls, ...]]] = {
    "host": Rule.hosts,
    "hostheader": Rule.hosts,
    "hostregexp": Rule.host_patterns,
    "path": Rule.paths,
    "pathprefix": Rule.path_prefixes,
    "pathregexp": Rule.path_patterns,
    "header": Rule.metadata,
    "headers": Rule.metadata,
    "headerregexp": Rule.metadata_patterns,
    "headersregexp": Rule.metadata_patterns,
    "method": Rule.http_methods,
    "query": Rule.without_counterpart,
    "queryregexp": Rule.without_counterpart,
    "clientip": Rule.without_counterpart,
    # of version 1 alone
    "pathstrip": Rule.rewrites,
    "pathstripregex": Rule.rewrites,
    "pathprefixstrip": Rule.rewrites,
    "pathprefixstripregex": Rule.rewrites,
    "addprefix": Rule.rewrites,
    "replacepath": Rule.rewrites,
    "replacepathregex": Rule.rewrites,
}

# https://doc.traefik.io/traefik/v1.7/basics/#matchers
_V1_MATCHERS = frozenset(
    {"Host", "HostRegexp", "Path", "PathPrefix", "Headers", "HeadersRegexp", "Method", "Query"}
    | {"PathStrip", "PathStripRegex", "PathPrefixStrip", "PathPrefixStripRegex"}
    | {"AddPrefix", "ReplacePath", "ReplacePathRegex"}
)

# Calls of gRPC are POST, all of them: https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md#requests
_METHOD = "POST"


def _upper(texts: Sequence[str]) -> list[str]:
    return [text.upper() for text in texts]


def _unsaid(call: Call, why: str, *, negated: bool = False, host: str = ALL) -> tuple[Calls, ...]:
    """`host` is what its calls are within, where that is known."""
    return (Calls(host=host, unsaid=frozenset({f"{'!' if negated else ''}{call}: {why}"})),)


def _host(call: Call, host: str) -> tuple[Calls, ...]:
    name = host.lower().removesuffix(".")
    if name == "*":
        return EVERY
    if name.startswith("*.") and is_host(name):
        why = f"{host} is one level of names, and *.a-domain here is any number; write the names, or HostRegexp"
        return _unsaid(call, why, host=name)
    if _IN_NO_AUTHORITY.search(name):
        # Otherwise one service's typing error would take the calls of all others that come after it.
        return NONE
    if "*" in name:
        return _unsaid_pattern(call, f"{host!r} is no host name", f"^{re.escape(name)}$")
    return (Calls(host=name),) if is_host(name) else _unsaid(call, f"{host!r} is no host name", host=name)


def _host_pattern(call: Call, pattern: str, *, is_v3: bool) -> tuple[Calls, ...]:
    if pattern in _ANY_HOST:
        return EVERY
    if is_v3 and is_refused(pattern):
        raise NotReadable(f"a rule with regular expressions; that of {call} is none")
    found = _SUBDOMAINS.fullmatch(pattern)
    if found is not None and is_v3 and found[1]:
        why = "a pattern in braces is of version 2's syntax; version 3's has ^.+\\.a-domain$"
        return _unsaid_pattern(call, why, pattern)
    domain = (found[1] or found[2].replace("\\.", ".")) if found else ""
    # Hosts are compared in lower case: what a pattern says in upper case fits none.
    if not is_host(f"*.{domain}"):
        why = "of regular expressions only {name:.+}.a-domain and ^.+\\.a-domain$ have a counterpart, *.a-domain"
        return _unsaid_pattern(call, why, pattern if is_v3 or "{" not in pattern else from_template(pattern))
    return (Calls(host=f"*.{domain}"),)


def _unsaid_pattern(call: Call, why: str, pattern: str) -> tuple[Calls, ...]:
    domain = domain_of(pattern)
    host = f"*.{domain}" if domain is not None and is_host(f"*.{domain}") else ALL
    return tuple(replace(one, patterns=frozenset({pattern})) for one in _unsaid(call, why, host=host))


def _must_begin_with_slash(call: Call, path: str) -> None:
    if not path.startswith("/"):
        raise NotReadable(f"a rule with paths that begin with /; that of {call} does not")


def _parts_of(path: str) -> tuple[str, str]:
    """The gRPC service and the method in a path; "" for what is none."""
    service, _, method = path.removeprefix("/").partition("/")
    fits = service != "*" and is_grpc_service(service)
    return (service if fits and (not method or _is_method(method)) else "", method if _is_method(method) else "")


def _is_method(name: str) -> bool:
    return "." not in name and name != "*" and is_grpc_service(name)


def _two(call: Call) -> tuple[str, str]:
    if len(call.arguments) != 2:
        raise NotReadable(f"a rule whose headers have a name and a value; {call} has {len(call.arguments)}")
    return call.arguments[0], call.arguments[1]


def _metadata(call: Call, match: Match) -> tuple[Calls, ...]:
    key, value = _two(call)
    return _with_metadata(call, key, match, value)


def _with_metadata(call: Call, key: str, match: Match, value: str) -> tuple[Calls, ...]:
    negated = match is Match.NOT_EXACT
    if key.lower() == "host":
        # Go takes it out of the headers, so that no request fits; to Envoy it is another name of :authority.
        return EVERY if negated else NONE
    if key.lower().replace("_", "-") in PROXY_OWNED:
        why = "a proxy sets this header itself, and here it comes as the caller wrote it"
        return _unsaid(call, why, negated=negated)
    try:
        return (Calls(metadata=frozenset({Condition(key.lower(), match, value)})),)
    except ValueError:
        why = "no label can ask for that of metadata (see grpc-lb.metadata in docs/labels.md)"
        return _unsaid(call, why, negated=negated)
