"""What one Envoy may hold, in connections and memory, and what it does when that runs short."""

from typing import Any

# Connections towards tasks, log files, sockets: what is left of the descriptors when every client connection is taken.
RESERVED_DESCRIPTORS_SHARE = 4

# The supervisor and the control plane take about 150 MiB with 500 services, Envoy's code what is left of this.
RESERVED_MEMORY = 256 * 2**20
# Shares of the heap. Streams are reset by what Envoy holds of them: those of 4 MiB and more first, at RESET_ALL_FROM
# those of 64 KiB too, the least of which account is kept. A stream that is stuck holds 256 to 512 KiB.
RESET_FROM, RESET_ALL_FROM = 0.8, 0.95
ACCOUNT_POWER_OF_TWO = 16
SHRINK_FROM = 0.9
REFUSE_CALLS_FROM = 0.95
REFUSE_CONNECTIONS_FROM = 0.98

LOOK_EVERY = "0.25s"

_CONNECTIONS_MONITOR = "envoy.resource_monitors.global_downstream_max_connections"
_HEAP_MONITOR = "envoy.resource_monitors.fixed_heap"


def max_client_connections(descriptors: int) -> int:
    """How many client connections all listeners together accept; the rest wait or are refused, and Envoy lives on."""
    return max(1, descriptors - descriptors // RESERVED_DESCRIPTORS_SHARE)


def max_heap_bytes(memory: int) -> int:
    """How much of the balancer's memory Envoy's heap may take, both in bytes."""
    return max(memory // 2, memory - RESERVED_MEMORY)


def overload_manager(descriptors: int, memory: int | None) -> dict[str, Any]:
    # https://www.envoyproxy.io/docs/envoy/v1.40.0/configuration/operations/overload_manager/overload_manager
    connections = _monitor(
        _CONNECTIONS_MONITOR,
        "downstream_connections.v3.DownstreamConnectionsConfig",
        max_active_downstream_connections=max_client_connections(descriptors),
    )
    if memory is None:
        return {"resource_monitors": [connections]}
    # Whoever does not read what it is sent must not take the memory of all others: its streams end first. Calls that
    # hold little are never cut for memory: new ones are refused, so that those have what is left.
    heap = _monitor(_HEAP_MONITOR, "fixed_heap.v3.FixedHeapConfig", max_heap_size_bytes=max_heap_bytes(memory))
    return {
        "refresh_interval": LOOK_EVERY,
        "resource_monitors": [connections, heap],
        "buffer_factory_config": {"minimum_account_to_track_power_of_two": ACCOUNT_POWER_OF_TWO},
        "actions": [
            {
                "name": "envoy.overload_actions.reset_high_memory_stream",
                "triggers": [
                    {
                        "name": _HEAP_MONITOR,
                        "scaled": {"scaling_threshold": RESET_FROM, "saturation_threshold": RESET_ALL_FROM},
                    }
                ],
            },
            _from("envoy.overload_actions.shrink_heap", SHRINK_FROM),
            _from("envoy.overload_actions.stop_accepting_requests", REFUSE_CALLS_FROM),
        ],
        "loadshed_points": [_from("envoy.load_shed_points.tcp_listener_accept", REFUSE_CONNECTIONS_FROM)],
    }


def _monitor(name: str, kind: str, **options: int) -> dict[str, Any]:
    typed = {"@type": f"type.googleapis.com/envoy.extensions.resource_monitors.{kind}", **options}
    return {"name": name, "typed_config": typed}


def _from(name: str, share: float) -> dict[str, Any]:
    return {"name": name, "triggers": [{"name": _HEAP_MONITOR, "threshold": {"value": share}}]}
