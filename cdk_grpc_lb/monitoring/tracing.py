"""Traces of calls: which are traced, and the collector beside each balancer that sends them on."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_iam as iam
from aws_cdk import aws_logs as logs
from constructs import Construct

from cdk_grpc_lb.log_driver import calm_log_driver
from cdk_grpc_lb.nag import ANY_RESOURCE, acknowledge
from cdk_grpc_lb.tokens import is_unresolved, number_text
from cdk_grpc_lb.validation import Props
from grpc_lb_contract.named_fields import NamedFields

CONTAINER = "TraceCollector"
# The AWS Distro for OpenTelemetry: https://gallery.ecr.aws/aws-observability/aws-otel-collector
IMAGE = "public.ecr.aws/aws-observability/aws-otel-collector:v0.48.0"
# Of the task's CPU, where it is short: Envoy goes before its collector.
CPU = 64
# With less, the half that the sidecar may leave is too little for Envoy and the control plane.
_MIN_TASK_MIB = 1024
_CONFIG = "AOT_CONFIG_CONTENT"
_OTLP = "otlphttp"
_USER = "10002:10002"
_ADDRESS = "127.0.0.1:4317"
_HEADER = re.compile(r"[A-Za-z0-9-]{1,64}")
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_.]{0,127}=[^,=\s][^,=]{0,255}")
_VARIABLE = re.compile(r"\$\{(env:[^}]*)\}")
_PLACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.-]*:[0-9]{1,5}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Collector(NamedFields):
    """What takes the spans of a balancer: ``Collector.x_ray()``, ``Collector.otlp(...)``, ``Collector.at(...)``, or a
    sidecar with a configuration of your own.

    :param config: The whole configuration of a sidecar, whose OTLP receiver takes gRPC on ``127.0.0.1:4317``.
        By default, there is no sidecar.
    :param image: Its image, which takes its configuration as ``--config=env:AOT_CONFIG_CONTENT``, as all collectors of
        OpenTelemetry do. By default the AWS Distro for OpenTelemetry, in a fixed version.
    :param secrets: Its environment variables, for ``${env:NAME}`` in the configuration. By default, none.
    :param actions: What it may do in AWS, as IAM actions on any resource. By default, nothing.
    :param memory_limit_mib: Its memory, which is taken from that of the balancer's task. By default 256.
    :param address: Where Envoy sends spans, ``host:port``. By default ``127.0.0.1:4317``, the sidecar.
    """

    config: Mapping[str, Any] | None = field(default=None, repr=False)
    image: ecs.ContainerImage | None = field(default=None, repr=False)
    secrets: Mapping[str, ecs.Secret] = field(default_factory=dict, repr=False)
    actions: Sequence[str] = ()
    memory_limit_mib: int = 256
    address: str = _ADDRESS

    @classmethod
    def x_ray(cls) -> Collector:
        """A sidecar that sends spans to AWS X-Ray, with the permissions that takes."""
        # Sampling is the balancer's own, so that X-Ray's rules need not be read:
        # https://docs.aws.amazon.com/xray/latest/devguide/security_iam_id-based-policy-examples.html
        return cls(config=_pipeline("awsxray", {}), actions=("xray:PutTraceSegments", "xray:PutTelemetryRecords"))

    @classmethod
    def otlp(cls, endpoint: str, *, headers: Mapping[str, ecs.Secret] | None = None) -> Collector:
        """A sidecar that sends spans to any backend that takes OTLP over HTTP.

        :param endpoint: The backend's URL, such as ``https://otlp.example.com``, to which ``/v1/traces`` is added.
        :param headers: Headers of each request with their values, which are secrets. By default, none.
        """
        variables = {f"HEADER_{number}": name for number, name in enumerate(sorted(headers or {}))}
        exporter = {
            "endpoint": endpoint,
            "headers": {name: f"${{env:{variable}}}" for variable, name in variables.items()},
        }
        secrets = {variable: (headers or {})[name] for variable, name in variables.items()}
        return cls(config=_pipeline(_OTLP, exporter), secrets=secrets)

    @classmethod
    def at(cls, address: str) -> Collector:
        """A collector that runs elsewhere. It must let the balancer's tasks in.

        :param address: Its ``host:port`` for OTLP over gRPC, without TLS.
        """
        return cls(address=address)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tracing(NamedFields):
    """OpenTelemetry traces of a balancer's calls.

    The balancer's span is between the caller's and the server's (W3C ``traceparent``). If the caller has decided
    whether a call is traced, that decision holds.

    :param sampling_percent: The percentage to trace of the calls whose caller has not decided. By default 1; 0 traces
        only those whose callers ask for it.
    :param collector: What takes the spans. By default a sidecar that sends them to X-Ray.
    :param service_name: The balancer's name in traces (``service.name``). By default ``grpc-lb``.
    :param attributes: Further attributes of its spans, such as ``{"deployment.environment.name": "prod"}``. Its task
        and its zone are there anyway. By default, none.
    """

    sampling_percent: float = 1.0
    collector: Collector = field(default_factory=Collector.x_ray)
    service_name: str = "grpc-lb"
    attributes: Mapping[str, str] = field(default_factory=dict)


def check_tracing(props: Props, tracing: Tracing, task_memory_mib: int) -> None:
    """Raise ValueError for what no balancer could be told."""
    props.percent("tracing.sampling_percent", tracing.sampling_percent)
    if not isinstance(tracing.collector, Collector):
        raise props.error(
            "tracing.collector", 'a Collector, such as Collector.at("host:4317")', repr(tracing.collector)
        )
    if not is_unresolved(tracing.service_name) and not tracing.service_name.strip():
        raise props.error("tracing.service_name", "a name", repr(tracing.service_name))
    for key, value in tracing.attributes.items():
        if not is_unresolved(value) and not _ATTRIBUTE.fullmatch(f"{key}={value}"):
            allowed = "a-z, 0-9, _ and . as keys, values without = and ,"
            raise props.error("tracing.attributes", allowed, f"{key}={value}")
    _check_collector(props, tracing.collector, task_memory_mib)


def _check_collector(props: Props, collector: Collector, task_memory_mib: int) -> None:
    address = collector.address
    if not is_unresolved(address) and not _PLACE.fullmatch(address):
        raise props.error("tracing.collector", "at a host:port such as collector.internal:4317", repr(address))
    if collector.config is None:
        if address == _ADDRESS:
            raise props.error("tracing.collector", "a sidecar with a config, or at an address", "neither")
        return
    exporter = collector.config.get("exporters", {}).get(_OTLP, {})
    endpoint = exporter.get("endpoint", "https://any")
    if not is_unresolved(endpoint) and not re.match(r"https?://[^/]", endpoint):
        raise props.error("tracing.collector", "an OTLP endpoint such as https://otlp.example.com", repr(endpoint))
    for name in exporter.get("headers", {}):
        if not _HEADER.fullmatch(name):
            raise props.error("tracing.collector", "given names of headers of A-Z, a-z, 0-9 and -", repr(name))
    if not is_unresolved(task_memory_mib):
        if task_memory_mib < _MIN_TASK_MIB:
            allowed = f"at least {_MIN_TASK_MIB} with a sidecar that takes traces (or send them to a Collector.at)"
            raise props.error("memory_limit_mib", allowed, task_memory_mib)
        most = task_memory_mib // 2
        props.whole_number("tracing.collector.memory_limit_mib", collector.memory_limit_mib, 64, most)


def tracing_environment(tracing: Tracing | None) -> dict[str, str]:
    """The image's own settings for it."""
    if tracing is None:
        return {}
    attributes = ",".join(f"{key}={value}" for key, value in tracing.attributes.items())
    return {
        "GRPC_LB_TRACING_PERCENT": number_text(tracing.sampling_percent),
        "GRPC_LB_TRACING_SERVICE_NAME": tracing.service_name,
        "GRPC_LB_TRACING_COLLECTOR": tracing.collector.address,
        **({"GRPC_LB_TRACING_ATTRIBUTES": attributes} if attributes else {}),
    }


def balancer_cpu(tracing: Tracing | None, task_cpu: int) -> int | None:
    """What is left to the balancer, so that a busy sidecar takes nothing from it; None where it has all."""
    if tracing is None or tracing.collector.config is None or is_unresolved(task_cpu):
        return None
    return task_cpu - CPU


def balancer_memory(tracing: Tracing | None, task_memory_mib: int) -> int | None:
    """What is left to the balancer, by which Envoy's heap is bounded; None where it has all."""
    if tracing is None or tracing.collector.config is None or is_unresolved(task_memory_mib):
        return None
    return task_memory_mib - tracing.collector.memory_limit_mib


def add_collector(
    balancer: Construct,
    definition: ecs.FargateTaskDefinition,
    tracing: Tracing | None,
    *,
    log_group: logs.ILogGroup,
) -> ecs.ContainerDefinition | None:
    """The sidecar, where the collector is one. Nothing waits for it, and the task lives on without it."""
    if tracing is None or tracing.collector.config is None:
        return None
    collector = tracing.collector
    linux = ecs.LinuxParameters(balancer, "CollectorLinuxParameters")
    linux.drop_capabilities(ecs.Capability.ALL)
    container = definition.add_container(
        CONTAINER,
        image=collector.image if collector.image is not None else ecs.ContainerImage.from_registry(IMAGE),
        command=[f"--config=env:{_CONFIG}"],
        environment={_CONFIG: cdk.Stack.of(balancer).to_json_string(_as_template(collector.config))},
        secrets=dict(collector.secrets),
        essential=False,
        enable_restart_policy=True,
        cpu=CPU,
        memory_limit_mib=collector.memory_limit_mib,
        logging=calm_log_driver(log_group, "collector"),
        user=_USER,
        readonly_root_filesystem=True,
        linux_parameters=linux,
    )
    if collector.actions:
        # Both are authorised against no resource:
        # https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
        definition.add_to_task_role_policy(iam.PolicyStatement(actions=list(collector.actions), resources=["*"]))
        acknowledge(definition, {ANY_RESOURCE: "X-Ray's segments and the token to pull images with know no resource"})
    return container


def _pipeline(exporter: str, options: Mapping[str, Any]) -> Mapping[str, Any]:
    return {
        "receivers": {"otlp": {"protocols": {"grpc": {"endpoint": _ADDRESS}}}},
        "processors": {
            # Beyond it spans are refused, which harms no call, where the kernel would kill the collector.
            "memory_limiter": {"check_interval": "1s", "limit_percentage": 75, "spike_limit_percentage": 20},
            "resourcedetection": {"detectors": ["env", "ecs"]},
            "batch": {"timeout": "1s"},
        },
        "exporters": {exporter: dict(options)},
        "service": {
            "pipelines": {
                "traces": {
                    "receivers": ["otlp"],
                    "processors": ["memory_limiter", "resourcedetection", "batch"],
                    "exporters": [exporter],
                }
            },
            "telemetry": {"logs": {"level": "warn"}},
        },
    }


def _as_template(value: Any) -> Any:
    """``${env:NAME}`` is the collector's to fill in; CloudFormation would take it for its own."""
    if isinstance(value, Mapping):
        return {key: _as_template(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_as_template(each) for each in value]
    if not isinstance(value, str):
        return value
    parts = _VARIABLE.split(value)
    return "".join(cdk.Fn.sub("${!" + part + "}") if at % 2 else part for at, part in enumerate(parts))
