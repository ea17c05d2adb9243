"""Settings of Traefik that have no counterpart here, and what that means for whoever wrote them."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass

from traefik_labels.model import Draft, Outcome
from traefik_labels.policies import is_true


@dataclass(frozen=True, slots=True)
class Without:
    """Settings (a pattern with `*`, without regard to case) that have no counterpart. Where `takes_out` holds, calls
    must not come through without them: the router goes too. `harmless` is the value, of true and false, that says what
    happens here anyway.
    """

    pattern: str
    why: str
    outcome: Outcome = Outcome.LEFT_OUT
    takes_out: bool = False
    harmless: bool | None = None


_BEFORE_CALLS = (
    "calls would come through unchecked, so the router is left out; let the server check them (an interceptor)"
)
_REDIRECTS = "gRPC clients follow no redirects: the router is left out"
_REWRITES = "a call's path is the name of its method and is never rewritten: the router is left out"
_HEADERS = (
    "metadata passes as it comes, and servers may trust what Traefik sets or takes away: the router is left out; let "
    "the server not read it"
)
_HTTP_CHECK = (
    "it asks by HTTP, which a gRPC server does not answer; write grpc-lb.health-check=true where the server has "
    "grpc.health.v1.Health, or a health check in the task definition"
)
_ONE_LISTENER = "a balancer has one listener for calls; its certificate decides about TLS, for all of them"
_TLS_ENDS = "TLS ends at the load balancer; the server sees no certificate of the client"
_NO_BODIES = "calls are streams of messages, and pass as they come"
_STICKY = (
    "gRPC clients keep no cookies; write grpc-lb.balancing=maglev and grpc-lb.balancing.metadata-key=KEY, for calls "
    "with the same metadata to go to the same target"
)
_NEEDLESS = Outcome.NOT_NEEDED

FIRST: Sequence[Without] = (
    Without("frontend.passHostHeader", "servers see the :authority that the client sent", harmless=True),
    Without("frontend.passTLSCert", _TLS_ENDS, harmless=False),
    Without("frontend.passTLSClientCert.*", _TLS_ENDS),
    Without("frontend.auth.*", _BEFORE_CALLS, takes_out=True),
    Without("frontend.whiteList.*", _BEFORE_CALLS, takes_out=True),
    Without("frontend.whitelistSourceRange", _BEFORE_CALLS, takes_out=True),
    Without("frontend.redirect.*", _REDIRECTS, takes_out=True),
    Without("frontend.headers.customResponseHeaders*", "responses pass as the server sends them"),
    Without("frontend.headers.*", _HEADERS, takes_out=True),
    Without("frontend.errors.*", "an error of gRPC is a status, not a page"),
    Without("backend.loadbalancer.stickiness*", _STICKY, harmless=False),
    Without("backend.loadbalancer.sticky", _STICKY, harmless=False),
    Without("backend.loadbalancer.swarm", "it is for Docker Swarm", _NEEDLESS),
    Without("backend.healthcheck.*", _HTTP_CHECK),
    Without("backend.buffering.*", _NO_BODIES),
    Without("backend.responseForwarding.*", _NO_BODIES, _NEEDLESS),
    Without("docker.*", "it is for Docker", _NEEDLESS),
    Without("ecs.*", "the provider has no such setting", _NEEDLESS),
    Without("http.*", "labels of version 2 and 3 are not read beside those of version 1"),
    Without("tcp.*", "a balancer carries calls of gRPC alone"),
    Without("udp.*", "a balancer carries calls of gRPC alone"),
)

ROUTERS: Sequence[Without] = (
    Without("rulesyntax", "each rule is read in the syntax that its router says", _NEEDLESS),
    Without("observability.*", "the balancer has metrics of its own", _NEEDLESS),
)

SERVICES: Sequence[Without] = (
    Without("loadbalancer.sticky*", _STICKY, harmless=False),
    Without("loadbalancer.healthcheck.*", _HTTP_CHECK),
    Without("loadbalancer.passhostheader", "servers see the :authority that the client sent", harmless=True),
    Without("loadbalancer.responseforwarding.*", _NO_BODIES, _NEEDLESS),
    Without("loadbalancer.server.url", "a server's address is that of its task"),
    Without("loadbalancer.server.weight", "write grpc-lb.weight, for the ECS service as a whole"),
    Without("loadbalancer.server.*", "it has no counterpart"),
    Without("weighted.*", "write the same grpc-lb.service and a grpc-lb.weight for each ECS service"),
    Without("mirroring.*", "it has no counterpart among the labels"),
    Without("failover.*", "a service has one set of targets; those that fail are ejected"),
    Without("highestrandomweight.*", "write grpc-lb.balancing=maglev and grpc-lb.balancing.metadata-key=KEY"),
)

MIDDLEWARES: Sequence[Without] = (
    Without("basicauth.*", _BEFORE_CALLS, takes_out=True),
    Without("digestauth.*", _BEFORE_CALLS, takes_out=True),
    Without("forwardauth.*", _BEFORE_CALLS, takes_out=True),
    Without("ipallowlist.*", _BEFORE_CALLS, takes_out=True),
    Without("ipwhitelist.*", _BEFORE_CALLS, takes_out=True),
    Without("plugin*", _BEFORE_CALLS, takes_out=True),
    Without("redirectscheme.*", _REDIRECTS, takes_out=True),
    Without("redirectregex.*", _REDIRECTS, takes_out=True),
    Without("addprefix.*", _REWRITES, takes_out=True),
    Without("stripprefix.*", _REWRITES, takes_out=True),
    Without("stripprefixregex.*", _REWRITES, takes_out=True),
    Without("replacepath.*", _REWRITES, takes_out=True),
    Without("replacepathregex.*", _REWRITES, takes_out=True),
    Without("headers.customrequestheaders.*", _HEADERS, takes_out=True),
    Without("headers.allowedhosts", _BEFORE_CALLS, takes_out=True),
    Without("headers.hostsproxyheaders", _BEFORE_CALLS, takes_out=True),
    Without("headers.ssl*", _REDIRECTS, takes_out=True),
    Without("headers.isdevelopment", "it is for web pages"),
    Without("headers.*", "responses pass as the server sends them"),
    Without("errors.status*", "an error of gRPC is a status, not a page"),
    Without("errors.query", "an error of gRPC is a status, not a page"),
    Without("errors.errorrequestheaders", "an error of gRPC is a status, not a page"),
    Without("buffering.max*", "messages would be larger than it lets through: the router is left out", takes_out=True),
    Without("buffering.*", _NO_BODIES),
    Without("compress*", "gRPC compresses messages by itself", _NEEDLESS),
    Without("contenttype*", "gRPC has a content type of its own", _NEEDLESS),
    Without("passtlsclientcert.*", _TLS_ENDS),
)
"""By the kind of middleware and what it sets."""

OTHERS: Sequence[Without] = (
    Without("tcp.*", "a balancer carries calls of gRPC alone"),
    Without("udp.*", "a balancer carries calls of gRPC alone"),
    Without("tls.*", _ONE_LISTENER),
    Without("docker.*", "it is for Docker", _NEEDLESS),
    Without("swarm.*", "it is for Docker Swarm", _NEEDLESS),
    Without("ecs.*", "the provider has no such setting", _NEEDLESS),
)
"""By what follows `traefik.`, in version 2 and 3."""


def without(table: Sequence[Without], setting: str) -> Without | None:
    name = setting.lower()
    return next((row for row in table if fnmatch.fnmatchcase(name, row.pattern.lower())), None)


def remark(draft: Draft, row: Without, label: str) -> None:
    harmless = row.harmless is not None and is_true(draft.written[label].strip()) is row.harmless
    (draft.not_needed if harmless or row.outcome is _NEEDLESS else draft.leave_out)(label, row.why)
