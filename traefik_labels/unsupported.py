"""Traefik settings without a counterpart here, and what happens instead."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from traefik_labels.model import Draft, Outcome
from traefik_labels.policies import is_true


@dataclass(frozen=True, slots=True)
class UnsupportedSetting:
    """Settings without a counterpart: `pattern` may contain `*` and ignores case. With `drops_router`, calls must not
    pass without the setting, so its router is left out too. `harmless` is the value, true or false, that describes
    what happens here anyway.
    """

    pattern: str
    why: str
    outcome: Outcome = Outcome.LEFT_OUT
    drops_router: bool = False
    harmless: bool | None = None


_BEFORE_CALLS = "calls would pass unchecked, so the router is left out; check them in the server, with an interceptor"
_REDIRECTS = "gRPC clients do not follow redirects, so the router is left out"
_REWRITES = "the path of a call names its method and is never rewritten, so the router is left out"
_HEADERS = (
    "metadata passes unchanged, and a server may trust what Traefik sets or removes, so the router is left out; "
    "change the server so that it does not read it"
)
_HTTP_CHECK = (
    "it is an HTTP request, which a gRPC server does not answer; set grpc-lb.health-check=true if the server has "
    "grpc.health.v1.Health, or add a health check to the task definition"
)
_ONE_LISTENER = "a balancer has one listener for calls, and TLS is a property of that listener"
_TLS_ENDS = "TLS ends at the load balancer, so the server does not see the client's certificate"
_NO_BODIES = "calls are streams of messages and are not buffered"
_STICKY = (
    "gRPC clients keep no cookies; set grpc-lb.balancing=maglev and grpc-lb.balancing.metadata-key=KEY to send calls "
    "with the same metadata to the same target"
)
_NEEDLESS = Outcome.NOT_NEEDED

V1: Sequence[UnsupportedSetting] = (
    UnsupportedSetting("frontend.passHostHeader", "servers see the :authority that the client sent", harmless=True),
    UnsupportedSetting("frontend.passTLSCert", _TLS_ENDS, harmless=False),
    UnsupportedSetting("frontend.passTLSClientCert.*", _TLS_ENDS),
    UnsupportedSetting("frontend.auth.*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("frontend.whiteList.*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("frontend.whitelistSourceRange", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("frontend.redirect.*", _REDIRECTS, drops_router=True),
    UnsupportedSetting("frontend.headers.customResponseHeaders*", "responses pass unchanged"),
    UnsupportedSetting("frontend.headers.*", _HEADERS, drops_router=True),
    UnsupportedSetting("frontend.errors.*", "a gRPC error is a status, not a page"),
    UnsupportedSetting("backend.loadbalancer.stickiness*", _STICKY, harmless=False),
    UnsupportedSetting("backend.loadbalancer.sticky", _STICKY, harmless=False),
    UnsupportedSetting("backend.loadbalancer.swarm", "it is for Docker Swarm", _NEEDLESS),
    UnsupportedSetting("backend.healthcheck.*", _HTTP_CHECK),
    UnsupportedSetting("backend.buffering.*", _NO_BODIES),
    UnsupportedSetting("backend.responseForwarding.*", _NO_BODIES, _NEEDLESS),
    UnsupportedSetting("docker.*", "it is for Docker", _NEEDLESS),
    UnsupportedSetting("ecs.*", "the provider has no such setting", _NEEDLESS),
    UnsupportedSetting("http.*", "labels of versions 2 and 3 are ignored on a container with labels of version 1"),
    UnsupportedSetting("tcp.*", "a balancer carries only gRPC calls"),
    UnsupportedSetting("udp.*", "a balancer carries only gRPC calls"),
)

ROUTERS: Sequence[UnsupportedSetting] = (
    UnsupportedSetting("rulesyntax", "each rule is read in the syntax that its router names", _NEEDLESS),
    UnsupportedSetting("observability.*", "the balancer has its own metrics", _NEEDLESS),
)

SERVICES: Sequence[UnsupportedSetting] = (
    UnsupportedSetting("loadbalancer.sticky*", _STICKY, harmless=False),
    UnsupportedSetting("loadbalancer.healthcheck.*", _HTTP_CHECK),
    UnsupportedSetting("loadbalancer.passhostheader", "servers see the :authority that the client sent", harmless=True),
    UnsupportedSetting("loadbalancer.responseforwarding.*", _NO_BODIES, _NEEDLESS),
    UnsupportedSetting("loadbalancer.server.url", "the address of a server is that of its task"),
    UnsupportedSetting("loadbalancer.server.weight", "set grpc-lb.weight, which applies to the whole ECS service"),
    UnsupportedSetting("loadbalancer.server.*", "no label does this"),
    UnsupportedSetting("weighted.*", "give each ECS service the same grpc-lb.service and a grpc-lb.weight"),
    UnsupportedSetting("mirroring.*", "no label does this"),
    UnsupportedSetting("failover.*", "a service has one set of targets, and failing targets are ejected"),
    UnsupportedSetting("highestrandomweight.*", "set grpc-lb.balancing=maglev and grpc-lb.balancing.metadata-key=KEY"),
)

MIDDLEWARES: Sequence[UnsupportedSetting] = (
    UnsupportedSetting("basicauth.*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("digestauth.*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("forwardauth.*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("ipallowlist.*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("ipwhitelist.*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("plugin*", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("redirectscheme.*", _REDIRECTS, drops_router=True),
    UnsupportedSetting("redirectregex.*", _REDIRECTS, drops_router=True),
    UnsupportedSetting("addprefix.*", _REWRITES, drops_router=True),
    UnsupportedSetting("stripprefix.*", _REWRITES, drops_router=True),
    UnsupportedSetting("stripprefixregex.*", _REWRITES, drops_router=True),
    UnsupportedSetting("replacepath.*", _REWRITES, drops_router=True),
    UnsupportedSetting("replacepathregex.*", _REWRITES, drops_router=True),
    UnsupportedSetting("headers.customrequestheaders.*", _HEADERS, drops_router=True),
    UnsupportedSetting("headers.allowedhosts", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("headers.hostsproxyheaders", _BEFORE_CALLS, drops_router=True),
    UnsupportedSetting("headers.ssl*", _REDIRECTS, drops_router=True),
    UnsupportedSetting("headers.isdevelopment", "it is for web pages"),
    UnsupportedSetting("headers.*", "responses pass unchanged"),
    UnsupportedSetting("errors.status*", "a gRPC error is a status, not a page"),
    UnsupportedSetting("errors.query", "a gRPC error is a status, not a page"),
    UnsupportedSetting("errors.errorrequestheaders", "a gRPC error is a status, not a page"),
    UnsupportedSetting("buffering.max*", "larger messages would pass, so the router is left out", drops_router=True),
    UnsupportedSetting("buffering.*", _NO_BODIES),
    UnsupportedSetting("compress*", "gRPC compresses messages itself", _NEEDLESS),
    UnsupportedSetting("contenttype*", "gRPC has its own content type", _NEEDLESS),
    UnsupportedSetting("passtlsclientcert.*", _TLS_ENDS),
)
"""Patterns match KIND.SETTING of a middleware."""

OTHERS: Sequence[UnsupportedSetting] = (
    UnsupportedSetting("tcp.*", "a balancer carries only gRPC calls"),
    UnsupportedSetting("udp.*", "a balancer carries only gRPC calls"),
    UnsupportedSetting("tls.*", _ONE_LISTENER),
    UnsupportedSetting("docker.*", "it is for Docker", _NEEDLESS),
    UnsupportedSetting("swarm.*", "it is for Docker Swarm", _NEEDLESS),
    UnsupportedSetting("ecs.*", "the provider has no such setting", _NEEDLESS),
)
"""Patterns match what follows `traefik.` in versions 2 and 3."""


def unsupported_setting(table: Sequence[UnsupportedSetting], setting: str) -> UnsupportedSetting | None:
    name = setting.lower()
    return next((row for row in table if fnmatch.fnmatchcase(name, row.pattern.lower())), None)


def remark(draft: Draft, row: UnsupportedSetting, label: str) -> None:
    harmless = row.harmless is not None and is_true(draft.written[label].strip()) is row.harmless
    (draft.not_needed if harmless or row.outcome is _NEEDLESS else draft.leave_out)(label, row.why)
