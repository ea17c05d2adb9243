from __future__ import annotations

import json
import logging

import pytest

from lambda_src import log


def line(**facts: object) -> dict[str, object]:
    record = logging.LogRecord("grpc_lb.sync", logging.WARNING, __file__, 1, "label rejected", None, None)
    record.facts = facts
    text = log.JsonFormatter().format(record)
    assert "\n" not in text
    parsed: dict[str, object] = json.loads(text)
    return parsed


def test_a_line_is_one_json_object_with_its_facts() -> None:
    found = line(family="rng", value='a\n"b"')
    assert found.items() >= {"level": "warning", "message": "label rejected", "value": 'a\n"b"'}.items()
    assert str(found["at"]).endswith("Z")


def test_long_values_are_cut() -> None:
    assert len(str(line(value="x" * 100_000)["value"])) < 500


def test_lines_go_to_stdout_once(capsys: pytest.CaptureFixture[str]) -> None:
    logger = logging.getLogger("grpc_lb.sync")
    before = logger.handlers[:], logger.propagate, logger.level
    logger.handlers.clear()
    try:
        log.configure()
        log.configure()
        log.info("refresh", services=1)
    finally:
        logger.handlers[:], logger.propagate = before[0], before[1]
        logger.setLevel(before[2])
    [printed] = capsys.readouterr().out.splitlines()
    assert json.loads(printed)["services"] == 1
