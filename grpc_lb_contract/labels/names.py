"""The names of labels, and which of them an unknown one may have been meant for."""

from __future__ import annotations

import difflib
import re

from grpc_lb_contract.policy.overrides import OVERRIDES
from grpc_lb_contract.policy.traffic_policy import POLICY_LABELS, PREFIX

ENABLE = "grpc-lb.enable"
SERVICE = "grpc-lb.service"
PORT = "grpc-lb.port"
HOSTS = "grpc-lb.hosts"
GRPC_SERVICES = "grpc-lb.grpc-services"
METHODS = "grpc-lb.methods"
METADATA = "grpc-lb.metadata"
PRIORITY = "grpc-lb.priority"
WEIGHT = "grpc-lb.weight"
LABELS = (ENABLE, SERVICE, PORT, HOSTS, GRPC_SERVICES)
ALL_LABELS = (*LABELS, METHODS, METADATA, PRIORITY, WEIGHT, *POLICY_LABELS)

ROUTES = "grpc-lb.routes."
ROUTE_NAME = re.compile(r"[a-z0-9-]{1,63}")
ROUTE_NAME_RULE = "1 to 63 of a-z, 0-9 and -"
ROUTE_SETTINGS = tuple(
    label.removeprefix(PREFIX)
    for label in (HOSTS, GRPC_SERVICES, METHODS, METADATA, PRIORITY, *(row.label for row in OVERRIDES))
)
"""What may follow `grpc-lb.routes.NAME.`"""


def route_label(name: str, label: str) -> str:
    """The label that says for one named route what `label` says for all.

    >>> route_label("slow", "grpc-lb.methods")
    'grpc-lb.routes.slow.methods'
    """
    return f"{ROUTES}{name}.{label.removeprefix(PREFIX)}"


def route_name(label: str) -> str | None:
    """The name of the route that a known label is about."""
    name, _, setting = label.removeprefix(ROUTES).partition(".")
    known = label.startswith(ROUTES) and ROUTE_NAME.fullmatch(name) is not None and setting in ROUTE_SETTINGS
    return name if known else None


def is_known(label: str) -> bool:
    return label in ALL_LABELS or route_name(label) is not None


def problem_with(label: str) -> str:
    """What must be in the place of a label with our prefix that is none of ours."""
    if label.startswith(ROUTES):
        return _problem_with_route(label)
    return _must_be_one_of(_about_the_same(label), label, ALL_LABELS)


def _problem_with_route(label: str) -> str:
    name, _, _ = label.removeprefix(ROUTES).partition(".")
    if ROUTE_NAME.fullmatch(name) is None:
        return f"must have a route's name of {ROUTE_NAME_RULE} after {ROUTES}"
    known = tuple(route_label(name, setting) for setting in ROUTE_SETTINGS)
    return _must_be_one_of(known, label, known)


def _must_be_one_of(allowed: tuple[str, ...], label: str, known: tuple[str, ...]) -> str:
    nearest = difflib.get_close_matches(label, known, n=1)
    return f"must be one of the labels {', '.join(allowed)}" + (f" ({nearest[0]}?)" if nearest else "")


def _about_the_same(label: str) -> tuple[str, ...]:
    """For `grpc-lb.retry.tries` those about retries, else those that every service has."""
    about = label.removeprefix(PREFIX).partition(".")[0]
    of_policy = tuple(known for known in POLICY_LABELS if known.removeprefix(PREFIX).partition(".")[0] == about)
    return of_policy or LABELS
