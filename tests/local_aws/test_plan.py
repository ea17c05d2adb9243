"""The service scheduler's next step."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from local_aws.stand_in.ecs.plan import Plan, TaskView, plan, restart_delay


def task(arn: str, *, current: bool = True, steady: bool = True, zone: str = "a", created: float = 0) -> TaskView:
    return TaskView(arn, current, steady, zone, created)


def test_missing_tasks_are_started() -> None:
    assert plan(3, [task("1")]) == Plan(start=2)


def test_nothing_is_done_when_all_is_as_it_should_be() -> None:
    assert plan(2, [task("1"), task("2")]) == Plan(completed=True)


def test_surplus_tasks_are_stopped_unsteady_first_then_newest_of_the_fullest_zone() -> None:
    tasks = [
        task("old-a", zone="a", created=1),
        task("new-a", zone="a", created=3),
        task("b", zone="b", created=2),
        task("starting-b", zone="b", created=4, steady=False),
    ]
    assert plan(2, tasks).stop == ("starting-b", "new-a")


def test_a_rolling_deployment_starts_new_tasks_and_keeps_the_old_ones_until_those_are_steady() -> None:
    old = [task("old-1", current=False), task("old-2", current=False)]
    assert plan(2, old) == Plan(start=2)
    assert plan(2, [*old, task("new-1", steady=False), task("new-2", steady=False)]) == Plan()
    assert len(plan(2, [*old, task("new-1"), task("new-2", steady=False)]).stop) == 1
    assert set(plan(2, [*old, task("new-1"), task("new-2")]).stop) == {"old-1", "old-2"}


def test_without_room_old_tasks_are_stopped_first_down_to_the_minimum() -> None:
    old = [task(str(number), current=False) for number in range(4)]
    step = plan(4, old, minimum_percent=50, maximum_percent=100)
    assert (step.start, len(step.stop)) == (0, 2)


@given(
    desired=st.integers(0, 6),
    before=st.lists(st.booleans(), max_size=8),
    percents=st.sampled_from([(100, 200), (50, 200), (50, 100), (0, 100), (100, 150)]),
)
def test_whatever_runs_the_service_gets_to_its_desired_count_and_never_stops_too_many(
    desired: int, before: list[bool], percents: tuple[int, int]
) -> None:
    minimum, maximum = percents
    if desired * maximum // 100 <= desired <= -(-desired * minimum // 100):
        return  # ECS cannot roll there either
    tasks = [task(f"t{number}", current=current) for number, current in enumerate(before)]
    floor = min(-(-desired * minimum // 100), sum(one.steady for one in tasks))
    made = len(tasks)
    for _ in range(30):
        step = plan(desired, tasks, minimum_percent=minimum, maximum_percent=maximum)
        if step.completed:
            break
        tasks = [one for one in tasks if one.arn not in step.stop]
        assert sum(one.steady for one in tasks) >= min(floor, desired)
        tasks = [task(one.arn, current=one.current) for one in tasks]  # those that were starting have become steady
        new = [task(f"t{made + number}", steady=False) for number in range(step.start)]
        assert len(tasks) + len(new) <= max(desired * maximum // 100, len(tasks))
        made += len(new)
        tasks += new
    assert [one.current for one in tasks] == [True] * desired


def test_a_crash_loop_backs_off_after_one_replacement_at_once() -> None:
    assert [restart_delay(failures) for failures in (0, 1, 2, 3, 10)] == [0, 0, 2, 4, 60]
