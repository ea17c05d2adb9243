"""docs/operate/ tells of what there is: each log line, metric, reason and command, and sums that add up."""

from __future__ import annotations

import ast
import dataclasses
import operator
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore import xform_name
from botocore.session import Session

from grpc_lb_contract import Cause, Document, cloudwatch
from proxy_image.control_plane.metrics.control_plane_metrics import of_document, of_work
from proxy_image.control_plane.metrics.target_metrics import families
from proxy_image.control_plane.reconciler import Reconciler
from proxy_image.control_plane.report.problems import Problem
from proxy_image.control_plane.report.report import Report
from proxy_image.control_plane.report.service_report import FormerTarget, MethodReport, ServiceReport, TargetReport
from proxy_image.control_plane.sources.sink import Origin, Trouble
from proxy_image.control_plane.state import ControlPlaneState
from proxy_image.control_plane.stats.envoy_stats import Reading
from proxy_image.control_plane.stats.group_shares import GroupReport
from proxy_image.control_plane.stats.history.entries import Change
from proxy_image.control_plane.web.current_report import facts
from proxy_image.control_plane.xds.cache import SnapshotCache
from proxy_image.control_plane.xds.envoy.listeners import Ports
from proxy_image.control_plane.xds.envoy.routes import NO_ROUTE
from proxy_image.control_plane.xds.envoy.telemetry.access_log import FIELDS
from tests.docs.log_calls import log_lines
from tests.docs.pages import DOCS, ROOT, anchors, code, commands, links, page, section, tables

LOGS, METRICS, RUNBOOK, WEB_PAGE = (page(f"operate/{name}") for name in ("logs", "metrics", "runbook", "web-page"))
CONTROL_PLANE = frozenset((ROOT / "proxy_image/control_plane").rglob("*.py"))
SUPERVISOR = frozenset((ROOT / "proxy_image").rglob("*.py")) - CONTROL_PLANE
LAMBDA = frozenset((ROOT / "lambda_src").rglob("*.py"))


@pytest.mark.parametrize(
    ("heading", "files"),
    [
        ("## The Lambda", LAMBDA),
        ("## The balancer: supervisor", SUPERVISOR),
        ("## The balancer: control plane", CONTROL_PLANE),
    ],
)
def test_the_log_lines_are_those_of_the_code(heading: str, files: frozenset[Path]) -> None:
    """GIVEN every call that logs, THEN the page has its event and level, and no other."""
    (table,) = tables(section(LOGS, heading))
    assert {(code(event), level) for event, level, *_ in table} == log_lines(*files)


def test_the_metrics_are_those_of_the_code() -> None:
    own = [*of_work(ControlPlaneState()), *of_document(Document(), Origin.SSM, 0)]
    made = [*own, *families((), Reading(0.0, {}))]
    names = {f"{family.name}_total" if family.type == "counter" else family.name for family in made}
    (table,) = tables(section(METRICS, "## For Prometheus"))
    told = [name for cell, _ in table for name in re.findall(r"`([a-z_]+)`", cell)]
    assert set(told) == names | {"grpc_lb_envoy_readable"}
    assert len(told) == len(set(told))


def test_the_metrics_in_cloudwatch_are_those_of_the_contract() -> None:
    """GIVEN each group of metrics, THEN the page has its names and units, and says how many there are."""
    groups = (
        cloudwatch.PER_SERVICE,
        (cloudwatch.CALLS_PER_TARGET,),
        cloudwatch.PER_BALANCER,
        cloudwatch.PER_DOCUMENT,
    )
    text = section(METRICS, "## In CloudWatch")
    told = [[(code(name), unit) for name, unit, *_ in table] for table in tables(text)]
    assert told == [[(metric.name, metric.unit) for metric in group] for group in groups]
    of_service, of_balancer = len(groups[0]) + len(groups[1]), len(groups[0]) + len(groups[2]) + len(groups[3])
    assert f"{of_service} for each service, and {of_balancer} for the balancer" in " ".join(text.split())


def test_the_fields_of_the_access_log_are_those_of_the_code() -> None:
    fields, _flags = tables(section(page("operate/tracing"), "## Access log"))
    assert {name for names, _ in fields for name in re.findall(r"`([a-z_]+)`", names)} == FIELDS.keys()


def test_every_reason_of_a_document_not_taken_is_told_of() -> None:
    reasons = section(RUNBOOK, "## The list of targets is stale")
    assert [trouble for trouble in Trouble if f"`{trouble}`" not in reasons] == []
    assert [origin for origin in Origin if f"`{origin}`" not in RUNBOOK + METRICS] == []


async def test_what_healthz_says_is_what_the_page_says_of_it() -> None:
    state = ControlPlaneState()
    said = facts(Reconciler(SnapshotCache(), Ports("127.0.0.1", 1, 2), state), state)
    (paragraph,) = (part for part in RUNBOOK.split("\n\n") if part.startswith("`/healthz` says"))
    told = set(re.findall(r"`([a-z_]+)`", paragraph)) - set(Origin)
    assert told <= said.keys()


def test_the_message_of_a_call_without_a_route_is_the_real_one() -> None:
    (message,) = re.findall(r"`(no service behind[^…`]*)", RUNBOOK)
    assert NO_ROUTE.startswith(message.strip())


def test_the_section_that_a_problem_of_the_page_names_is_there() -> None:
    told = {name for file in CONTROL_PLANE for name in re.findall(r'runbook="(\w+)"', file.read_text())}
    assert len(told) > 10
    assert told <= set(re.findall(r"^## (\w+)$", page("operate/alarms"), flags=re.MULTILINE))


def test_every_aws_command_is_one() -> None:
    """GIVEN the service models of botocore, from which the AWS CLI makes its commands, THEN each command is there."""
    found = [each for path in sorted((DOCS / "operate").glob("*.md")) for each in commands(path.read_text(), "aws")]
    assert len(found) > 10
    for command in found:
        _, service, name, *arguments = shlex.split(command)
        given = {argument for argument in arguments if argument.startswith("--")} - {"--query", "--output"}
        assert given <= options(service, name), command


# The CLI's own: https://docs.aws.amazon.com/cli/latest/reference/logs/tail.html
CUSTOM = {("logs", "tail"): {"--since", "--follow", "--filter-pattern", "--format"}}


def options(service: str, command: str) -> set[str]:
    if (service, command) in CUSTOM:
        return CUSTOM[service, command]
    model = Session().get_service_model(service)
    names = {xform_name(name, "-"): name for name in model.operation_names}
    assert command in names, f"aws {service} {command}"
    shape = model.operation_model(names[command]).input_shape
    assert shape is not None, command
    return {f"--{xform_name(member, '-')}" for member in shape.members}


OPERATIONS: dict[type[ast.operator], Callable[[float, float], float]] = {
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.Add: operator.add,
}


@pytest.mark.parametrize(
    "kind", [Report, ServiceReport, MethodReport, TargetReport, FormerTarget, GroupReport, Change, Problem, Cause]
)
def test_every_field_of_the_web_pages_data_is_told(kind: type[Any]) -> None:
    told = set(re.findall(r"`([a-z_]+)`", section(WEB_PAGE, "## As JSON")))
    assert {field.name for field in dataclasses.fields(kind)} <= told


def value_of(node: ast.expr) -> float:
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](value_of(node.left), value_of(node.right))
    assert isinstance(node, ast.Constant), ast.dump(node)
    assert isinstance(node.value, int | float), ast.dump(node)
    return node.value


def test_the_costs_add_up() -> None:
    """GIVEN each sum as it is written, THEN it makes the figure beside it, and the figures make the sum below them."""
    balancer, example = tables(page("operate/costs").partition("\n## ")[0])
    for table in (balancer, example):
        *rows, (_, _, total) = table
        for what, written, figure in rows:
            if written:
                tree = ast.parse(written.replace(",", "").replace("×", "*"), mode="eval")
                assert round(value_of(tree.body), 2) == pytest.approx(float(figure), abs=0.005), what
        assert sum(float(figure) for *_, figure in rows) == pytest.approx(float(total.strip("*")), abs=0.001)
    assert example[0][2] == balancer[-1][2].strip("*")


def test_the_pages_are_those_of_the_index() -> None:
    """GIVEN the page that one comes to first, THEN every other page, and every symptom, is a link of it."""
    found = frozenset(links(page("operate/index")))
    assert {path.name for path in (DOCS / "operate").glob("*.md")} - {"index.md"} == {
        link.partition("#")[0] for link in found
    }
    symptoms = anchors(RUNBOOK[RUNBOOK.index("\n## All calls fail") :])
    rare = {"the-document-is-lost", "xds-resource-rejected-nack"}
    assert symptoms - rare == {link.partition("#")[2] for link in found if "runbook.md#" in link} - {"first-look"}
