"""Every valid document, and every set of labels, in the measure that the contract allows."""

from __future__ import annotations

from string import ascii_letters, ascii_lowercase, digits

from hypothesis import strategies as st

from grpc_lb_contract import (
    Condition,
    Document,
    Group,
    LostRoute,
    Match,
    Notes,
    Refusal,
    Registration,
    Route,
    Service,
    Target,
    TargetState,
    TrafficPolicy,
)
from grpc_lb_contract.names import SERVICE_NAME
from grpc_lb_contract.policy import TABLE

_LABEL = st.text(ascii_lowercase + digits + "_", min_size=1, max_size=63)
hosts = st.just("*") | st.builds(
    lambda wildcard, labels: (wildcard + ".".join(labels))[:253].rstrip(".-"),
    st.sampled_from(["", "*."]),
    st.lists(_LABEL, min_size=1, max_size=4),
)
grpc_services = st.just("*") | st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,40}(\.[A-Z_]{1,40}){0,5}", fullmatch=True)
service_names = st.from_regex(SERVICE_NAME, fullmatch=True)
ports = st.integers(1, 65_535)
conditions = st.builds(
    lambda key, match, value: Condition(key, match, value if match is not Match.PRESENT else ""),
    st.from_regex(r"[a-z0-9_.-]{1,12}", fullmatch=True),
    st.sampled_from(Match),
    st.from_regex(r"[!-+\--~]{1,12}", fullmatch=True),
)
metadata = st.lists(conditions, max_size=3).map(tuple)
routes = st.builds(Route, hosts, grpc_services, st.just(()) | metadata)

_TIMES = [f"{number}{unit}" for number in (0, 1, 20, 250, 1500) for unit in ("ms", "s", "m", "h")]
_WORDS = ["true", "false", "x-key", "rng.v1.RandomNumber", "UNAVAILABLE", "INTERNAL,CANCELLED", "round-robin"]
_METHODS = ["least-request", "random", "ring-hash", "maglev"]
setting_texts = st.sampled_from(_TIMES + _WORDS + _METHODS) | st.integers(0, 1000).map(str) | st.just("0.25")
"""Texts of which each setting allows some."""
settings = st.dictionaries(st.sampled_from([row.setting.label for row in TABLE]), setting_texts, max_size=len(TABLE))
policies = settings.map(lambda texts: TrafficPolicy.from_settings(texts)[0])


@st.composite
def services(draw: st.DrawFn, *, most_targets: int = 60) -> Service:
    groups = draw(
        st.lists(
            st.builds(Group, st.text(ascii_letters + digits + "_-", min_size=1, max_size=255), st.integers(0, 1000)),
            max_size=3,
            unique_by=lambda group: group.name,
        )
    )
    targets = st.builds(
        Target,
        st.ip_addresses().map(str),
        ports,
        st.text(ascii_lowercase + digits + "-", max_size=63),
        st.sampled_from(TargetState),
        st.sampled_from([group.name for group in groups] or ["none"]),
        st.text(ascii_letters + digits + "_.:-", min_size=1, max_size=128),
    )
    return Service(
        draw(service_names),
        tuple(draw(st.lists(routes, max_size=5))),
        tuple(groups),
        tuple(draw(st.lists(targets, max_size=most_targets))) if groups else (),
        draw(st.just(TrafficPolicy()) | policies),
    )


refusals = st.builds(Refusal, st.text(), st.integers(0), st.text(), st.text(max_size=5_000), st.text(max_size=500))
lost_routes = st.builds(LostRoute, st.text(max_size=1_000), service_names, service_names)
notes = st.just(Notes()) | st.builds(Notes.of, st.lists(refusals, max_size=8), st.lists(lost_routes, max_size=8))
documents = st.builds(
    Document, st.lists(services(), max_size=6, unique_by=lambda service: service.name).map(tuple), notes
)
registrations = st.builds(
    Registration,
    service_names,
    ports,
    st.lists(hosts, min_size=1, max_size=4).map(tuple),
    st.lists(grpc_services, min_size=1, max_size=4).map(tuple),
    metadata,
    st.none() | st.integers(0, 1000),
    policies,
)
