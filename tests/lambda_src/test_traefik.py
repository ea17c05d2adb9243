"""Traefik's labels, at the Lambda's own entry, with moto's ECS and SSM."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping

import pytest

from grpc_lb_contract import Document, Route, assemble, index_parameter, read_index
from lambda_src.discovery.selection import Selection
from lambda_src.discovery.tasks import Container, TaskDefinition
from lambda_src.handler import handler, warm
from lambda_src.settings import TRAEFIK_LABELS
from lambda_src.transform.label_parsing import Readings
from tests.lambda_src.conftest import Lines
from tests.lambda_src.fake_aws import PREFIX
from tests.lambda_src.test_on_moto import Cluster, Context, cluster, minute
from tests.lambda_src.transform.test_document import task
from traefik_labels import TraefikLabels

__all__ = ["cluster"]

ARTICLE = {"traefik.protocol": "h2c", "traefik.frontend.rule": "Host:rng.internal", "traefik.weight": "7"}


def register(cluster: Cluster, labels: Mapping[str, str]) -> None:
    container = {
        "name": "app",
        "image": "rng",
        "memory": 128,
        "dockerLabels": dict(labels),
        "portMappings": [{"containerPort": 50051}],
    }
    cluster.ecs.register_task_definition(family="rng", networkMode="awsvpc", containerDefinitions=[container])


def document(cluster: Cluster) -> Document:
    text = cluster.ssm.get_parameter(Name=index_parameter(PREFIX))["Parameter"]["Value"]
    return assemble(read_index(text), {})


def test_a_task_definition_of_the_article_takes_part_where_traefiks_labels_are_read(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch, logged: Lines
) -> None:
    # GIVEN a task with the article's labels and none of ours
    register(cluster, ARTICLE)
    cluster.run_task(group="service:rng-service")
    # WHEN the Lambda is not told to read them, THEN it takes no part
    handler(minute(), Context())
    assert document(cluster).services == ()
    # WHEN it is, THEN it does, with the rule's route and the weight
    monkeypatch.setenv(TRAEFIK_LABELS, "{}")
    warm.cache_clear()
    for _ in range(2):
        handler(minute(), Context())
    (service,) = document(cluster).services
    assert (service.name, service.routes) == ("rng-service", (Route("rng.internal"),))
    assert [(target.port, target.group) for target in service.targets] == [(50051, "rng-service")]
    assert [group.weight for group in service.groups] == [7]
    # AND what differs is logged once, however often a refresh comes
    (line,) = logged.about("traefik label")
    assert (line["family"], line["revision"], line["container"]) == ("rng", 2, "app")
    assert (line["label"], line["value"], line["outcome"]) == ("traefik.weight", "7", "differs")


def read(selection: Selection, labels: Mapping[str, str], ports: tuple[int, ...] = (50051,)) -> Readings:
    readings = Readings(selection)
    definition = TaskDefinition("rng", 3, (Container("app", labels, ports, False),))
    readings.read(task(service="rng-service"), definition, definition.containers[0])
    return readings


def test_what_is_wrong_with_a_translated_label_is_told_of_traefiks() -> None:
    # GIVEN a port that the container does not map, WHEN the labels are read
    readings = read(Selection(traefik=TraefikLabels()), {**ARTICLE, "traefik.port": "9", "traefik.weight": "2000"})
    # THEN the error names the label that the owner wrote
    errors = {rejected.error.label: rejected.error for rejected in readings.rejected}
    assert errors["traefik.port"].value == "9"
    assert errors["traefik.port"].problem == "must be one of the mapped ports 50051 (read as grpc-lb.port=9)"


def test_a_rule_that_cannot_be_read_is_a_refused_label() -> None:
    readings = read(Selection(traefik=TraefikLabels()), {**ARTICLE, "traefik.frontend.rule": "Hosts:a"})
    (rejected,) = readings.rejected
    assert (rejected.error.label, rejected.error.value) == ("traefik.frontend.rule", "Hosts:a")
    assert "Hosts is none" in rejected.error.problem


def test_a_container_whose_rule_no_route_can_say_is_not_exposed_by_default_either() -> None:
    labels = {"traefik.protocol": "h2c", "traefik.frontend.rule": "Query:a=b"}
    selection = Selection(exposed_by_default=True, traefik=TraefikLabels())
    definition = TaskDefinition("rng", 3, (Container("app", labels, (50051,), False),))
    assert Readings(selection).read(task(), definition, definition.containers[0]) is None


def test_a_cold_start_without_the_switch_loads_no_parser() -> None:

    code = "import sys, lambda_src.handler; print('traefik_labels.grammar.expression' in sys.modules)"
    ran = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "False"
