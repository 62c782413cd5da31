from collections.abc import Sequence
from pathlib import Path

import pytest

from ialp.errors import UserError
from ialp.experiment.grid_jobs import Board, Job, State, plan_jobs
from ialp.experiment.grid_request import Cell
from ialp.experiment.stages import Stage
from tests.helpers.grid_stages import finish, stage

WORLD = stage("world")
JUDGE = stage("judge", WORLD)
POLICY = stage("policy", WORLD, JUDGE)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def cells(*names: str, overrides: str = "") -> list[Cell]:
    return [Cell(f"configs/{name}.yaml", 0, overrides, (name,)) for name in names]


def plan(arguments: Sequence[str], seed: int | None) -> Stage:
    known = {each.name: each for each in (WORLD, JUDGE, POLICY)}
    if arguments[0] not in known:
        raise UserError(f"no config {arguments[0]}")
    return known[arguments[0]]


def test_what_cells_build_on_comes_first_and_once() -> None:
    jobs = plan_jobs(cells("policy", "judge"), plan)
    assert [job.name for job in jobs] == ["world", "judge", "policy"]
    assert [job.asked for job in jobs] == [False, True, True]
    assert {job.state for job in jobs} == {State.WAITING}


def test_what_is_finished_is_reused_and_needs_nothing() -> None:
    finish(JUDGE, seconds=7.0)
    [job] = plan_jobs(cells("judge"), plan)
    assert (job.state, job.seconds) == (State.REUSED, 7.0)
    assert [job.state for job in plan_jobs(cells("policy"), plan)] == [State.WAITING, State.REUSED, State.WAITING]


def test_two_sets_of_overrides_that_ask_for_the_same_run_share_it() -> None:
    [job] = plan_jobs([*cells("world", overrides="a"), *cells("world", overrides="b")], plan)
    assert job.overrides == ["a", "b"]


def test_a_cell_that_cannot_be_planned_does_not_stop_the_others() -> None:
    jobs = plan_jobs(cells("nothing", "world"), plan)
    assert [(job.name, job.state, job.reason) for job in jobs] == [
        ("world", State.WAITING, ""),
        ("nothing", State.FAILED, "no config nothing"),
    ]


def test_if_no_cell_can_be_planned_the_reason_is_said_at_once() -> None:
    with pytest.raises(UserError, match="no config nothing"):
        plan_jobs(cells("nothing", "nobody"), plan)


def test_missing_fail_refuses_cells_that_need_what_is_not_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JUDGE.config, "missing", "fail")
    [world, judge] = plan_jobs(cells("world", "judge"), plan)
    assert world.state == State.WAITING and judge.state == State.FAILED and "missing stages: world" in judge.reason


def test_a_failure_blocks_what_is_built_on_it() -> None:
    board = Board(plan_jobs(cells("policy"), plan), 2)
    world, judge, policy = board.jobs
    assert [board.needed(job) for job in board.jobs] == [3, 2, 1]
    world.state = State.FAILED
    assert board.block(world) == [judge, policy]
    assert policy.state == State.BLOCKED and policy.reason == "world seed 0 failed"


def test_time_left_by_hand() -> None:
    def job(name: str, state: State, seconds: float = 0.0, start: float = 0.0, sets: str = "") -> Job:
        return Job(name, 0, overrides=[sets], state=state, seconds=seconds, start=start)

    assert Board([job("a", State.WAITING)], 2).seconds_left() is None
    known = [job("a", State.FINISHED, 100), job("a", State.FINISHED, 200), job("b", State.REUSED, 30)]
    known.append(job("a", State.REUSED, 1))  # measured elsewhere
    # a: 150 each, one of them running for 50; b as reused; c like the mean of all, (100 + 200 + 30 + 1) / 4
    left = [job("a", State.RUNNING, start=950), job("a", State.WAITING), job("b", State.WAITING)]
    assert Board([*known, *left], 1).seconds_left(now=1000) == 100 + 150 + 30
    assert Board([*known, *left, left[1]], 2).seconds_left(now=1000) == (100 + 150 + 30 + 150) / 2
    assert Board([*known, *left], 9).seconds_left(now=1000) == 150  # no run is divided
    assert Board([*known, job("c", State.WAITING)], 2).seconds_left(now=1000) == pytest.approx(331 / 4)
    assert Board([*known, job("a", State.RUNNING, start=0)], 2).seconds_left(now=1000) == 0  # longer than expected
    other = [job("a", State.FINISHED, 10, sets="short"), job("a", State.WAITING, sets="short")]
    assert Board([*known, *other], 1).seconds_left(now=1000) == 10
