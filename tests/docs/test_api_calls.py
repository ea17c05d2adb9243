"""What API calls cost: the page counts those of the real Lambda and readers, and applies its prices to them."""

from __future__ import annotations

import ast
from collections import Counter

import pytest

from tests.docs.pages import page, section, tables
from tests.docs.test_operate import value_of
from tests.freshness.hours import deploying_hour, idle_hour

COUNTS, PRICES = tables(section(page("operate/costs"), "## API calls"))
ROOM = 1.5
"""The page says `at most`, and may say that much more than there is."""


def number(cell: str) -> int:
    return int(cell.strip("*").replace(",", ""))


def calls_by_row(calls: dict[tuple[str, str], int]) -> Counter[str]:
    owners = {"lambda": "the Lambda's", "balancers": "the balancers'"}
    return Counter({f"{owners[who]} `{operation}`": count for (who, operation), count in calls.items()})


@pytest.fixture(scope="session")
def idle_calls() -> dict[tuple[str, str], int]:
    with pytest.MonkeyPatch.context() as patches:
        return idle_hour(patches)


@pytest.mark.timeout(600)
def test_the_calls_of_both_hours_are_those_of_the_page_and_so_is_what_a_month_of_them_costs(
    monkeypatch: pytest.MonkeyPatch, idle_calls: dict[tuple[str, str], int]
) -> None:
    *rows, (_, idle_sum, deploying_sum) = COUNTS
    hours = idle_calls, deploying_hour(monkeypatch)
    # THEN no call is made that the page leaves out, and each figure is no lower than the count, and near it
    for column, calls in enumerate(map(calls_by_row, hours), start=1):
        assert calls.keys() <= {row[0] for row in rows}
        for row in rows:
            assert calls[row[0]] <= number(row[column]) <= ROOM * calls[row[0]] + 10, row
    assert [sum(number(row[column]) for row in rows) for column in (1, 2)] == [
        number(idle_sum),
        number(deploying_sum),
    ]
    # THEN the month's prices are those of these calls
    for what, written, figure in PRICES:
        paid = value_of(ast.parse(written.replace(",", "").replace("×", "*"), mode="eval").body)
        assert paid == pytest.approx(float(figure), abs=0.005), what
        counted = sum(hours[0].values()) * 700 + sum(hours[1].values()) * 30
        price = {"CloudTrail, the first trail": 0.0, "GuardDuty": 4 / 1_000_000}
        each = next((value for name, value in price.items() if what.startswith(name)), 2 / 100_000)
        assert counted * each <= paid + 0.005
        assert paid <= ROOM * counted * each + 0.005


def test_an_idle_balancer_reads_at_most_once_in_five_seconds(idle_calls: dict[tuple[str, str], int]) -> None:
    assert idle_calls["balancers", "GetParameter"] <= 2 * 3600 / 5
