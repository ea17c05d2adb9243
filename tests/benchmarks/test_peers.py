"""The comparison with peers carries real calls through each proxy, and its table says what was measured."""

from __future__ import annotations

from dataclasses import replace

from peers import page, proxies
from peers.__main__ import measure
from peers.load import KINDS, Turn

from tests.ports import free_ports

EVERYWHERE = {proxies.DIRECT, proxies.BALANCER, "Envoy, stock", "grpcio proxy"}


async def test_each_proxy_carries_each_kind_of_load_and_its_cpu_is_measured() -> None:
    # A fiftieth of the benchmark's, in which kinds differ: a call that streams has a hundred messages.
    kinds = tuple(replace(kind, calls=max(4, kind.calls // 50)) for kind in KINDS)
    turns = await measure(1, kinds, free_ports)
    assert turns.keys() >= EVERYWHERE
    for name, of_proxy in turns.items():
        assert of_proxy.keys() == {kind.name for kind in kinds}
        for (turn,) in of_proxy.values():
            assert (turn.cpu is None) == (name == proxies.DIRECT)
            assert turn.cpu is None or turn.cpu > 0
            assert 0 < turn.p50 <= turn.p99
            assert turn.rate > 0


def test_the_table_has_the_median_of_the_turns_and_the_ratio_to_each_peer() -> None:
    turns = {
        proxies.BALANCER: {KINDS[0].name: [Turn(cpu, 1.0, 2.0, 1_000.0) for cpu in (90.0, 100.0, 500.0)]},
        "Traefik": {KINDS[0].name: [Turn(250.0, 1.0, 2.0, 1_000.0)]},
        proxies.DIRECT: {KINDS[0].name: [Turn(None, 0.5, 1.0, 2_000.0)]},
    }
    figures = page.figures(turns)
    assert [figure.proxy for figure in figures] == [proxies.DIRECT, proxies.BALANCER, "Traefik"]
    rows = page.table(figures).splitlines()[-3:]
    assert rows == [
        "| no proxy | 0 |  | 0.5 | 1.0 | 2,000 |",
        "| **this balancer** | 100 | 1.00 | 1.0 | 2.0 | 1,000 |",
        "| Traefik | 250 | 0.40 | 1.0 | 2.0 | 1,000 |",
    ]
