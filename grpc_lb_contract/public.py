"""The names that `from grpc_lb_contract import …` finds."""

from grpc_lb_contract.document.balancers import Balancer
from grpc_lb_contract.document.cause import Cause, CauseKind, Stop, TaskChange
from grpc_lb_contract.document.decoder import DocumentDecoder
from grpc_lb_contract.document.default_weight import DEFAULT_WEIGHT
from grpc_lb_contract.document.diagnostics import Diagnostics, RejectedLabel, ShadowedRoute
from grpc_lb_contract.document.index import Index, check_source, read_index
from grpc_lb_contract.document.model import Document, Group, Route, Service, Target, TargetState
from grpc_lb_contract.document.records import decode_document, encode_document
from grpc_lb_contract.document.resolve_conflicts import RouteConflict, resolve_conflicts
from grpc_lb_contract.document.shards import (
    MAX_PARAMETER_BYTES,
    Packed,
    assemble,
    generation_of,
    index_parameter,
    pack,
    shard_parameter,
    share_of_limit,
)
from grpc_lb_contract.errors import (
    DocumentError,
    DocumentTooLarge,
    ForeignIndex,
    LabelError,
    MissingShard,
    MixedGenerations,
    OldIndex,
    UnknownFormat,
)
from grpc_lb_contract.labels.reader import LabelReading, read_labels
from grpc_lb_contract.labels.registration import Registration, RouteRule
from grpc_lb_contract.metadata_conditions import Condition, Match
from grpc_lb_contract.names import service_name_from
from grpc_lb_contract.policy.overrides import Overrides
from grpc_lb_contract.policy.sections.balancing import Balancing, Method
from grpc_lb_contract.policy.sections.deadline import Deadline
from grpc_lb_contract.policy.sections.fault import Fault, Status
from grpc_lb_contract.policy.sections.forwarded_headers import ForwardedHeaders
from grpc_lb_contract.policy.sections.grpc_web import Web
from grpc_lb_contract.policy.sections.health_check import HealthCheck
from grpc_lb_contract.policy.sections.limits import Limits
from grpc_lb_contract.policy.sections.mirror import Mirror
from grpc_lb_contract.policy.sections.outlier_detection import OutlierDetection
from grpc_lb_contract.policy.sections.rate_limit import RateLimit
from grpc_lb_contract.policy.sections.retry import Retry, RetryStatus
from grpc_lb_contract.policy.sections.tls import Tls, TlsVerify
from grpc_lb_contract.policy.traffic_policy import TrafficPolicy

__all__ = [
    "DEFAULT_WEIGHT",
    "MAX_PARAMETER_BYTES",
    "Balancer",
    "Balancing",
    "Cause",
    "CauseKind",
    "Condition",
    "Deadline",
    "Diagnostics",
    "Document",
    "DocumentDecoder",
    "DocumentError",
    "DocumentTooLarge",
    "Fault",
    "ForeignIndex",
    "ForwardedHeaders",
    "Group",
    "HealthCheck",
    "Index",
    "LabelError",
    "LabelReading",
    "Limits",
    "Match",
    "Method",
    "Mirror",
    "MissingShard",
    "MixedGenerations",
    "OldIndex",
    "OutlierDetection",
    "Overrides",
    "Packed",
    "RateLimit",
    "Registration",
    "RejectedLabel",
    "Retry",
    "RetryStatus",
    "Route",
    "RouteConflict",
    "RouteRule",
    "Service",
    "ShadowedRoute",
    "Status",
    "Stop",
    "Target",
    "TargetState",
    "TaskChange",
    "Tls",
    "TlsVerify",
    "TrafficPolicy",
    "UnknownFormat",
    "Web",
    "assemble",
    "check_source",
    "decode_document",
    "encode_document",
    "generation_of",
    "index_parameter",
    "pack",
    "read_index",
    "read_labels",
    "resolve_conflicts",
    "service_name_from",
    "shard_parameter",
    "share_of_limit",
]
