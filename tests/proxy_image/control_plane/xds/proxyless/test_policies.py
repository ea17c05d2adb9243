"""Policies reach clients that call the tasks directly: each as far as the client's language can follow it."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import grpc
import pytest

from grpc_lb_contract import (
    Balancing,
    Condition,
    Deadline,
    Document,
    Fault,
    Limits,
    Match,
    Method,
    OutlierDetection,
    Overrides,
    Retry,
    RetryStatus,
    Route,
    Status,
    TrafficPolicy,
)
from tests.proxy_image.control_plane.policies import ms, treated, weighed
from tests.proxy_image.control_plane.support import (
    GRPC_SERVICE,
    STAY,
    WHICH,
    WHO,
    Backend,
    backends,
    eventually,
    rng,
    service,
    target,
)
from tests.proxy_image.control_plane.xds.proxyless.conftest import OpenClient
from tests.proxy_image.control_plane.xds.proxyless.harness import LANGUAGES

pytestmark = pytest.mark.parametrize("language", LANGUAGES)


def of(*servers: Backend, policy: TrafficPolicy) -> Document:
    return treated(policy, *(each.target for each in servers))


async def test_calls_are_spread_evenly_over_all_zones(open_client: OpenClient) -> None:
    async with backends("a", "b", "c") as (a, b, c), open_client() as (client, plane):
        await plane.serve(rng(target(a.port, zone="x"), target(b.port, zone="x"), target(c.port, zone="y")))
        await client.sees(30, {"a": 10, "b": 10, "c": 10})


@pytest.mark.parametrize("calls", [1000, pytest.param(4000, marks=pytest.mark.long)])
async def test_weights_are_shares_of_the_calls(open_client: OpenClient, calls: int) -> None:
    """By chance, as clients choose: 10 % of the calls, give or take 5 standard deviations."""
    async with backends("a", "b", "canary") as (a, b, canary), open_client() as (client, plane):
        blue = target(a.port, group="blue"), target(b.port, group="blue")
        await plane.serve(weighed({"blue": 90, "green": 10}, *blue, target(canary.port, group="green")))
        await client.who(20)
        answers = await client.who(calls, parallel=True)
        assert answers["canary"] == pytest.approx(calls / 10, abs=5 * (calls * 0.1 * 0.9) ** 0.5)
        assert answers["a"] == pytest.approx(answers["b"], rel=0.05)


async def test_a_group_of_weight_0_gets_no_call(open_client: OpenClient) -> None:
    async with backends("a", "b") as (a, b), open_client() as (client, plane):
        await plane.serve(weighed({"blue": 1, "green": 0}, target(a.port, group="blue"), target(b.port, group="green")))
        assert await client.who(50) == {"a": 50}


async def test_a_route_by_metadata_takes_its_calls_from_the_service_that_is_called(open_client: OpenClient) -> None:
    async with backends("a", "canary") as (a, canary), open_client() as (client, plane):
        is_canary = Condition("x-canary", Match.EXACT, "yes")
        await plane.serve(
            Document(
                (
                    service("rng", a.target, routes=[Route(grpc_service=GRPC_SERVICE)]),
                    service("next", canary.target, routes=[Route(grpc_service=GRPC_SERVICE, metadata=(is_canary,))]),
                )
            )
        )
        assert await client.who(10) == {"a": 10}
        assert await client.who(10, metadata=[("x-canary", "yes")]) == {"canary": 10}
        assert await client.who(10, metadata=[("x-canary", "no")]) == {"a": 10}


@pytest.mark.parametrize(
    ("condition", "fitting", "others"),
    [
        (Condition("k", Match.EXACT, "v"), ["v"], ["w", None]),
        (Condition("k", Match.NOT_EXACT, "v"), ["w", None], ["v"]),
        (Condition("k", Match.PREFIX, "v"), ["v", "v1"], ["w", None]),
        (Condition("k", Match.PRESENT), ["v", "w"], [None]),
        (Condition("k", Match.ABSENT), [None], ["v"]),
    ],
)
async def test_each_condition_means_what_it_means_behind_the_balancer(
    open_client: OpenClient, condition: Condition, fitting: list[str | None], others: list[str | None]
) -> None:
    async with backends("a", "b") as (a, b), open_client() as (client, plane):
        await plane.serve(
            Document((service("rng", a.target), service("next", b.target, routes=[Route(metadata=(condition,))])))
        )
        for value in [*fitting, *others]:
            metadata = [] if value is None else [("k", value)]
            assert await client.who(3, metadata=metadata) == {"b" if value in fitting else "a": 3}, value


@pytest.mark.parametrize("key", ["k-bin", "user-agent"])
async def test_metadata_that_clients_choose_nothing_by_is_told(open_client: OpenClient, key: str) -> None:
    # GIVEN a route and a hash by metadata that Envoy sees
    by_key = TrafficPolicy(balancing=Balancing(Method.RING_HASH, metadata_key=key))
    async with backends("a", "b") as (a, b), open_client() as (client, plane):
        conditional = service("next", b.target, routes=[Route(metadata=(Condition(key),))])
        await plane.serve(Document((replace(service("rng", a.target), policy=by_key), conditional)))
        # WHEN calls have it
        sent = [(key, "v")] if key == "k-bin" else []
        # THEN the client does not go by it, and both are told
        assert await client.who(3, metadata=sent) == {"a": 3}
        told = {(each.service, each.label) for each in plane.state.clients.unfollowed}
        assert {("next", "grpc-lb.metadata"), ("rng", "grpc-lb.balancing.metadata-key")} <= told


async def test_a_route_of_a_method_has_its_own_deadline(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client() as (client, plane):
        slow = Route(grpc_service=GRPC_SERVICE, method="Stay", overrides=Overrides(deadline=Deadline(max=ms(300))))
        await plane.serve(Document((service("rng", a.target, routes=[slow, Route()]),)))
        assert await client.who(3) == {"a": 3}
        late = await client.calls(1, method=STAY)
        assert late.codes == {"DEADLINE_EXCEEDED": 1}
        assert late.seconds[0] > 0.29
        assert a.time_left[-1] is None or a.time_left[-1] > 1


async def test_the_shorter_of_ceiling_and_callers_deadline_holds(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client() as (client, plane):
        await plane.serve(of(a, policy=TrafficPolicy(deadline=Deadline(max=timedelta(seconds=1)))))
        await client.who(1)
        without = await client.calls(1, method=STAY, timeout=None)
        own = await client.calls(1, method=STAY, timeout=0.3)
        assert without.codes == own.codes == {"DEADLINE_EXCEEDED": 1}
        # Neither is early, but for what is lost as clients count in milliseconds.
        assert own.seconds[0] > 0.29
        assert without.seconds[0] > 0.99


async def test_a_status_is_retried_where_the_service_asks_for_it(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client() as (client, plane):
        a.abort = grpc.StatusCode.UNAVAILABLE
        retry = Retry(on=frozenset({RetryStatus.UNAVAILABLE}), max_retries=2)
        await plane.serve(of(a, policy=TrafficPolicy(retry=retry)))
        assert (await client.calls(1)).codes == {"UNAVAILABLE": 1}
        assert a.seen["who"] == 3
        a.abort = grpc.StatusCode.INTERNAL
        assert (await client.calls(1)).codes == {"INTERNAL": 1}
        assert a.seen["who"] == 4, "that status is not asked for"


async def test_no_status_is_retried_unless_asked_for(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client() as (client, plane):
        a.abort = grpc.StatusCode.UNAVAILABLE
        await plane.serve(of(a, policy=TrafficPolicy()))
        assert (await client.calls(3)).codes == {"UNAVAILABLE": 3}
        assert a.seen["who"] == 3


async def test_a_fault_hits_its_share_of_the_calls_and_ends_with_the_policy(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client() as (client, plane):
        await plane.serve(of(a, policy=TrafficPolicy(fault=Fault(abort=Status.ABORTED))))
        assert (await client.calls(20)).codes == {"ABORTED": 20}
        assert not a.seen
        await plane.serve(of(a, policy=TrafficPolicy(fault=Fault(abort=Status.ABORTED, abort_percent=30))))

        async def some_pass() -> bool:
            return "OK" in (await client.calls(10)).codes

        await eventually(some_pass)
        assert (await client.calls(1000, parallel=True)).codes["ABORTED"] == pytest.approx(300, abs=75)
        await plane.serve(of(a, policy=TrafficPolicy()))
        await client.sees(20, {"a": 20})


async def test_a_delay_holds_calls_back(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client() as (client, plane):
        await plane.serve(of(a, policy=TrafficPolicy(fault=Fault(delay=ms(400)))))
        assert min((await client.calls(3)).seconds) >= 0.4


async def test_calls_beyond_the_limit_fail_at_once(open_client: OpenClient) -> None:
    async with backends("a") as (a,), open_client() as (client, plane):
        await plane.serve(of(a, policy=TrafficPolicy(limits=Limits(requests=2))))
        await client.who(1)
        # Node counts a call once it is sent: calls of one turn of its loop are not counted in time.
        calling = asyncio.create_task(
            client.calls(6, method=STAY, parallel=True, apart=0.05, wait_for_ready=False, timeout=60)
        )
        await eventually(lambda: a.seen["stay"] == 2)
        await asyncio.sleep(2)  # for the others, which the client makes within a fifth of a second
        a.release.set()
        outcome = await calling
        assert outcome.codes == {"OK": 2, "UNAVAILABLE": 4}
        assert a.seen["stay"] == 2


async def test_no_limit_is_met_by_accident(open_client: OpenClient) -> None:
    """gRPC's own is 1,024 calls at once (gRFC A32)."""
    async with backends("a") as (a,), open_client() as (client, plane):
        await plane.serve(of(a, policy=TrafficPolicy()))
        await client.who(1)
        calling = asyncio.create_task(client.calls(1100, method=STAY, parallel=True, timeout=60))
        # The calls end before they are released only if they fail.
        await eventually(lambda: a.seen["stay"] == 1100 or calling.done())
        a.release.set()
        assert (await calling).codes == {"OK": 1100}


@pytest.mark.parametrize("method", [Method.RING_HASH, Method.MAGLEV])
async def test_calls_with_one_key_go_to_one_target(open_client: OpenClient, method: Method) -> None:
    async with backends("a", "b", "c") as servers, open_client() as (client, plane):
        balancing = Balancing(method=method, metadata_key="x-user")
        await plane.serve(of(*servers, policy=TrafficPolicy(balancing=balancing)))
        taken = set()
        for user in range(30):
            answers = await client.who(3, metadata=[("x-user", f"user {user}")])
            assert len(answers) == 1
            taken |= set(answers)
        assert taken == {"a", "b", "c"}


@pytest.mark.parametrize("method", [Method.LEAST_REQUEST, Method.RANDOM])
async def test_a_client_that_cannot_balance_so_goes_round_and_rejects_nothing(
    open_client: OpenClient, method: Method
) -> None:
    async with backends("a", "b") as servers, open_client() as (client, plane):
        await plane.serve(of(*servers, policy=TrafficPolicy(balancing=Balancing(method=method))))
        await client.sees(20, {"a": 10, "b": 10})


async def test_a_target_whose_answers_all_fail_is_ejected_where_asked(open_client: OpenClient) -> None:
    async with backends("a", "b", "c") as (a, b, c), open_client() as (client, plane):
        b.abort = grpc.StatusCode.INTERNAL
        ejection = OutlierDetection(consecutive_errors=5, base_ejection_time=timedelta(seconds=1))
        await plane.serve(of(a, b, c, policy=TrafficPolicy(outlier_detection=ejection)))

        async def is_ejected() -> bool:
            return set((await client.calls(30, parallel=True)).codes) == {"OK"}

        await eventually(is_ejected)


async def test_a_target_below_the_others_success_rate_is_ejected_where_asked(open_client: OpenClient) -> None:
    async with backends("a", "b", "c", "d", "e", "f") as servers, open_client() as (client, plane):
        servers[1].abort = grpc.StatusCode.UNKNOWN
        ejection = OutlierDetection(
            success_rate=True, success_rate_min_calls=5, base_ejection_time=timedelta(seconds=1)
        )
        await plane.serve(of(*servers, policy=TrafficPolicy(outlier_detection=ejection)))

        async def is_ejected() -> bool:
            await client.calls(120, parallel=True, apart=0.002)  # several times in each interval
            return set((await client.calls(30, parallel=True)).codes) == {"OK"}

        await eventually(is_ejected)


async def test_a_client_stays_in_its_zone_and_leaves_it_when_it_is_lost(open_client: OpenClient) -> None:
    async with (
        backends("a", "b", "c", "d") as (a, b, c, d),
        open_client(zone="z1") as (
            client,
            plane,
        ),
    ):
        home = [target(each.port, zone="z1") for each in (a, b)]
        away = [target(each.port, zone="z2") for each in (c, d)]
        policy = TrafficPolicy(balancing=Balancing(prefer_zone=True))
        await plane.serve(treated(policy, *home, *away))
        await client.sees(20, {"a": 10, "b": 10})
        await a.stop()
        await b.stop()
        await client.sees(20, {"c": 10, "d": 10})
        await plane.serve(treated(TrafficPolicy(), *away))
        await client.sees(20, {"c": 10, "d": 10})


async def test_each_method_goes_where_the_host_says_behind_the_balancer(open_client: OpenClient) -> None:
    async with backends("a", "b") as (a, b), open_client("api.test") as (client, plane):
        which = Route(host="api.test", grpc_service=GRPC_SERVICE, method=WHICH.rpartition("/")[2])
        documents = Document(
            (
                service("one", a.target, routes=[Route(host="api.test", grpc_service=GRPC_SERVICE)]),
                service("two", b.target, routes=[which, Route(host="*.wild.test")]),
            )
        )
        await plane.serve(documents)
        assert await client.who(5, method=WHO) == {"a": 5}
        assert await client.who(5, method=WHICH) == {"b": 5}
        assert await client.who(5, name="api.test:50051") == {"a": 5}
        assert await client.who(5, name="any.wild.test") == {"b": 5}
        assert await client.who(5, name="one:50051", method=WHICH) == {"b": 5}


async def test_a_policy_that_changes_fails_no_call(open_client: OpenClient) -> None:
    async with backends("a", "b") as servers, open_client() as (client, plane):
        await plane.serve(of(*servers, policy=TrafficPolicy()))
        policies = [
            TrafficPolicy(balancing=Balancing(method=Method.RING_HASH, metadata_key="x")),
            TrafficPolicy(limits=Limits(requests=100), outlier_detection=OutlierDetection(success_rate=True)),
            TrafficPolicy(fault=Fault(delay=ms(1)), deadline=Deadline(max=timedelta(seconds=10))),
            TrafficPolicy(),
        ]
        async with client.calling() as codes:
            for policy in policies:
                await asyncio.sleep(0.1)
                await plane.serve(of(*servers, policy=policy))
        assert set(codes) == {"OK"}
        await client.sees(20, {"a": 10, "b": 10})


async def test_weights_hold_beside_a_hash_key(open_client: OpenClient) -> None:
    async with backends("a", "b") as (a, b), open_client() as (client, plane):
        document = weighed(
            {"blue": 1, "green": 0},
            target(a.port, group="blue"),
            target(b.port, group="green"),
            policy=TrafficPolicy(balancing=Balancing(method=Method.RING_HASH, metadata_key="x-user")),
        )
        await plane.serve(document)
        assert await client.who(10, metadata=[("x-user", "1")]) == {"a": 10}
        groups = tuple(replace(each, weight=1) for each in document.services[0].groups)
        await plane.serve(Document((replace(document.services[0], groups=groups),)))

        async def both() -> bool:
            found = [await client.who(1, metadata=[("x-user", str(user))]) for user in range(20)]
            return set().union(*found) == {"a", "b"}

        await eventually(both)
