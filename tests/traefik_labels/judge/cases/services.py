"""What services have."""

from __future__ import annotations

from tests.traefik_labels.judge.sets import LabelSet
from tests.traefik_labels.judge.words import AUTH, A, R, box, one, other, two

_LB = "services.s~.loadbalancer."
_SETTINGS: tuple[dict[str, str], ...] = (
    {"server.port": "50051"},
    {"server.port": "50052"},
    {"server.port": "9"},
    {"server.port": "abc"},
    {"server.port": ""},
    {"server.scheme": "http"},
    {"server.scheme": ""},
    {"server.scheme": "H2C"},
    {"server.scheme": "grpc"},
    {"server.scheme": "(none)"},
    {"server.weight": "5"},
    {"server.weight": "0"},
    {"server.weight": "-1"},
    {"server.weight": "x"},
    {"server.preservepath": "true"},
    {"server.url": "h2c://127.0.0.1:9"},
    {"server.url": "h2c://127.0.0.1:9", "server.scheme": "(none)"},
    {"servers[0].url": "h2c://127.0.0.1:9"},
    {"server.fenced": "true"},
    {"passhostheader": "true"},
    {"passhostheader": "false"},
    {"passhostheader": "no"},
    {"sticky": "true"},
    {"sticky.cookie": "true"},
    {"sticky.cookie.name": "c", "sticky.cookie.secure": "true"},
    {"sticky.cookie.name": "c", "sticky.cookie.maxage": "x"},
    {"strategy": "wrr"},
    {"strategy": "p2c"},
    {"strategy": "leasttime"},
    {"strategy": "hrw"},
    {"strategy": "best"},
    {"strategy": "P2C"},
    {"healthcheck.path": "/health"},
    {"healthcheck.mode": "grpc", "healthcheck.path": "/"},
    {"healthcheck.interval": "ten"},
    {"healthcheck.headers.x-a": "b"},
    {"passivehealthcheck.maxfailedattempts": "3"},
    {"passivehealthcheck.failurewindow": "10s"},
    {"passivehealthcheck.failurewindow": "soon"},
    {"responseforwarding.flushinterval": "1ms"},
    {"responseforwarding.flushinterval": "-1"},
    {"serverstransport": "other@file"},
    {"serverstransport": "nobody"},
    {"nginxupstreamhashby": "x"},
    {"maxconn": "10"},
)

SETS: list[LabelSet] = [
    *(
        one(f"service with {setting}", A, {_LB + name: value for name, value in setting.items()})
        for setting in _SETTINGS
    ),
    one("an auth of the service's own", A, {"services.s~.middlewares": "auth~", **AUTH}),
    one(
        "an allow list of the service's own",
        A,
        {"services.s~.middlewares": "list~", "middlewares.list~.ipallowlist.sourcerange": "10.0.0.0/8"},
    ),
    one("a middleware of the service's own that is nowhere", A, {"services.s~.middlewares": "nobody"}),
    one("a retry of the service's own", A, {"services.s~.middlewares": "m~", "middlewares.m~.retry.attempts": "2"}),
    two(
        "an auth of the service's own, before another service",
        box(f"{A} && {R}", {"services.s~.middlewares": "auth~", **AUTH}),
        other(A),
    ),
    one(
        "a weighted service",
        A,
        {"services.w~.weighted.services[0].name": "s~", "routers.r~.service": "w~"},
    ),
    one("a mirroring service", A, {"services.w~.mirroring.service": "s~", "routers.r~.service": "w~"}),
    one("a failover service", A, {"services.w~.failover.service": "s~", "routers.r~.service": "w~"}),
    one("a service of nothing but middlewares", A, {"services.w~.middlewares": "", "routers.r~.service": "s~"}),
    one("two ports and no label", None, ports=(50052, 50051)),
    one("two ports, the second named", A, {_LB + "server.port": "50052"}, ports=(50051, 50052)),
    one("no port at all", A, ports=()),
    one(
        "two services of two ports, a router each",
        A,
        {
            "routers.r~.service": "s~",
            "services.t~.loadbalancer.server.scheme": "h2c",
            "services.t~.loadbalancer.server.port": "50052",
            "routers.q~.rule": "Host(`b.~`)",
            "routers.q~.service": "t~",
        },
        ports=(50051, 50052),
    ),
    one(
        "two services of two ports on one host",
        A,
        {
            "routers.r~.service": "s~",
            "services.t~.loadbalancer.server.scheme": "h2c",
            "services.t~.loadbalancer.server.port": "50052",
            "routers.q~.rule": f"{A} && {R}",
            "routers.q~.service": "t~",
        },
        ports=(50051, 50052),
    ),
    one(
        "two services of one port",
        A,
        {
            "routers.r~.service": "s~",
            "services.t~.loadbalancer.server.scheme": "h2c",
            "routers.q~.rule": "Host(`b.~`)",
            "routers.q~.service": "t~",
        },
    ),
    one(
        "two services and a router that names none",
        A,
        {"services.t~.loadbalancer.server.scheme": "h2c"},
    ),
    one(
        "a neighbour that speaks HTTP/1.1 on the same port",
        f"{A} && {R}",
        {
            "routers.r~.service": "s~",
            "routers.w~.rule": A,
            "routers.w~.service": "w~",
            "services.w~.loadbalancer.server.port": "50051",
        },
    ),
    one(
        "a neighbour that speaks HTTP/1.1, for a part of the host",
        A,
        {
            "routers.r~.service": "s~",
            "routers.w~.rule": f"{A} && {R}",
            "routers.w~.service": "w~",
            "services.w~.loadbalancer.server.port": "50051",
        },
    ),
    one(
        "a neighbour that speaks HTTP/1.1 on another port, for a part of the host",
        A,
        {
            "routers.r~.service": "s~",
            "services.s~.loadbalancer.server.port": "50051",
            "routers.w~.rule": f"{A} && {R}",
            "routers.w~.service": "w~",
            "services.w~.loadbalancer.server.port": "8080",
        },
        ports=(50051, 8080),
    ),
    two(
        "a web service in another task, for a part of the host",
        box(A),
        other(f"{A} && {R}", {"services.t~.loadbalancer.server.scheme": "http"}),
    ),
    two(
        "a router of another container's service",
        box(A),
        box("Host(`b.~`)", {"routers.q~.service": "s~"}, router="q~", service="t~"),
    ),
    two(
        "a router of another container's service, on the same host",
        box(A),
        box(f"{A} && {R}", {"routers.q~.service": "s~"}, router="q~", service="t~"),
    ),
]
