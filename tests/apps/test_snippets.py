"""Every snippet of the README and the docs, pasted into a stack."""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_ecs as ecs
from aws_cdk import aws_route53 as route53
from aws_cdk import aws_sns as sns

from cdk_grpc_lb import GrpcBalancedService, GrpcBalancer
from tests.apps.pages import snippets
from tests.cdk_grpc_lb.apps import template_app
from tests.cdk_grpc_lb.validation.cases import existing_cluster
from tests.cdk_grpc_lb.ways import IMAGE
from tests.docs.pages import DOCS, ROOT

# Those of docs/apps.md are apps, which test_apps.py synthesises.
PAGES = [ROOT / "README.md", *(page for page in sorted(DOCS.rglob("*.md")) if page.name != "apps.md")]
CASES = [
    pytest.param(page, number, id=f"{page.relative_to(ROOT)}-{number}")
    for page in PAGES
    for number in range(len(snippets(page)))
]
# What a page says in words, where it goes on from there.
SAID = {
    *(
        "image",
        "new_image",
        "cluster",
        "balancer",
        "orders",
        "client",
        "certificate",
        "zone",
        "topic",
        "pages",
        "mails",
    ),
    *("GrpcBalancer", "GrpcBalancedService"),
}


def old_service(stack: cdk.Stack, cluster: ecs.ICluster, name: str) -> ecs.FargateService:
    definition = ecs.FargateTaskDefinition(stack, f"{name}Task")
    definition.add_container("App", image=IMAGE, port_mappings=[ecs.PortMapping(container_port=50051)])
    return ecs.FargateService(stack, name, cluster=cluster, task_definition=definition, min_healthy_percent=100)


def a_certificate(stack: cdk.Stack) -> acm.ICertificate:
    arn = "arn:aws:acm:us-east-1:111122223333:certificate/0a1b2c3d"
    return acm.Certificate.from_certificate_arn(stack, "Certificate", arn)


def a_zone(stack: cdk.Stack) -> route53.IHostedZone:
    return route53.HostedZone.from_hosted_zone_attributes(
        stack, "Zone", hosted_zone_id="Z0123456789ABCDEFGHIJ", zone_name="example.com"
    )


def test_the_pages_have_snippets() -> None:
    assert {case.values[0] for case in CASES} >= {ROOT / "README.md", DOCS / "labels.md", DOCS / "operate/alarms.md"}


@pytest.mark.parametrize(("page", "number"), CASES)
def test_a_snippet_runs_as_it_is_pasted(page: Path, number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """GIVEN a stack, and of a README nothing but what its own snippets define, THEN there is no NameError."""
    monkeypatch.chdir(ROOT)
    stack = cdk.Stack(template_app(), "Stack")
    names: dict[str, Any] = {"self": stack}
    if page.name == "README.md":
        for before in snippets(page)[:number]:
            exec(before, names)  # noqa: S102 - it is a page of ours
    else:
        cluster = existing_cluster(stack)
        topic = sns.Topic(stack, "Topic")
        mine: dict[str, Any] = dict.fromkeys(("pages", "mails", "topic"), topic)
        mine |= dict.fromkeys(("image", "new_image"), IMAGE)
        mine |= {"GrpcBalancer": GrpcBalancer, "GrpcBalancedService": GrpcBalancedService}
        code = snippets(page)[number]
        made: dict[str, Callable[[], Any]] = {
            "orders": lambda: old_service(stack, cluster, "Old"),
            "client": lambda: old_service(stack, cluster, "Client"),
            "certificate": lambda: a_certificate(stack),
            "zone": lambda: a_zone(stack),
        }
        if "GrpcBalancer(" not in code:
            made["balancer"] = lambda: GrpcBalancer(stack, "Made", cluster=cluster)
        # Only what it uses: each of them takes the CDK a while.
        used = {node.id for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Name)}
        names |= {"cluster": cluster, **mine, **{name: make() for name, make in made.items() if name in used}}
        assert names.keys() - {"self"} <= SAID
    exec(snippets(page)[number], names)  # noqa: S102 - as above
    assert len(stack.node.find_all()) > 5
