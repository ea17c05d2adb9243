"""No setting is lost on the way to a client: it is sent, or the log and the page say that it is not followed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest

from grpc_lb_contract import Document, Group, Route, Service, Target, TargetState, TrafficPolicy
from grpc_lb_contract.policy.traffic_policy import TABLE, PolicySetting
from proxy_image.control_plane.xds.proxyless.client_kind import ClientKind, Feature, Language
from proxy_image.control_plane.xds.proxyless.client_resources import ClientResources
from proxy_image.control_plane.xds.proxyless.unsupported_settings import unfollowed

KIND = ClientKind(Language.JAVA, (1, 76, 0), "Java 1.76.0")
NEEDLESS = ("web", "forwarded_headers")
"""Of browsers, which come through the balancer, and of the proxies before it."""
WHOLE_SECTIONS = ("mirror.service", "tls", "health-check", "rate-limit.calls-per-second")
"""Where the first setting of a section is not followed, its others are not."""

BASES: tuple[Mapping[str, str], ...] = (
    {
        "retry.on": "UNAVAILABLE",
        "outlier.success-rate": "true",
        "rate-limit.calls-per-second": "9",
        "fault.delay": "1s",
        "fault.abort": "INTERNAL",
        "mirror.service": "other",
        "tls": "true",
        "health-check": "true",
    },
    {"balancing": "ring-hash", "balancing.metadata-key": "k", "tls": "true", "tls.server-name": "a.test"},
    {"balancing": "least-request"},
    {},
)
TEXTS = (
    *("true", "false", "1s", "250ms", "20s", "1", "7", "50", "500", "UNAVAILABLE", "INTERNAL,CANCELLED", "random"),
    *("x-key", "rng.v1.RandomNumber", "a.test", "system", "A" * 43 + "="),
)


def policies_with(row: PolicySetting) -> Iterator[tuple[TrafficPolicy, TrafficPolicy]]:
    """Policies, and the same ones with another value of the setting."""
    for base in BASES:
        before, rejected = TrafficPolicy.from_settings(base)
        assert not rejected
        label = row.setting.label
        for text in TEXTS:
            after, rejected = TrafficPolicy.from_settings({**base, label: text})
            if not rejected and after != before and row.value_in(after) != row.default:
                yield before, after
                break


def sent(policy: TrafficPolicy) -> set[tuple[str, str]]:
    targets = tuple(
        Target(f"10.0.0.{number}", 50051, zone, TargetState.SERVING, "group", f"task{number}")
        for number, zone in ((1, "a"), (2, "b"))
    )
    service = Service("rng", (Route(),), (Group("group"),), targets, policy)
    resources = ClientResources(Document(services=(service,))).resources(KIND, "a")
    return {(each.name, table["rng"].version) for each, table in resources.by_type.items() if "rng" in table}


@pytest.mark.parametrize("row", [row for row in TABLE if row.part not in NEEDLESS], ids=lambda row: row.label)
def test_a_setting_is_sent_or_said_not_to_be_followed(row: PolicySetting) -> None:
    # GIVEN a client of all there is, and policies that differ in one setting
    assert KIND.features >= frozenset(Feature) - {Feature.EARLY_TIMEOUT}
    pairs = list(policies_with(row))
    assert pairs
    for before, after in pairs:
        # THEN it is sent another thing, or what it cannot follow is told by the setting's name
        told = {each.label.removeprefix("grpc-lb.") for each in unfollowed("rng", after, KIND)}
        section = row.setting.label.partition(".")[0]
        in_whole = any(label in told and label.partition(".")[0] == section for label in WHOLE_SECTIONS)
        assert row.setting.label in told or in_whole or sent(before) != sent(after), after
