"""The page that tells every label of traffic: made from the table that labels are read by."""

from __future__ import annotations

from collections.abc import Iterator

from grpc_lb_contract.document.default_weight import DEFAULT_WEIGHT
from grpc_lb_contract.labels.names import (
    GRPC_SERVICES,
    HOSTS,
    METADATA,
    METHODS,
    PRIORITY,
    ROUTE_NAME_RULE,
    WEIGHT,
    route_label,
)
from grpc_lb_contract.labels.registration import PRIORITY_KIND, WEIGHT_KIND
from grpc_lb_contract.metadata_conditions import CONDITIONS_RULE
from grpc_lb_contract.names import METHOD_RULE
from grpc_lb_contract.policy.overrides import OVERRIDES
from grpc_lb_contract.policy.traffic_policy import TABLE


def label_reference() -> str:
    """Labels beyond the first ones (name, port, hosts, gRPC services), as a table in Markdown."""
    lines = ["| label | holds | by default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in _cells()]
    return "\n".join(lines) + "\n"


def with_label_reference(page: str) -> str:
    """docs/labels.md with the table of its section "Traffic policy" rewritten. Raises ValueError where it has none."""
    head, *rest = page.partition("| label | holds | by default | meaning |\n")
    if not rest[1]:
        raise ValueError("docs/labels.md must have the table of labels, whose first row is label, holds, ..., got none")
    after = rest[1].partition("\n\n")
    return f"{head}{label_reference()}\n{after[2]}"


def _cells() -> Iterator[tuple[str, str, str, str]]:
    yield (
        f"`{METHODS}`",
        f"separated by commas, each {METHOD_RULE}",
        "unset",
        f"Single methods whose calls the service takes, in addition to `{GRPC_SERVICES}`. Without that label, only "
        "these methods.",
    )
    yield (
        f"`{METADATA}`",
        CONDITIONS_RULE,
        "unset",
        "Conditions on the request metadata of the calls that the service takes. All must hold. Among routes with the "
        "same host and priority, the one with the most conditions takes a call.",
    )
    yield (
        f"`{PRIORITY}`",
        PRIORITY_KIND.rule,
        "`0`",
        "Among routes of one host that match a call, the one with the highest priority takes it.",
    )
    yield (
        f"`{WEIGHT}`",
        WEIGHT_KIND.rule,
        "unset",
        "This ECS service's share of the service's calls, relative to the other ECS services. If none "
        f"of them has a weight, each task gets the same share; otherwise those without one weigh "
        f"{DEFAULT_WEIGHT}.",
    )
    for row in TABLE:
        kind = row.setting.kind
        default = f"`{kind.write(row.default)}`" if kind.allows(row.default) else "unset"
        yield f"`{row.label}`", kind.rule, default, row.setting.meaning
    for label in (HOSTS, GRPC_SERVICES, METHODS, METADATA, PRIORITY, *(row.label for row in OVERRIDES)):
        yield (
            f"`{route_label('NAME', label)}`",
            f"as `{label}`",
            "as the service has it",
            f"For the calls of the route NAME, {ROUTE_NAME_RULE}.",
        )
