"""The picture of the README is drawn from what the demo measured."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from dev.make_picture import BAR, PANELS, picture
from tests.docs.pages import DOCS


def demo(nlb: list[int], balancer: list[int]) -> dict[str, Any]:
    texts = [claim for claim, *_ in PANELS]
    return {
        "claims": [
            {"text": f"{text} …", "figures": {"calls_per_task": counts}}
            for text, counts in zip(texts, (nlb, balancer), strict=True)
        ]
    }


def drawn(svg: str) -> tuple[list[str], list[int]]:
    """The counts, and the widths of the bars."""
    root = ET.fromstring(svg)  # noqa: S314 - it was made here
    names = "{http://www.w3.org/2000/svg}"
    counts = [str(text.text) for text in root.iter(f"{names}text") if "count" in str(text.get("class"))]
    return counts, [int(str(bar.get("width"))) for bar in root.iter(f"{names}rect") if bar.get("class") == "bar"]


def test_each_task_has_its_count_and_a_bar_of_its_share() -> None:
    counts, widths = drawn(picture(demo([100, 0], [75, 25])))
    assert counts == ["100", "0", "75", "25"]
    assert widths == [BAR, BAR * 3 // 4, BAR // 4]


def test_a_demo_that_ended_early_has_no_picture() -> None:
    with pytest.raises(ValueError, match="run make demo to its end"):
        picture({"claims": []})


def test_the_picture_in_the_repository_shows_the_problem_and_its_cure() -> None:
    counts, _ = drawn((DOCS / "pictures/calls.svg").read_text())
    assert counts == ["100", "0", "50", "50"]
