"""Sets of Traefik's labels, and what each must give: the table by which issue 4 is judged.

Each is of a container `app` of the ECS service `rng-service`, which maps port 50051 unless `ports` says otherwise.
`gives` are the labels of ours beside grpc-lb.enable=true and grpc-lb.port=50051; None where it takes no part.
`remarks` are (label without `traefik.`, what became of it, words of the reason); no other remark may be made.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from traefik_labels import Outcome, TraefikLabels

REJECTED, LEFT_OUT = Outcome.REJECTED, Outcome.LEFT_OUT
DIFFERS, NOT_NEEDED = Outcome.DIFFERS, Outcome.NOT_NEEDED

Remarks = Sequence[tuple[str, Outcome, str]]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Case:
    about: str
    labels: Labels
    gives: Labels | None
    remarks: Remarks = ()
    settings: TraefikLabels = field(default_factory=TraefikLabels)
    ports: tuple[int, ...] = (50051,)
    others: tuple[Labels, ...] = ()
    """Of the further services that the container is."""


def of_first(
    about: str, labels: Labels, gives: Labels | None, *remarks: tuple[str, Outcome, str], **more: object
) -> Case:
    """Version 1: with `traefik.protocol=h2c` and a rule for the host rng.internal, where the set says nothing else."""
    usual = {"protocol": "h2c", "frontend.rule": "Host:rng.internal"}
    said = {f"traefik.{name}": value for name, value in {**usual, **labels}.items() if value}
    default = {"grpc-lb.hosts": "rng.internal"} if said.get("traefik.frontend.rule") == "Host:rng.internal" else {}
    return Case(f"1: {about}", said, None if gives is None else {**default, **gives}, remarks, **more)  # type: ignore[arg-type]


def of_second(
    about: str, labels: Labels, gives: Labels | None, *remarks: tuple[str, Outcome, str], **more: object
) -> Case:
    """Versions 2 and 3: with a router `rng` for the host rng.internal and a service `rng` of h2c, where the set says
    nothing else. `routers.`, `services.` and `middlewares.` stand for `traefik.http.routers.` and so on.
    """
    usual = {
        "routers.rng.rule": "Host(`rng.internal`)",
        "services.rng.loadbalancer.server.scheme": "h2c",
    }
    said = {_full(name): value for name, value in {**usual, **labels}.items() if value}
    default = {"grpc-lb.service": "rng"}
    if said.get("traefik.http.routers.rng.rule") == usual["routers.rng.rule"]:
        default["grpc-lb.hosts"] = "rng.internal"
    expected = None if gives is None else {**default, **gives}
    full = tuple((_full(label).removeprefix("traefik."), outcome, words) for label, outcome, words in remarks)
    return Case(f"3: {about}", said, expected, full, **more)  # type: ignore[arg-type]


def _full(name: str) -> str:
    return f"traefik.http.{name}" if name.startswith(("routers.", "services.", "middlewares.")) else f"traefik.{name}"


def rule(text: str, gives: Labels | None, *remarks: tuple[str, Outcome, str]) -> Case:
    """Versions 2 and 3: one rule."""
    more = tuple(("routers.rng.rule", outcome, words) for _, outcome, words in remarks)
    return of_second(f"rule {text}", {"routers.rng.rule": text}, gives, *more)


def first_rule(text: str, gives: Labels | None, *remarks: tuple[str, Outcome, str]) -> Case:
    """Version 1: one rule."""
    more = tuple(("frontend.rule", outcome, words) for _, outcome, words in remarks)
    return of_first(f"rule {text}", {"frontend.rule": text}, gives, *more)


HOSTS, SERVICES, METHODS = "grpc-lb.hosts", "grpc-lb.grpc-services", "grpc-lb.methods"
METADATA, PRIORITY = "grpc-lb.metadata", "grpc-lb.priority"
_ = ""

THE_ARTICLE = [
    # https://jsherz.com/grpc/ecs/aws/docker/containers/load-balancer/elb/nlb/alb/2019/02/04/using-traefik-ecs-grpc.html
    Case(
        "the article's service as it is first: Traefik speaks HTTP/1.1 to it",
        {"traefik.frontend.rule": "Host:rng.internal"},
        None,
        [("protocol", LEFT_OUT, "write h2c")],
    ),
    Case(
        "the article's service with h2c, by its default rule: the host that the article's picture shows",
        {"traefik.protocol": "h2c"},
        {HOSTS: "service-rng-service-app"},
    ),
    Case(
        "the article's service with h2c and a rule of its own",
        {"traefik.frontend.rule": "Host:rng.internal", "traefik.protocol": "h2c"},
        {HOSTS: "rng.internal"},
    ),
    Case(
        "the article's service with all that the article names: weights, circuit breakers, balancing",
        {
            "traefik.enable": "true",
            "traefik.port": "50051",
            "traefik.protocol": "h2c",
            "traefik.weight": "10",
            "traefik.frontend.rule": "Host:rng.internal;PathPrefix:/rng.v1.RandomNumber/",
            "traefik.backend": "rng",
            "traefik.backend.loadbalancer.method": "drr",
            "traefik.backend.circuitbreaker.expression": "NetworkErrorRatio() > 0.5",
        },
        {
            "grpc-lb.service": "rng",
            HOSTS: "rng.internal",
            SERVICES: "rng.v1.RandomNumber",
            "grpc-lb.weight": "10",
            "grpc-lb.balancing": "least-request",
            "grpc-lb.outlier.consecutive-connect-failures": "2",
        },
        [
            ("weight", DIFFERS, "the ECS service as a whole"),
            ("backend.loadbalancer.method", DIFFERS, "fewer in flight"),
            ("backend.circuitbreaker.expression", DIFFERS, "is ejected"),
        ],
    ),
]

FIRST = [
    first_rule("Host:a.internal,b.internal", {HOSTS: "a.internal,b.internal"}),
    first_rule("Host: A.Internal ; PathPrefix: /rng.v1.R/", {HOSTS: "a.internal", SERVICES: "rng.v1.R"}),
    first_rule("PathPrefix:/rng.v1.R/,/rng.v1.S/", {SERVICES: "rng.v1.R,rng.v1.S"}),
    first_rule("PathPrefix:/rng.v1.R", {SERVICES: "rng.v1.R"}, (_, DIFFERS, "only rng.v1.R is taken")),
    first_rule("PathPrefix:/", {}),
    first_rule("Path:/rng.v1.R/Get", {METHODS: "rng.v1.R/Get"}),
    first_rule("Headers:X-Tenant,acme", {METADATA: "x-tenant=acme"}),
    first_rule("HeadersRegexp:x-tenant,^acme-", {METADATA: "x-tenant^=acme-"}),
    first_rule("HeadersRegexp:x-tenant,a.*b", None, (_, LEFT_OUT, "only ^prefix and ^value$")),
    first_rule("HostRegexp:{sub:.+}.rng.internal", {HOSTS: "*.rng.internal"}),
    first_rule("HostRegexp:{sub:[a-z]+}.rng.internal", None, (_, LEFT_OUT, "*.a-domain")),
    first_rule("Host:a.internal;Method:POST", {HOSTS: "a.internal"}),
    first_rule("Host:a.internal;Method:GET", None, (_, LEFT_OUT, "no call of gRPC fits")),
    first_rule("Host:a.internal;PathPrefixStrip:/api", None, (_, LEFT_OUT, "never rewritten")),
    first_rule("Host:a.internal;Query:a=b", None, (_, LEFT_OUT, "no label")),
    first_rule("Hosts:a.internal", None, (_, REJECTED, "Hosts is none")),
    first_rule("host:a.internal", None, (_, REJECTED, "host is none")),
    first_rule("a.internal", None, (_, REJECTED, "must be a rule such as Host:")),
    first_rule("Host:", None, (_, REJECTED, "cannot be read at")),
    of_first("enabled in Go's short form", {"enable": "t"}, {}),
    of_first("switched off", {"enable": "false"}, None),
    of_first("switched neither on nor off", {"enable": "yes"}, None, ("enable", REJECTED, "must be true or false")),
    of_first("not exposed by default", {}, None, settings=TraefikLabels(exposed_by_default=False)),
    of_first("exposed though, by its label", {"enable": "true"}, {}, settings=TraefikLabels(exposed_by_default=False)),
    of_first("TLS", {"protocol": "https"}, {"grpc-lb.tls": "true"}, ("protocol", DIFFERS, "grpc-lb.tls.verify=system")),
    of_first("a protocol that is none", {"protocol": "grpc"}, None, ("protocol", REJECTED, "h2c, http or https")),
    of_first("one of two ports", {"port": "7000"}, {"grpc-lb.port": "7000"}, ports=(50051, 7000)),
    of_first("no port said: the first mapping", {}, {"grpc-lb.port": "7000"}, ports=(7000, 50051)),
    of_first("a backend's name", {"backend": "RNG_blue"}, {"grpc-lb.service": "rng-blue"}),
    of_first("a priority", {"frontend.priority": "10"}, {PRIORITY: "10"}),
    of_first(
        "a domain", {"frontend.rule": "", "domain": "ecs.internal"}, {HOSTS: "service-rng-service-app.ecs.internal"}
    ),
    of_first(
        "a domain of the provider's",
        {"frontend.rule": ""},
        {HOSTS: "service-rng-service-app.ecs.internal"},
        settings=TraefikLabels(domain="ecs.internal"),
    ),
    of_first("wrr", {"backend.loadbalancer.method": "wrr"}, {"grpc-lb.balancing": "round-robin"}),
    of_first(
        "a method that is none",
        {"backend.loadbalancer.method": "rr"},
        {},
        ("backend.loadbalancer.method", REJECTED, "must be one of wrr, drr"),
    ),
    of_first(
        "sticky sessions",
        {"backend.loadbalancer.stickiness": "true", "backend.loadbalancer.stickiness.cookieName": "c"},
        {},
        ("backend.loadbalancer.stickiness", LEFT_OUT, "grpc-lb.balancing=maglev"),
        ("backend.loadbalancer.stickiness.cookieName", LEFT_OUT, "no cookies"),
    ),
    of_first(
        "the old sticky",
        {"backend.loadbalancer.sticky": "true"},
        {},
        ("backend.loadbalancer.sticky", LEFT_OUT, "maglev"),
    ),
    of_first(
        "a breaker on HTTP status",
        {"backend.circuitbreaker.expression": "ResponseCodeRatio(500, 600, 0, 600) > 0.5"},
        {"grpc-lb.outlier.consecutive-gateway-failures": "5"},
        ("backend.circuitbreaker.expression", DIFFERS, "200 for errors of gRPC too"),
    ),
    of_first(
        "a breaker on latency, beside one on errors",
        {"backend.circuitbreaker.expression": "LatencyAtQuantileMS(50.0) > 50 || NetworkErrorRatio() >= 0.3"},
        {"grpc-lb.outlier.consecutive-connect-failures": "2"},
        ("backend.circuitbreaker.expression", LEFT_OUT, "grpc-lb.deadline.max"),
        ("backend.circuitbreaker.expression", DIFFERS, "is ejected"),
    ),
    of_first(
        "a breaker that is none",
        {"backend.circuitbreaker.expression": "NetworkErrorRatio() >"},
        {},
        ("backend.circuitbreaker.expression", REJECTED, "cannot be read at its end"),
    ),
    of_first(
        "most connections, by host",
        {"backend.maxconn.amount": "10", "backend.maxconn.extractorfunc": "request.host"},
        {"grpc-lb.limits.requests": "10"},
        ("backend.maxconn.amount", DIFFERS, "for all calls of the service"),
    ),
    of_first(
        "most connections, by client",
        {"backend.maxconn.amount": "10", "backend.maxconn.extractorfunc": "client.ip"},
        {},
        ("backend.maxconn.amount", LEFT_OUT, "each address of a client"),
        ("backend.maxconn.extractorfunc", LEFT_OUT, "only request.host"),
    ),
    of_first(
        "health checks by HTTP",
        {"backend.healthcheck.path": "/health", "backend.healthcheck.interval": "10s"},
        {},
        ("backend.healthcheck.path", LEFT_OUT, "grpc-lb.health-check=true"),
        ("backend.healthcheck.interval", LEFT_OUT, "does not answer"),
    ),
    of_first(
        "a rate by host",
        {
            "frontend.rateLimit.extractorFunc": "request.host",
            "frontend.rateLimit.rateSet.a.period": "10s",
            "frontend.rateLimit.rateSet.a.average": "1000",
            "frontend.rateLimit.rateSet.a.burst": "200",
        },
        {"grpc-lb.rate-limit.calls-per-second": "100", "grpc-lb.rate-limit.burst": "200"},
    ),
    of_first(
        "a rate by client",
        {"frontend.rateLimit.extractorFunc": "client.ip", "frontend.rateLimit.rateSet.a.average": "5"},
        {},
        ("frontend.rateLimit.rateSet.a.average", LEFT_OUT, "each address of a client"),
    ),
    of_first(
        "callers kept out: so is the frontend",
        {"frontend.whiteList.sourceRange": "10.0.0.0/8"},
        None,
        ("frontend.whiteList.sourceRange", LEFT_OUT, "unchecked"),
    ),
    of_first(
        "what makes no difference",
        {
            "frontend.entryPoints": "http",
            "frontend.passHostHeader": "true",
            "backend.loadbalancer.sticky": "false",
            "backend.responseForwarding.flushInterval": "1ms",
        },
        {},
        ("frontend.passHostHeader", NOT_NEEDED, ":authority"),
        ("backend.loadbalancer.sticky", NOT_NEEDED, "no cookies"),
        ("frontend.entryPoints", NOT_NEEDED, "came by one of them"),
        ("backend.responseForwarding.flushInterval", NOT_NEEDED, "are not buffered"),
        settings=TraefikLabels(entry_points=["http"]),
    ),
    of_first(
        "entry points of other callers",
        {"frontend.entryPoints": "http"},
        None,
        ("frontend.entryPoints", LEFT_OUT, "for others"),
        settings=TraefikLabels(entry_points=["https"]),
    ),
    of_first(
        "a label that is none", {"frontend.rules": "x"}, {}, ("frontend.rules", REJECTED, "version 1 of Traefik has")
    ),
    of_first("a tag that fits", {"tags": "grpc,eu"}, {}, settings=TraefikLabels(constraints="tag==gr*,tag!=test")),
    of_first("a tag that fits not", {"tags": "test"}, None, settings=TraefikLabels(constraints="tag!=test")),
    Case(
        "two segments on one port",
        {
            "traefik.protocol": "h2c",
            "traefik.a.frontend.rule": "Host:a.internal;PathPrefix:/rng.v1.R/",
            "traefik.b.frontend.rule": "Host:b.internal",
            "traefik.b.frontend.priority": "5",
        },
        {"grpc-lb.service": "rng-service-a", HOSTS: "a.internal", SERVICES: "rng.v1.R"},
        others=({"grpc-lb.service": "rng-service-b", HOSTS: "b.internal", PRIORITY: "5"},),
    ),
    Case(
        "two segments on two ports",
        {
            "traefik.protocol": "h2c",
            "traefik.a.port": "50051",
            "traefik.a.frontend.rule": "Host:a.internal",
            "traefik.b.port": "7000",
            "traefik.b.frontend.rule": "Host:b.internal",
        },
        {"grpc-lb.service": "rng-service-a", HOSTS: "a.internal"},
        others=({"grpc-lb.service": "rng-service-b", "grpc-lb.port": "7000", HOSTS: "b.internal"},),
        ports=(50051, 7000),
    ),
]

SECOND = [
    rule("Host(`a.internal`)", {HOSTS: "a.internal"}),
    rule("host(`A.internal`)", {HOSTS: "a.internal"}),
    rule('Host("a.internal")', {HOSTS: "a.internal"}),
    rule("Host(`a.internal`, `b.internal`)", {HOSTS: "a.internal,b.internal"}),
    rule("Host(`a.internal`) || Host(`b.internal`)", {HOSTS: "a.internal,b.internal"}),
    rule("Host(`a.internal`) && Host(`b.internal`)", None, (_, LEFT_OUT, "no call of gRPC fits")),
    rule("HostRegexp(`{sub:.+}.rng.internal`)", {HOSTS: "*.rng.internal"}),
    rule(r"HostRegexp(`^.+\.rng\.internal$`)", {HOSTS: "*.rng.internal"}),
    rule(r"HostRegexp(`^[a-z]+\.rng\.internal$`)", None, (_, LEFT_OUT, "*.a-domain")),
    rule(r"HostRegexp(`^.+\.RNG\.internal$`)", None, (_, LEFT_OUT, "*.a-domain")),
    rule(r"HostRegexp(`.+\.rng\.internal`)", None, (_, LEFT_OUT, "*.a-domain")),
    rule(r"HostRegexp(`^.+\.rng\.internal$`) && Host(`a.rng.internal`)", {HOSTS: "a.rng.internal"}),
    rule("PathPrefix(`/rng.v1.R/`)", {SERVICES: "rng.v1.R"}),
    rule("PathPrefix(`/rng.v1.R/Ge`)", {METHODS: "rng.v1.R/Ge"}, (_, DIFFERS, "only Ge is taken")),
    rule("PathPrefix(`/`)", {}),
    rule("PathPrefix(`/rng.v1.R/{id:.*}`)", None, (_, LEFT_OUT, "/pkg.Service/")),
    rule("PathPrefix(`rng`)", None, (_, REJECTED, "begin with /")),
    rule("Path(`/rng.v1.R/Get`)", {METHODS: "rng.v1.R/Get"}),
    rule("Path(`/health`)", None, (_, LEFT_OUT, "no call of gRPC fits")),
    rule(r"PathRegexp(`^/rng\.v1\.R/`)", {SERVICES: "rng.v1.R"}),
    rule(r"PathRegexp(`^/rng\.v[12]\.R/`)", None, (_, LEFT_OUT, "regular expressions")),
    rule("Header(`X-Tenant`, `acme`)", {METADATA: "x-tenant=acme"}),
    rule("Headers(`X-Tenant`, `acme`)", {METADATA: "x-tenant=acme"}),
    rule("Header(`x-tenant`, `two words`)", None, (_, LEFT_OUT, "no label can ask for that")),
    rule("HeaderRegexp(`x-tenant`, `^acme-`)", {METADATA: "x-tenant^=acme-"}),
    rule("HeaderRegexp(`x-tenant`, `^acme$`)", {METADATA: "x-tenant=acme"}),
    rule("HeaderRegexp(`x-tenant`, `.*`)", {METADATA: "x-tenant"}),
    rule("Host(`a.internal`) && !Header(`x-canary`, `yes`)", {HOSTS: "a.internal", METADATA: "x-canary!=yes"}),
    rule("Host(`a.internal`) && !PathPrefix(`/rng.v1.R/`)", None, (_, LEFT_OUT, "calls a service does not take")),
    rule("!Host(`a.internal`)", None, (_, LEFT_OUT, "calls a service does not take")),
    rule("!(Host(`a.internal`) || !Header(`k`, `v`))", None, (_, LEFT_OUT, "!Host(`a.internal`)")),
    rule("!(!Host(`a.internal`) || Header(`k`, `v`))", {HOSTS: "a.internal", METADATA: "k!=v"}),
    rule("Host(`a.internal`) && Method(`POST`)", {HOSTS: "a.internal"}),
    rule("Host(`a.internal`) && !Method(`GET`)", {HOSTS: "a.internal"}),
    rule("Host(`a.internal`) && !Method(`POST`)", None, (_, LEFT_OUT, "no call of gRPC fits")),
    rule(
        "Host(`a.internal`) || ClientIP(`10.0.0.0/8`)",
        {HOSTS: "a.internal"},
        (_, LEFT_OUT, "the other alternatives of the rule stay"),
    ),
    rule("Host(`a.internal`) && Query(`debug`, `1`)", None, (_, LEFT_OUT, "no label")),
    rule(
        "Host(`a.internal`) && PathPrefix(`/rng.v1.R/`) || Host(`b.internal`) && Header(`k`, `v`)",
        {
            HOSTS: "a.internal",
            SERVICES: "rng.v1.R",
            "grpc-lb.routes.rng.hosts": "b.internal",
            "grpc-lb.routes.rng.grpc-services": "*",
            "grpc-lb.routes.rng.metadata": "k=v",
        },
    ),
    rule(
        "(Host(`a.internal`) || Host(`b.internal`)) && (PathPrefix(`/rng.v1.R/`) || Path(`/rng.v1.S/Get`))",
        {HOSTS: "a.internal,b.internal", SERVICES: "rng.v1.R", METHODS: "rng.v1.S/Get"},
    ),
    rule("Host(`a.internal`) && (Path(`/rng.v1.R/Get`) || Method(`POST`))", {HOSTS: "a.internal"}),
    rule("Host(`a.internal`", None, (_, REJECTED, "cannot be read at its end")),
    rule("Host(`a.internal`) & PathPrefix(`/`)", None, (_, REJECTED, "cannot be read at character 20")),
    rule("HostSNI(`*`)", None, (_, REJECTED, "HostSNI is none")),
    rule("Host(`*.rng.internal`)", None, (_, LEFT_OUT, "one level of names")),
    rule("Host(`*`)", {}),
    rule("HostRegexp(`.+`)", {}),
    rule(
        " || ".join(f"Host(`h{number}.internal`)" for number in range(65)),
        None,
        (_, REJECTED, "at most 64 routes, got 65"),
    ),
    rule(
        " && ".join(f"(Header(`a{n}`, `b`) || Header(`c{n}`, `d`))" for n in range(40)),
        None,
        (_, REJECTED, "at most 512 cases"),
    ),
    of_second("nothing but the scheme: the default rule", {"routers.rng.rule": ""}, {HOSTS: "service-rng-service-app"}),
    of_second(
        "a default rule",
        {"routers.rng.rule": "", "services.rng.loadbalancer.server.port": "50051"},
        {HOSTS: "rng-service-app.eu"},
        settings=TraefikLabels(default_rule="Host(`{{ .Name | trimPrefix `service-` | normalize }}.eu`)"),
    ),
    of_second(
        "HTTP/1.1",
        {"services.rng.loadbalancer.server.scheme": "http"},
        None,
        ("services.rng.loadbalancer.server.scheme", LEFT_OUT, "HTTP/1.1"),
    ),
    of_second(
        "TLS",
        {"services.rng.loadbalancer.server.scheme": "https"},
        {"grpc-lb.tls": "true"},
        ("services.rng.loadbalancer.server.scheme", DIFFERS, "not verified"),
    ),
    of_second(
        "gRPC-Web",
        {"routers.rng.middlewares": "web", "middlewares.web.grpcweb.alloworigins": "https://app.example.com,*"},
        {"grpc-lb.web": "true", "grpc-lb.web.allow-origins": "https://app.example.com,*"},
    ),
    of_second(
        "a policy that one of two routers has",
        {
            "routers.rng.middlewares": "again",
            "routers.other.rule": "Host(`other.internal`)",
            "middlewares.again.retry.attempts": "4",
        },
        {HOSTS: "other.internal", "grpc-lb.routes.rng.hosts": "rng.internal"},
        ("middlewares.again.retry.attempts", LEFT_OUT, "not every router has this middleware"),
    ),
    of_second("the lowest port", {}, {"grpc-lb.port": "7000"}, ports=(50051, 7000)),
    of_second("a port", {"services.rng.loadbalancer.server.port": "50051"}, {}, ports=(50051, 7000)),
    of_second(
        "another case",
        {"routers.rng.rule": "", "ROUTERS.rng.Rule": "", "services.rng.loadbalancer.server.scheme": "h2c"},
        {HOSTS: "service-rng-service-app"},
    ),
    of_second(
        "a label twice",
        {"routers.rng.priority": "1", "routers.rng.Priority": "2"},
        {PRIORITY: "1"},
        ("routers.rng.Priority", REJECTED, "must be there once"),
    ),
    of_second("a priority", {"routers.rng.priority": "100"}, {PRIORITY: "100"}),
    of_second(
        "what makes no difference",
        {"routers.rng.entrypoints": "grpc", "routers.rng.tls": "true", "routers.rng.tls.certresolver": "le"},
        {},
        ("routers.rng.entrypoints", NOT_NEEDED, "came by one of them"),
        ("routers.rng.tls", NOT_NEEDED, "own certificate"),
        settings=TraefikLabels(entry_points=["GRPC"], tls=True),
    ),
    of_second(
        "entry points and TLS of which nothing is known",
        {"routers.rng.entrypoints": "grpc", "routers.rng.tls": "true"},
        None,
        ("routers.rng.entrypoints", LEFT_OUT, "entry_points=[...]"),
        ("routers.rng.tls", LEFT_OUT, "give the balancer a certificate"),
    ),
    of_second(
        "certificates of callers",
        {"routers.rng.tls.options": "mtls@file"},
        None,
        ("routers.rng.tls.options", LEFT_OUT, "may ask callers for a certificate"),
        settings=TraefikLabels(tls=True),
    ),
    of_second(
        "an auth of the service's own",
        {"services.rng.middlewares": "a", "middlewares.a.basicauth.users": "joe:x"},
        None,
        ("middlewares.a.basicauth.users", LEFT_OUT, "unchecked"),
    ),
    of_second(
        "metadata that Traefik sets",
        {"routers.rng.middlewares": "m", "middlewares.m.headers.customrequestheaders.X-User": "nobody"},
        None,
        ("middlewares.m.headers.customrequestheaders.X-User", LEFT_OUT, "a server may trust"),
    ),
    of_second(
        "two routers",
        {"routers.rng-admin.rule": "PathPrefix(`/rng.v1.Admin/`)", "routers.rng-admin.priority": "7"},
        {
            "grpc-lb.routes.rng-admin.hosts": "*",
            "grpc-lb.routes.rng-admin.grpc-services": "rng.v1.Admin",
            "grpc-lb.routes.rng-admin.priority": "7",
        },
    ),
    of_second(
        "two services on two ports",
        {
            "services.rng.loadbalancer.server.port": "50051",
            "services.web.loadbalancer.server.port": "8080",
            "services.web.loadbalancer.server.scheme": "h2c",
            "routers.rng.service": "rng",
            "routers.web.rule": "Host(`web.internal`)",
            "routers.web.service": "web",
        },
        {},
        others=({"grpc-lb.service": "web", "grpc-lb.port": "8080", HOSTS: "web.internal"},),
        ports=(50051, 8080),
    ),
    of_second(
        "another container's service",
        {"routers.rng.service": "orders@ecs"},
        None,
        ("routers.rng.service", LEFT_OUT, "not this container's"),
    ),
    of_second(
        "power of two choices", {"services.rng.loadbalancer.strategy": "p2c"}, {"grpc-lb.balancing": "least-request"}
    ),
    of_second(
        "least time",
        {"services.rng.loadbalancer.strategy": "leasttime"},
        {"grpc-lb.balancing": "least-request"},
        ("services.rng.loadbalancer.strategy", DIFFERS, "in flight"),
    ),
    of_second(
        "hash of the client's address",
        {"services.rng.loadbalancer.strategy": "hrw"},
        {},
        ("services.rng.loadbalancer.strategy", LEFT_OUT, "maglev"),
    ),
    of_second(
        "sticky",
        {"services.rng.loadbalancer.sticky.cookie.name": "c"},
        {},
        ("services.rng.loadbalancer.sticky.cookie.name", LEFT_OUT, "no cookies"),
    ),
    of_second(
        "health checks by gRPC",
        {
            "services.rng.loadbalancer.healthcheck.mode": "grpc",
            "services.rng.loadbalancer.healthcheck.interval": "10s",
        },
        {
            "grpc-lb.health-check": "true",
            "grpc-lb.health-check.interval": "10s",
            "grpc-lb.health-check.timeout": "5s",
        },
    ),
    of_second(
        "health checks by HTTP",
        {"services.rng.loadbalancer.healthcheck.path": "/"},
        {},
        ("services.rng.loadbalancer.healthcheck.path", LEFT_OUT, "does not answer"),
    ),
    of_second(
        "retries: Traefik counts the first try",
        {
            "routers.rng.middlewares": "again@ecs",
            "middlewares.again.retry.attempts": "4",
            "middlewares.again.retry.initialinterval": "100ms",
        },
        {"grpc-lb.retry.max-retries": "3", "grpc-lb.retry.base-backoff": "100ms"},
    ),
    of_second(
        "a breaker",
        {
            "routers.rng.middlewares": "cb",
            "middlewares.cb.circuitbreaker.expression": "NetworkErrorRatio() > 0.10",
            "middlewares.cb.circuitbreaker.fallbackduration": "5s",
        },
        {"grpc-lb.outlier.consecutive-connect-failures": "2", "grpc-lb.outlier.base-ejection-time": "5s"},
        ("middlewares.cb.circuitbreaker.expression", DIFFERS, "is ejected"),
    ),
    of_second(
        "a rate by host, in a chain",
        {
            "routers.rng.middlewares": "all",
            "middlewares.all.chain.middlewares": "slow",
            "middlewares.slow.ratelimit.average": "100",
            "middlewares.slow.ratelimit.burst": "50",
            "middlewares.slow.ratelimit.sourcecriterion.requesthost": "true",
        },
        {"grpc-lb.rate-limit.calls-per-second": "100", "grpc-lb.rate-limit.burst": "50"},
    ),
    of_second(
        "a rate by client",
        {"routers.rng.middlewares": "slow", "middlewares.slow.ratelimit.average": "100"},
        {},
        ("middlewares.slow.ratelimit.average", LEFT_OUT, "each address of a client"),
    ),
    of_second(
        "calls in flight",
        {"routers.rng.middlewares": "few", "middlewares.few.inflightreq.amount": "10"},
        {"grpc-lb.limits.requests": "10"},
        ("middlewares.few.inflightreq.amount", DIFFERS, "for all calls of the service"),
    ),
    of_second(
        "callers kept out: so is the router",
        {"routers.rng.middlewares": "auth", "middlewares.auth.basicauth.users": "a:b"},
        None,
        ("middlewares.auth.basicauth.users", LEFT_OUT, "unchecked"),
    ),
    of_second(
        "a middleware of another provider may keep callers out",
        {"routers.rng.middlewares": "secure@file"},
        None,
        ("routers.rng.middlewares", LEFT_OUT, "defined elsewhere"),
    ),
    of_second(
        "one that calls may go without",
        {"routers.rng.middlewares": "secure@file"},
        {},
        ("routers.rng.middlewares", NOT_NEEDED, "may go without"),
        settings=TraefikLabels(ignored_middlewares=("secure@file",)),
    ),
    of_second(
        "a middleware that no router has",
        {"middlewares.again.retry.attempts": "4"},
        {},
        ("middlewares.again.retry.attempts", NOT_NEEDED, "no router of this container"),
    ),
    of_second("TCP", {"tcp.routers.db.rule": "HostSNI(`*`)"}, {}, ("tcp.routers.db.rule", LEFT_OUT, "only gRPC calls")),
    of_second("what is for Docker", {"docker.network": "web"}, {}, ("docker.network", NOT_NEEDED, "for Docker")),
    of_second(
        "a setting that is none",
        {"routers.rng.rules": "x"},
        None,
        ("routers.rng.rules", REJECTED, "a setting that Traefik has"),
    ),
    of_second(
        "a constraint that fits",
        {},
        {},
        settings=TraefikLabels(constraints="LabelRegex(`team`, `^pay`) || !Label(`a`, `b`)"),
    ),
    of_second("a constraint that fits not", {}, None, settings=TraefikLabels(constraints="Label(`team`, `payments`)")),
    of_second(
        "labels of both generations",
        {"frontend.rule": "Host:old.internal"},
        {},
        ("frontend.rule", REJECTED, "versions 2 and 3"),
    ),
]

OURS = [
    Case(
        "labels of ours beside Traefik's: those of ours alone",
        {"grpc-lb.enable": "true", "grpc-lb.hosts": "mine.internal", "traefik.protocol": "h2c"},
        {HOSTS: "mine.internal"},
        [("protocol", NOT_NEEDED, "grpc-lb.enable is there")],
    ),
    Case(
        "a policy of ours in place of a translated one",
        {
            "traefik.protocol": "h2c",
            "traefik.frontend.rule": "Host:rng.internal",
            "traefik.backend.loadbalancer.method": "wrr",
            "grpc-lb.balancing": "random",
        },
        {HOSTS: "rng.internal", "grpc-lb.balancing": "random"},
    ),
    Case("no label at all", {}, None),
]

ALL = [*THE_ARTICLE, *FIRST, *SECOND, *OURS]
