"""The demo's table of what a call costs."""

from __future__ import annotations

import os
import time

from local_aws.demo.cost import Cost, cpu_seconds, lines


def test_each_way_has_a_line_with_its_latency_and_the_balancers_cpu() -> None:
    assert lines([Cost("balancer", 1.234, 0.11), Cost("no proxy", 0.5, 0.0)]) == [
        "balancer     1.23 ms (p50)   0.11 ms of the balancers' CPU",
        "no proxy     0.50 ms (p50)   0.00 ms of the balancers' CPU",
    ]


def test_the_cpu_of_a_process_grows_as_it_works_and_is_none_once_it_is_gone() -> None:
    before, began = cpu_seconds(os.getpid()), time.process_time()
    while time.process_time() - began < 0.05:
        pass
    assert cpu_seconds(os.getpid()) > before
    assert cpu_seconds(2**23) == 0  # Linux has no such id
