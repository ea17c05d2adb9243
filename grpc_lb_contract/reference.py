"""The page that tells every label of traffic: made from the table that labels are read by."""

from __future__ import annotations

from collections.abc import Iterator

from grpc_lb_contract.labels import METADATA, WEIGHT, WEIGHT_KIND
from grpc_lb_contract.metadata import CONDITIONS_RULE
from grpc_lb_contract.model import WEIGHT_BESIDE_WEIGHED
from grpc_lb_contract.policy import TABLE


def label_reference() -> str:
    """Labels beyond the first ones (name, port, hosts, gRPC services), as a table in Markdown."""
    lines = ["| label | holds | by default | meaning |", "|---|---|---|---|"]
    lines += [f"| {' | '.join(cells)} |" for cells in _cells()]
    return "\n".join(lines) + "\n"


def _cells() -> Iterator[tuple[str, str, str, str]]:
    yield (
        f"`{METADATA}`",
        CONDITIONS_RULE,
        "unset",
        "Conditions on the request metadata of the calls that the service takes: all must hold. Of routes of one host, "
        "the one with the most conditions takes a call.",
    )
    yield (
        f"`{WEIGHT}`",
        WEIGHT_KIND.rule,
        "unset",
        "The part of the service's calls that this ECS service takes, compared with the others. Where none "
        f"of them has a weight each task takes the same; beside one that has, those without weigh "
        f"{WEIGHT_BESIDE_WEIGHED}.",
    )
    for row in TABLE:
        kind = row.setting.kind
        default = f"`{kind.write(row.default)}`" if kind.allows(row.default) else "unset"
        yield f"`{row.label}`", kind.rule, default, row.setting.meaning
