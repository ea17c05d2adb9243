"""AWS CDK constructs that balance every gRPC call, not every connection, between Amazon ECS tasks."""

from cdk_grpc_lb.balancer.balancer import GrpcBalancer
from cdk_grpc_lb.balancer.balancer_base import GrpcBalancerBase
from cdk_grpc_lb.balancer.target_sync import TargetSync
from cdk_grpc_lb.monitoring.access_log import AccessLog
from cdk_grpc_lb.monitoring.alarms import GrpcAlarms
from cdk_grpc_lb.monitoring.call_metrics import BalancerMetrics, CallMetrics, ServiceCallMetrics
from cdk_grpc_lb.monitoring.dashboard import GrpcDashboard
from cdk_grpc_lb.monitoring.tracing import Collector, Tracing
from cdk_grpc_lb.service.balanced_service import GrpcBalancedService
from grpc_lb_contract import (
    Balancing,
    Condition,
    Deadline,
    Fault,
    ForwardedHeaders,
    HealthCheck,
    Limits,
    Match,
    Method,
    Mirror,
    OutlierDetection,
    Overrides,
    RateLimit,
    Retry,
    RetryStatus,
    RouteRule,
    Status,
    Tls,
    TlsVerify,
    TrafficPolicy,
    Web,
)
from traefik_labels import TraefikLabels

__version__ = "0.1.0"

__all__ = [
    "AccessLog",
    "BalancerMetrics",
    "Balancing",
    "CallMetrics",
    "Collector",
    "Condition",
    "Deadline",
    "Fault",
    "ForwardedHeaders",
    "GrpcAlarms",
    "GrpcBalancedService",
    "GrpcBalancer",
    "GrpcBalancerBase",
    "GrpcDashboard",
    "HealthCheck",
    "Limits",
    "Match",
    "Method",
    "Mirror",
    "OutlierDetection",
    "Overrides",
    "RateLimit",
    "Retry",
    "RetryStatus",
    "RouteRule",
    "ServiceCallMetrics",
    "Status",
    "TargetSync",
    "Tls",
    "TlsVerify",
    "Tracing",
    "TraefikLabels",
    "TrafficPolicy",
    "Web",
]
