from __future__ import annotations

from typing import Any

import pytest

from traefik_labels import Container, TraefikLabels
from traefik_labels.grammar.syntax import NotReadable
from traefik_labels.rules.constraints import constraint
from traefik_labels.rules.default_rule import fill_in
from traefik_labels.settings import from_json, to_json

APP = Container({"host": "api.internal", "team": "Pay_ments"}, "app", "rng_Service", "rng")


@pytest.mark.parametrize(
    ("template", "rule"),
    [
        ("Host(`{{ normalize .Name }}`)", "Host(`service-rng-Service-app`)"),
        ("Host(`{{ .Name | trimPrefix `service-` | normalize | lower }}.eu`)", "Host(`rng-service-app.eu`)"),
        ("Host(`{{ .Name }}`)", "Host(`service-rng-Service-app`)"),
        ("Host(`{{ index .Labels `host` }}`)", "Host(`api.internal`)"),
        ('Host(`{{ (index .Labels "team") | normalize }}.x`)', "Host(`Pay-ments.x`)"),
        ("Host(`{{ index .Labels `none` | default `all` }}`)", "Host(`all`)"),
        ('Host(`{{ replace "_" "-" .Name }}`)', "Host(`service-rng-Service-app`)"),
        ("PathPrefix(`/`)", "PathPrefix(`/`)"),
    ],
)
def test_the_common_forms_of_default_rules(template: str, rule: str) -> None:
    assert fill_in(template, APP) == rule


@pytest.mark.parametrize(
    "template",
    [
        "{{ .Name",
        "{{ .ContainerName }}",
        "{{ env `HOME` }}",
        "{{ normalize }}",
        "{{ .Labels }}",
        "{{ if .Name }}x{{ end }}",
        "{{ .Name | .Name }}",
        "{{ index .Name `x` }}",
    ],
)
def test_other_templates_are_refused(template: str) -> None:
    with pytest.raises(NotReadable, match="a template"):
        fill_in(template, APP)
    with pytest.raises(ValueError, match="default_rule must be a template"):
        TraefikLabels(default_rule=template)


@pytest.mark.parametrize(
    ("text", "labels", "fits"),
    [
        ("tag==a", {"traefik.tags": "b, a"}, True),
        ("tag==a,tag==b", {"traefik.tags": "a"}, False),
        ("tag!=a*", {"traefik.tags": "b,abc"}, False),
        ("tag==a?", {"traefik.tags": "ab"}, False),
        ("tag!=a", {}, True),
        ("Label(`a`, `b`)", {"a": "b"}, True),
        # A label that is not there is an empty one, as a real Traefik 3.7 has it.
        ("Label(`a`, ``)", {}, True),
        ("!Label(`a`, ``)", {}, False),
        ("LabelRegex(`a`, `.*`)", {}, True),
        ("!LabelRegex(`a`, `.*`)", {}, False),
        ("LabelRegex(`a`, `.`)", {}, False),
        ("LabelRegex(`a`, `^b`) && !Label(`c`, `d`)", {"a": "bb"}, True),
        ("LabelRegex(`a`, `^b`) && !Label(`c`, `d`)", {"a": "bb", "c": "d"}, False),
        ("Label(`a`, `b`) || Label(`a`, `c`)", {"a": "c"}, True),
        ("LabelRegex(`a`, `^[[:lower:]]+$`)", {"a": "bc"}, True),
        ("LabelRegex(`a`, `^[[:lower:]]+$`)", {"a": "l:"}, False),
    ],
)
def test_constraints(text: str, labels: dict[str, str], fits: bool) -> None:
    assert constraint(text)(labels) is fits


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"constraints": "tag=a"}, "constraints must be an expression such as"),
        ({"constraints": "tag==a,name==b"}, "constraints must be constraints such as tag==grpc"),
        ({"constraints": "Host(`a`)"}, "constraints must be constraints of Label"),
        ({"constraints": "LabelRegexp(`a`, `b`)"}, "constraints must be constraints of Label"),
        ({"constraints": "LabelRegex(`a`, `(`)"}, "constraints must be constraints with regular expressions"),
        (
            {"constraints": "LabelRegex(`a`, `a(?=b)`)"},
            "constraints must be constraints with regular expressions of Go",
        ),
        ({"domain": "a b"}, "domain must be a domain"),
        ({"version": 4}, "version must be 1, 2 or 3, got 4"),
        ({"ignored_middlewares": "a"}, "ignored_middlewares must be a list of names, got 'a'"),
    ],
)
def test_options_that_cannot_be_read_are_refused(changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem.replace("(", r"\(")):
        TraefikLabels(**changes)


@pytest.mark.parametrize(
    "settings",
    [
        TraefikLabels(),
        TraefikLabels(
            exposed_by_default=False,
            default_rule="Host(`{{ .Name }}`)",
            domain="ecs.internal",
            constraints="tag==a",
            ignored_middlewares=["a@file"],
            version=1,
        ),
    ],
)
def test_options_reach_the_lambda_as_they_are(settings: TraefikLabels) -> None:
    assert from_json(to_json(settings)) == settings


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("", "must be an object of constraints, .*, got ''"),
        ("[]", r"must be an object of constraints, .*, got '\[\]'"),
        ('{"no": 1}', "must be an object of constraints, .*, got"),
        ('{"version": 9}', "version must be 1, 2 or 3, got 9"),
    ],
)
def test_the_lambda_refuses_what_are_no_options(text: str, got: str) -> None:
    with pytest.raises(ValueError, match=got):
        from_json(text)
