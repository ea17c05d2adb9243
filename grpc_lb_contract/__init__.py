"""What the Lambda, the balancer and the constructs agree on: docker labels in, the target document out.

Standard library only, because it is copied whole into the Lambda's asset and into the balancer's image.
"""

from grpc_lb_contract.cause import Cause, CauseKind, TaskChange
from grpc_lb_contract.decoder import DocumentDecoder
from grpc_lb_contract.errors import (
    DocumentError,
    DocumentTooLarge,
    LabelError,
    MissingShard,
    MixedGenerations,
    UnknownFormat,
)
from grpc_lb_contract.labels import LabelReading, read_labels
from grpc_lb_contract.metadata import Condition, Match
from grpc_lb_contract.model import WEIGHT_BESIDE_WEIGHED, Document, Group, Route, Service, Target, TargetState
from grpc_lb_contract.names import service_name_from
from grpc_lb_contract.notes import LostRoute, Notes, Refusal
from grpc_lb_contract.overrides import Overrides
from grpc_lb_contract.policy import TrafficPolicy
from grpc_lb_contract.policy_calls import Deadline, Fault, RateLimit, Retry, RetryStatus, Status
from grpc_lb_contract.policy_protocol import Mirror, Tls, TlsVerify, Web
from grpc_lb_contract.policy_targets import Balancing, Ejection, HealthCheck, Limits, Method
from grpc_lb_contract.records import decode_document, encode_document
from grpc_lb_contract.reference import label_reference
from grpc_lb_contract.registration import Registration, RouteRule
from grpc_lb_contract.routes import RouteConflict, settle_routes
from grpc_lb_contract.shards import (
    MAX_PARAMETER_BYTES,
    Index,
    Packed,
    assemble,
    generation_of,
    index_parameter,
    pack,
    read_index,
    shard_parameter,
    share_of_limit,
)

__all__ = [
    "MAX_PARAMETER_BYTES",
    "WEIGHT_BESIDE_WEIGHED",
    "Balancing",
    "Cause",
    "CauseKind",
    "Condition",
    "Deadline",
    "Document",
    "DocumentDecoder",
    "DocumentError",
    "DocumentTooLarge",
    "Ejection",
    "Fault",
    "Group",
    "HealthCheck",
    "Index",
    "LabelError",
    "LabelReading",
    "Limits",
    "LostRoute",
    "Match",
    "Method",
    "Mirror",
    "MissingShard",
    "MixedGenerations",
    "Notes",
    "Overrides",
    "Packed",
    "RateLimit",
    "Refusal",
    "Registration",
    "Retry",
    "RetryStatus",
    "Route",
    "RouteConflict",
    "RouteRule",
    "Service",
    "Status",
    "Target",
    "TargetState",
    "TaskChange",
    "Tls",
    "TlsVerify",
    "TrafficPolicy",
    "UnknownFormat",
    "Web",
    "assemble",
    "decode_document",
    "encode_document",
    "generation_of",
    "index_parameter",
    "label_reference",
    "pack",
    "read_index",
    "read_labels",
    "service_name_from",
    "settle_routes",
    "shard_parameter",
    "share_of_limit",
]
