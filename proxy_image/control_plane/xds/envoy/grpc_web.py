"""gRPC-Web for browsers: who may call from which page, and which requests reach a target at all.

https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-WEB.md
"""

from __future__ import annotations

from typing import Any

from envoy.config.common.mutation_rules.v3 import mutation_rules_pb2
from envoy.config.core.v3 import base_pb2
from envoy.config.rbac.v3 import rbac_pb2
from envoy.config.route.v3 import route_components_pb2
from envoy.extensions.filters.http.cors.v3 import cors_pb2
from envoy.extensions.filters.http.grpc_web.v3 import grpc_web_pb2
from envoy.extensions.filters.http.header_mutation.v3 import header_mutation_pb2
from envoy.extensions.filters.http.lua.v3 import lua_pb2
from envoy.extensions.filters.http.rbac.v3 import rbac_pb2 as rbac_filter_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.type.matcher.v3 import regex_pb2, string_pb2

from grpc_lb_contract import Web
from proxy_image.control_plane.xds.envoy.replies import reply
from proxy_image.control_plane.xds.messages import boolean, packed

CORS_FILTER = "envoy.filters.http.cors"
GRPC_WEB_FILTER = "envoy.filters.http.grpc_web"
RBAC_FILTER = "envoy.filters.http.rbac"
NOTE_STATUS_FILTER = "envoy.filters.http.lua"
PUT_STATUS_BACK_FILTER = "envoy.filters.http.header_mutation"

UNSUPPORTED_MEDIA_TYPE = 415
REFUSAL = (
    "this balancer takes gRPC over HTTP/2 (content-type application/grpc), and gRPC-Web where a service has the label "
    "grpc-lb.web: this request is neither"
)

GRPC = "application/grpc"
GRPC_WEB = "application/grpc-web"
# Those of gRPC, and those that Envoy's filter takes for gRPC-Web: what else begins so would reach a target as it is.
# https://github.com/envoyproxy/envoy/blob/v1.40.0/source/extensions/filters/http/grpc_web/grpc_web_filter.cc
_GRPC_OR_WEB = r"application/grpc([+;].*|-web(-text)?(\+proto)?)?"

# What gRPC-Web clients send beside metadata, and what they read where there is no body to hold the trailers.
_NEEDED = ("content-type", "grpc-timeout", "x-grpc-web", "x-user-agent")
_READ = ("grpc-message", "grpc-status", "grpc-status-details-bin")


# gRPC-Web has the trailers in the body, and Envoy's filter leaves none beside it: logs and statistics would call each
# call UNKNOWN. So the status is noted before, and put back after. Browsers pass HTTP trailers over.
_NOTE_STATUS = """
function envoy_on_response(handle)
  local trailers = handle:trailers()
  local status = trailers and trailers:get("grpc-status")
  if status then handle:streamInfo():dynamicMetadata():set("envoy.filters.http.lua", "grpc-status", status) end
end
"""
_NOTED = "%DYNAMIC_METADATA(envoy.filters.http.lua:grpc-status)%"


def listener_filters() -> tuple[tuple[str, Any], ...]:
    """The first of the listener's filters, so that every answer of the others is one that the page may read."""
    return (
        (
            PUT_STATUS_BACK_FILTER,
            header_mutation_pb2.HeaderMutation(
                mutations=header_mutation_pb2.Mutations(response_trailers_mutations=[_grpc_status(_NOTED)])
            ),
        ),
        (CORS_FILTER, cors_pb2.Cors()),
        (GRPC_WEB_FILTER, grpc_web_pb2.GrpcWeb()),
        (NOTE_STATUS_FILTER, lua_pb2.Lua(default_source_code=base_pb2.DataSource(inline_string=_NOTE_STATUS))),
    )


def preflight_filters(web: Web) -> dict[str, Any]:
    # Without a status the access log would take it for a call that failed.
    answered_ok = header_mutation_pb2.HeaderMutationPerRoute(
        mutations=header_mutation_pb2.Mutations(response_mutations=[_grpc_status("0")])
    )
    return {**_cors_filter(web), PUT_STATUS_BACK_FILTER: _switched_on(answered_ok)}


def _cors_filter(web: Web) -> dict[str, Any]:
    return {CORS_FILTER: _switched_on(_cors(web))}


def _switched_on(config: Any) -> Any:
    return packed(route_components_pb2.FilterConfig(config=packed(config)))


def _grpc_status(value: str) -> Any:
    return mutation_rules_pb2.HeaderMutation(
        append=base_pb2.HeaderValueOption(
            header=base_pb2.HeaderValue(key="grpc-status", value=value),
            append_action=base_pb2.HeaderValueOption.OVERWRITE_IF_EXISTS_OR_ADD,
        )
    )


def web_filters(web: Web) -> dict[str, Any]:
    """Configurations that switch the listener's filters on for a route; none where the service takes gRPC alone."""
    if not web.enabled:
        return {}
    switched_on = route_components_pb2.FilterConfig()
    # A FilterConfig needs a configuration: an empty one says only that the filter is on, as the listener has it.
    switched_on.config.SetInParent()
    as_they_are = (PUT_STATUS_BACK_FILTER, GRPC_WEB_FILTER, NOTE_STATUS_FILTER)
    return {**_cors_filter(web), **dict.fromkeys(as_they_are, packed(switched_on))}


def _cors(web: Web) -> Any:
    return cors_pb2.CorsPolicy(
        allow_origin_string_match=[string_pb2.StringMatcher(exact=origin) for origin in sorted(web.allow_origins)],
        allow_methods="POST",
        allow_headers=",".join(sorted({*_NEEDED, *web.allow_headers})),
        expose_headers=",".join(sorted({*_READ, *web.expose_headers})),
        max_age="" if web.max_age is None else str(int(web.max_age.total_seconds())),
        # No preflight is a call: one of another origin is answered without leave, and reaches no target.
        forward_not_matching_preflights=boolean(False),
    )


def matches_grpc(match: Any, web: Web) -> Any:
    """The match, of gRPC calls alone, or of gRPC-Web calls as well."""
    content_type = string_pb2.StringMatcher(prefix=GRPC)
    if web.enabled:
        content_type = string_pb2.StringMatcher(safe_regex=regex_pb2.RegexMatcher(regex=_GRPC_OR_WEB))
    else:
        # Envoy's own matcher takes no parameters, such as ;charset=utf-8, which servers do.
        is_web = string_pb2.StringMatcher(prefix=f"{GRPC}-")
        match.headers.add(name="content-type", string_match=is_web, invert_match=True)
    match.headers.add(name="content-type", string_match=content_type)
    return match


def matches_preflights(match: Any) -> Any:
    """The match of what browsers ask before a call: without the metadata that the call itself will have."""
    del match.headers[:]
    match.headers.extend(_PREFLIGHT)
    return match


_PREFLIGHT = (
    route_components_pb2.HeaderMatcher(name=":method", string_match=string_pb2.StringMatcher(exact="OPTIONS")),
    route_components_pb2.HeaderMatcher(name="origin", present_match=True),
    route_components_pb2.HeaderMatcher(name="access-control-request-method", present_match=True),
    # It has no body. With a type of one it could be taken for a gRPC call.
    route_components_pb2.HeaderMatcher(name="content-type", present_match=False),
)


def refused(match: Any) -> Any:
    """A route for what is neither gRPC nor allowed as gRPC-Web.

    Preflights pass where there are conditions on metadata, which they lack: the call itself may be another route's.
    """
    if match.headers:
        match.headers.add(name="access-control-request-method", present_match=False)
    return route_components_pb2.Route(
        match=match,
        direct_response=route_components_pb2.DirectResponseAction(
            status=UNSUPPORTED_MEDIA_TYPE, body={"inline_string": REFUSAL}
        ),
    )


def http1_filter() -> Any:
    """The filter by which HTTP/1.1 is for gRPC-Web alone: gRPC itself needs HTTP/2, whatever a request calls itself."""
    is_web = rbac_pb2.Permission(
        header=route_components_pb2.HeaderMatcher(
            name="content-type", string_match=string_pb2.StringMatcher(prefix=GRPC_WEB)
        )
    )
    is_preflight = rbac_pb2.Permission(
        and_rules=rbac_pb2.Permission.Set(rules=[rbac_pb2.Permission(header=header) for header in _PREFLIGHT])
    )
    return http_connection_manager_pb2.HttpFilter(
        name=RBAC_FILTER,
        typed_config=packed(
            rbac_filter_pb2.RBAC(
                rules=rbac_pb2.RBAC(
                    action=rbac_pb2.RBAC.ALLOW,
                    policies={
                        "grpc-web": rbac_pb2.Policy(
                            permissions=[is_web, is_preflight], principals=[rbac_pb2.Principal(any=True)]
                        )
                    },
                )
            )
        ),
    )


_IS_REFUSAL = 'response.code_details.startsWith("rbac_access_denied")'


def http1_reply() -> Any:
    """What the filter's refusals say."""
    return reply(_IS_REFUSAL, UNSUPPORTED_MEDIA_TYPE, REFUSAL)
