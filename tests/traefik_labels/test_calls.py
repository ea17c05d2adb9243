"""Calls through a real Envoy to servers whose task definitions have Traefik's labels and no other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import grpc

from grpc_lb_contract import Document
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, TaskDefinition
from lambda_src.transform.document import transform
from tests.lambda_src.fake_aws import NOW
from tests.lambda_src.transform.test_document import task
from tests.proxy_image.control_plane.calls import channel_to, failure_of, start
from tests.proxy_image.control_plane.support import STAY, Backend, backends, balancer, eventually, who
from traefik_labels import TraefikLabels

SECOND = "traefik.http.services.{name}.loadbalancer.server.scheme"


def document(*running: tuple[Backend, str, Mapping[str, str]]) -> Document:
    """What the Lambda makes of these servers: each the task of an ECS service of its own, with labels."""
    definitions = {
        name: TaskDefinition(name, 1, (Container("app", labels, (backend.port,), False),))
        for backend, name, labels in running
    }
    tasks = [
        replace(task(number, definition=name, service=name), address="127.0.0.1")
        for number, (_, name, _) in enumerate(running, start=1)
    ]
    made = transform(
        tasks,
        definitions,
        previous=None,
        told_to_stop=frozenset(),
        now=NOW,
        selection=Selection(traefik=TraefikLabels()),
    )
    assert made.rejected == ()
    return made.document


async def test_calls_go_where_traefiks_rules_send_them(tmp_path: Path) -> None:
    async with backends("article", "canary", "rest", "old") as (article, canary, rest, old):
        # GIVEN services of both generations: the article's, by host; one by header; one by path; one of HTTP/1.1
        made = document(
            (article, "rng", {"traefik.protocol": "h2c", "traefik.frontend.rule": "Host:rng.test"}),
            (
                canary,
                "canary",
                {
                    SECOND.format(name="canary"): "h2c",
                    "traefik.http.routers.canary.rule": "Host(`rng.test`) && Header(`x-canary`, `yes`)",
                },
            ),
            (
                rest,
                "rest",
                {
                    SECOND.format(name="rest"): "h2c",
                    "traefik.http.routers.rest.rule": (
                        "(Host(`a.test`) || HostRegexp(`^.+\\.a\\.test$`)) && Path(`/test.Test/Who`) && Method(`POST`)"
                    ),
                },
            ),
            (old, "old", {"traefik.frontend.rule": "Host:old.test", "traefik.protocol": "http"}),
        )
        async with (
            balancer(tmp_path, made) as (_plane, envoy),
            channel_to(envoy, "rng.test") as rng,
            channel_to(envoy, "x.a.test") as below,
            channel_to(envoy, "old.test") as http1,
        ):
            # THEN each call goes to the one whose rule it fits
            await eventually(lambda: who(rng))
            assert await who(rng, 5) == {"article": 5}
            assert await who(rng, 5, metadata=[("x-canary", "yes")]) == {"canary": 5}
            assert await who(below, 5) == {"rest": 5}
            # AND one that no rule takes goes nowhere, nor one to a service that speaks HTTP/1.1
            other: Any = start(below.unary_unary(STAY), timeout=60)
            assert await other.code() == grpc.StatusCode.UNIMPLEMENTED
            assert await failure_of(http1) == grpc.StatusCode.UNIMPLEMENTED
            assert old.seen == {}
