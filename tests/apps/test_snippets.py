"""Every snippet of the README and the docs, pasted into a stack."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import aws_cdk as cdk
import pytest
from aws_cdk import aws_sns as sns

from cdk_grpc_lb import GrpcBalancer
from tests.apps.pages import snippets
from tests.cdk_grpc_lb.conftest import FLAGS
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
SAID = ("image", "new_image", "cluster", "balancer", "pages", "mails")


def test_the_pages_have_snippets() -> None:
    assert {case.values[0] for case in CASES} >= {ROOT / "README.md", DOCS / "labels.md", DOCS / "operate.md"}


@pytest.mark.parametrize(("page", "number"), CASES)
def test_a_snippet_runs_as_it_is_pasted(
    page: Path, number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """GIVEN a stack, and of a README nothing but what its own snippets define, THEN there is no NameError."""
    monkeypatch.chdir(ROOT)
    stack = cdk.Stack(cdk.App(context=FLAGS, outdir=str(tmp_path)), "Stack")
    names: dict[str, Any] = {"self": stack}
    if page.name == "README.md":
        for before in snippets(page)[:number]:
            exec(before, names)  # noqa: S102 - it is a page of ours
    else:
        cluster = existing_cluster(stack)
        topic = sns.Topic(stack, "Topic")
        mine = dict.fromkeys(("pages", "mails"), topic) | dict.fromkeys(("image", "new_image"), IMAGE)
        code = snippets(page)[number]
        made = {"balancer": GrpcBalancer(stack, "Made", cluster=cluster)} if "GrpcBalancer(" not in code else {}
        names |= {"cluster": cluster, **mine, **made}
        assert names.keys() - {"self"} <= set(SAID)
    exec(snippets(page)[number], names)  # noqa: S102 - as above
    assert len(stack.node.find_all()) > 5
