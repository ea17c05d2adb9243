"""Names and numbers that the bootstrap, the xDS resources, the statistics and the drain of Envoy must have alike."""

# No service has such a name: theirs have no underscores. Envoy would keep its own cluster, and send the service's calls
# to the control plane.
CONTROL_PLANE_CLUSTER = "grpc_lb_control_plane"
TRACE_COLLECTOR_CLUSTER = "grpc_lb_trace_collector"
OWN_CLUSTERS = frozenset({CONTROL_PLANE_CLUSTER, TRACE_COLLECTOR_CLUSTER})

# What the control plane removes from each call, beside what Envoy has a place for anyway: with a place of its own,
# Envoy finds a header without a search.
FORGEABLE_HEADERS = (
    "x-real-ip",
    "forwarded",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-original-forwarded-for",
    "cf-connecting-ip",
    "fastly-client-ip",
)

# What the control plane's listener for calls must say, for the drain to work and to be seen.
CALLS_STAT_PREFIX = "calls"
# Where its statistics of calls are: PREFIX.ended.service.NAME.status.NUMBER, PREFIX.duration_ms.service.NAME, and with
# .method.PATH after the service's name in the second.
CALLS_STATISTICS = "grpc_lb_calls"
METHODS_STATISTICS = "grpc_lb_methods"
CONNECTION_DRAIN_SECONDS = 1.0
# Of calls, waiting calls and connections, where a service sets none. Envoy's own limit of 1,024 is met by a few busy
# streaming clients (envoyproxy/envoy#9250); this one is beyond what a balancer can hold.
NO_LIMIT = 1_000_000
