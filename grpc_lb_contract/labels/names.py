"""The names of labels, and which of them an unknown one may have been meant for."""

from __future__ import annotations

import difflib
import re
from functools import lru_cache

from grpc_lb_contract.policy.overrides import OVERRIDES
from grpc_lb_contract.policy.traffic_policy import POLICY_LABELS, PREFIX, TABLE

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

MAX_MISSPELT = 60

_KNOWN = frozenset(ALL_LABELS)
_SELECTION = tuple(label.removeprefix(PREFIX) for label in (HOSTS, GRPC_SERVICES, METHODS, METADATA))
# `host` is so much like `hosts`, and `metrics` not like `methods`.
_ALIKE = 0.85
_SHORT = tuple(label.removeprefix(PREFIX) for label in ALL_LABELS)
_ROUTES = ROUTES.removeprefix(PREFIX).rstrip(".")
_KINDS = {row.setting.label: row.setting.kind for row in TABLE}
# Prefix and section, however their letters are written and whatever stands in the hyphen's place.
_LIKE_OURS = re.compile(r"\s*grpc[^a-z0-9]?lb\.([^.]*)", re.IGNORECASE)


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
    return label in _KNOWN or route_name(label) is not None


def is_ours(label: str) -> bool:
    """Whether a label has our prefix, or would be one of ours if it had.

    Docker takes `GRPC-LB.weight` for another label, as do we; Traefik, for one, does not tell cases apart.

    >>> is_ours("GRPC-LB.wait"), is_ours("grpc_lb.weight"), is_ours("grpc_lb.of-another-tool")
    (True, True, False)
    """
    return label.lower().startswith(PREFIX) or (
        _LIKE_OURS.match(label) is not None and is_known(_respelt(label).lower())
    )


def problem_with(label: str, value: str = "", *, suggest: bool = True) -> str:
    """What must be in the place of a label that `is_ours` and not known. `value` is what it has.

    To `suggest` the nearest real label compares all of them, which takes about a millisecond.
    """
    label = _respelt(label)
    if label.startswith(ROUTES) or label == PREFIX + _ROUTES:
        return _problem_with_route(label, value, suggest=suggest)
    nearest = _nearest(label) if suggest else None
    nearest = None if nearest is None else PREFIX + _taking(value, nearest.removeprefix(PREFIX), _SHORT)
    about = _about(label)
    if about:
        return _must_be_one_of(about, nearest)
    return "must be a label that exists" + (" (see docs/labels.md)" if nearest is None else f" ({nearest}?)")


def selection_meant(label: str) -> str | None:
    """The label that says which calls are taken, of the service or of a named route, which an unknown one is but for a
    letter or two.

    >>> selection_meant("grpc-lb.host"), selection_meant("grpc-lb.routes.slow.Method")
    ('grpc-lb.hosts', 'grpc-lb.routes.slow.methods')
    """
    label = _respelt(label)
    name, _, setting = label.removeprefix(ROUTES).partition(".")
    is_of_route = label.startswith(ROUTES)
    said = setting if is_of_route else label.removeprefix(PREFIX)
    found = difflib.get_close_matches(said[:MAX_MISSPELT].lower(), _SELECTION, n=1, cutoff=_ALIKE)
    if not found or (is_of_route and ROUTE_NAME.fullmatch(name) is None):
        return None
    return route_label(name, found[0]) if is_of_route else PREFIX + found[0]


def _respelt(label: str) -> str:
    """With the prefix as it is spelt, and a section in lower case; a route's name stays as it is."""
    return _LIKE_OURS.sub(lambda found: PREFIX + found[1].lower(), label, count=1)


def _problem_with_route(label: str, value: str, *, suggest: bool) -> str:
    name, _, setting = label.removeprefix(PREFIX + _ROUTES).removeprefix(".").partition(".")
    if ROUTE_NAME.fullmatch(name) is None:
        return f"must have a route's name of {ROUTE_NAME_RULE} after {ROUTES}"
    nearest = _closest(setting, ROUTE_SETTINGS) if suggest else None
    known = tuple(route_label(name, each) for each in ROUTE_SETTINGS)
    if nearest is not None:
        nearest = route_label(name, _taking(value, nearest, ROUTE_SETTINGS))
    return _must_be_one_of(known, nearest)


def _must_be_one_of(allowed: tuple[str, ...], nearest: str | None) -> str:
    return f"must be one of the labels {', '.join(allowed)}" + ("" if nearest is None else f" ({nearest}?)")


def _about(label: str) -> tuple[str, ...]:
    """For `grpc-lb.retry.tries` those about retries; none for what none is about."""
    about = label.removeprefix(PREFIX).partition(".")[0]
    return tuple(known for known in POLICY_LABELS if known.removeprefix(PREFIX).partition(".")[0] == about)


@lru_cache(maxsize=1024)
def _nearest(label: str) -> str | None:
    """The real label, or section of labels, that may be meant; also of a named route, `grpc-lb.route.NAME.hosts`."""
    said = label.removeprefix(PREFIX)
    first, _, rest = said.partition(".")
    if rest and _closest(first, (_ROUTES,)) and route_name(f"{ROUTES}{rest}") is not None:
        return f"{ROUTES}{rest}"
    nearest = _closest(said, _SHORT)
    return None if nearest is None else PREFIX + nearest


def _closest(said: str, known: tuple[str, ...]) -> str | None:
    """One of those known or, where it has no setting, of their sections (`rate-limit`)."""
    # Nobody misspells one of these at several times its length, and the search takes longer with each character.
    said = said[:MAX_MISSPELT].lower()
    section, _, setting = said.partition(".")
    within = [each.removeprefix(f"{section}.") for each in known if each.startswith(f"{section}.")]
    if setting and within:
        # What all of a section share makes none of them more likely.
        matches = difflib.get_close_matches(setting, within, n=1)
        return f"{section}.{matches[0]}" if matches else None
    matches = difflib.get_close_matches(said, sorted({*known, *(each.partition(".")[0] for each in known)}), n=1)
    return matches[0] if matches else None


def _taking(value: str, nearest: str, known: tuple[str, ...]) -> str:
    """Of a section that is no setting, the first setting that takes the value; without one, the first."""
    within = [each for each in known if each.startswith(f"{nearest}.")]
    if nearest in known or not within:
        return nearest
    return next((each for each in within if _KINDS[each].read(value.strip()) is not None), within[0])
