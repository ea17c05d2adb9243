"""`python -m traefik_labels`, as someone calls it."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from traefik_labels.__main__ import main

H2C = "traefik.protocol=h2c"
RULE = "traefik.frontend.rule=Host:rng.internal"
TASK_DEFINITION = {
    "taskDefinition": {
        "family": "rng",
        "containerDefinitions": [
            {
                "name": "app",
                "dockerLabels": {"traefik.protocol": "h2c", "traefik.frontend.rule": "Host:rng.internal"},
                "portMappings": [{"containerPort": 7000}],
            },
            {"name": "log"},
        ],
    }
}


def told(capsys: pytest.CaptureFixture[str]) -> str:
    return capsys.readouterr().out


def test_labels_on_the_command_line_are_said_in_words_and_in_ours(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([H2C, RULE, "--ecs-service", "rng-service"]) == 0
    assert told(capsys) == (
        "container app:\n"
        "  service rng-service, port 50051; it takes the calls of\n"
        "    host rng.internal and gRPC service *\n"
        "  the same in labels of ours:\n"
        "    grpc-lb.enable=true\n"
        "    grpc-lb.port=50051\n"
        "    grpc-lb.hosts=rng.internal\n"
    )


def test_what_is_left_out_is_said_and_makes_another_exit_status(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([H2C, RULE, "traefik.backend.loadbalancer.sticky=true", "traefik.weight=1001"]) == 1
    lines = told(capsys)
    assert (
        "    traefik.weight=1001\n      rejected: must be a whole number 0..1000 (read as grpc-lb.weight=1001)" in lines
    )
    assert "    traefik.backend.loadbalancer.sticky=true\n      left out: gRPC clients keep no cookies" in lines


def test_json_says_rejected_as_the_lambda_logs_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([H2C, RULE, "traefik.weight=1001", "traefik.backend.loadbalancer.sticky=true", "--json"]) == 1
    (one,) = json.loads(told(capsys))
    outcomes = [(remark["label"], remark["outcome"]) for remark in one["remarks"]]
    assert outcomes[:2] == [("traefik.weight", "rejected"), ("traefik.backend.loadbalancer.sticky", "left out")]


def test_what_only_differs_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([H2C, RULE, "traefik.weight=5"]) == 0
    assert "differs: it weighs each task" in told(capsys)


def test_a_task_definition_is_read_whole(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    # GIVEN what `aws ecs describe-task-definition` prints, in a file and on stdin
    file = tmp_path / "rng.json"
    file.write_text(json.dumps(TASK_DEFINITION))
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(TASK_DEFINITION)))
    # THEN each container is told of, with its own port and the family's name
    for arguments in (["--file", str(file), "--json"], ["--json"]):
        assert main(arguments) == 0
        app, log = json.loads(told(capsys))
        assert (app["labels"]["grpc-lb.port"], app["labels"]["grpc-lb.hosts"]) == ("7000", "rng.internal")
        assert app["routes"] == ["host rng.internal and gRPC service *"]
        assert app["origins"]["grpc-lb.hosts"] == "traefik.frontend.rule"
        assert (log["container"], log["takes_part"]) == ("log", False)


@pytest.mark.parametrize(
    ("mappings", "port"),
    [
        ([{"containerPort": 7000, "protocol": "udp"}, {"containerPort": 7001}], "7001"),
        ([{"containerPortRange": "7000-7005"}], "7003"),
    ],
    ids=["UDP", "a range"],
)
def test_ports_are_those_that_the_lambda_reads(
    mappings: list[dict[str, object]], port: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = {"traefik.protocol": "h2c"} | ({"traefik.port": port} if len(mappings) == 1 else {})
    definition = {"containerDefinitions": [{"name": "app", "dockerLabels": labels, "portMappings": mappings}]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(definition)))
    assert main(["--json"]) == 0
    assert json.loads(told(capsys))[0]["labels"]["grpc-lb.port"] == port


def test_a_host_that_depends_on_the_ecs_service_is_told_where_none_is_given(
    capsys: pytest.CaptureFixture[str],
) -> None:
    note = "its host is that of tasks that no ECS service runs; give --ecs-service NAME where one does"
    for arguments, is_guess in (([H2C], True), ([H2C, "--ecs-service", "rng"], False), ([H2C, RULE], False)):
        assert main(arguments) == 0
        assert (note in told(capsys)) is is_guess


@pytest.mark.parametrize(
    "labels",
    [
        {"traefik.protocol": "h2c", "traefik.enable": True},
        [H2C, "traefik.enable=true"],
        {"image": "rng", "labels": [H2C]},
        {"image": "rng", "labels": {"traefik.protocol": "h2c"}},
    ],
    ids=["object", "list", "compose with a list", "compose with an object"],
)
def test_labels_as_people_have_them(
    labels: object, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(labels)))
    assert main(["--ecs-service", "rng-service"]) == 0
    assert "grpc-lb.hosts=service-rng-service-app" in told(capsys)


def test_traefik_may_be_set_up_otherwise(capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--default-rule", "Host(`{{ normalize .Name }}.eu`)", "--constraints", "Label(`team`, `pay`)"]
    second = ["traefik.http.services.rng.loadbalancer.server.scheme=h2c", "team=pay"]
    assert main([*options, *second]) == 0
    assert "grpc-lb.hosts=family-app.eu" in told(capsys)
    assert main([*options, second[0]]) == 0
    assert "takes no part" in told(capsys)
    assert main(["--no-exposed-by-default", H2C]) == 0
    assert "takes no part" in told(capsys)


@pytest.mark.parametrize(
    ("arguments", "stdin", "problem"),
    [
        (["traefik.protocol"], "", "a label must be name=value, got 'traefik.protocol'"),
        ([], "no JSON", "labels must be JSON, got "),
        ([], "[" * 100_000, "labels must be JSON, got "),
        ([], '{"containerDefinitions": []}', "containerDefinitions must have at least one container, got none"),
        ([], '{"containerDefinitions": [{"portMappings": 5}]}', "portMappings must be a list, got 5"),
        ([H2C, "--default-rule", "{{" + "(" * 1500 + ".Name" + ")" * 1500 + "}}"], "", "default_rule must be a templ"),
        ([], "[1]", "labels must be an object of texts, a list of name=value, or a task definition"),
        (["--file", "no-such"], "", "--file must be a file that can be read, got no-such: No such file or directory"),
        ([H2C, "--file", "x"], "", "labels must be given as arguments or with --file, got both"),
        ([H2C, "--constraints", "x"], "", "constraints must be an expression such as Label(`name`, `value`); "),
        ([H2C, "--domain", "a b"], "", "domain must be a domain such as ecs.internal, got 'a b'"),
    ],
)
def test_what_is_not_understood_is_one_line_and_status_2(
    arguments: list[str],
    stdin: str,
    problem: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(stdin))
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith(f"error: {problem}")
    assert said.err.count("\n") == 1


def test_labels_that_no_encoding_has_are_told_all_the_same() -> None:
    labels = '{"traefik.protocol": "h2c", "traefik.frontend.rule": "Host:\\ud800"}'
    told = subprocess.run(
        [sys.executable, "-m", "traefik_labels"], input=labels, capture_output=True, text=True, check=False
    )
    assert (told.returncode, told.stderr) == (1, "")
    assert "traefik.frontend.rule=Host:\\ud800" in told.stdout
