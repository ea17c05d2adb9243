"""What one balancer is told, and what follows from it."""

from dataclasses import dataclass
from pathlib import Path

from proxy_image.metadata import MetadataLimits
from proxy_image.telemetry import (
    AccessLogSettings,
    Address,
    Attributes,
    CallStatistics,
    Logged,
    Telemetry,
    TracingSettings,
)


@dataclass(frozen=True, slots=True)
class Settings:
    """One value for each variable. Durations are seconds; exactly one of parameter_prefix and targets_file is set."""

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
