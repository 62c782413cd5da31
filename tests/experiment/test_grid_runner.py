import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from ialp.experiment import grid_runner
from ialp.experiment.grid_jobs import Board, Job
from ialp.experiment.grid_runner import Runner
from ialp.experiment.stages import Stage
from tests.helpers.grid_stages import events, fake_children, finish, stage


@pytest.fixture(autouse=True)
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    fake_children(monkeypatch)


def run(*stages: Stage, processes: int = 2, told: list[str] | None = None) -> tuple[Board, int]:
    lineage = {str(each.folder): each for stage in stages for each in stage.lineage()}
    board = Board([Job(each.name, each.seed, each, [""], each in stages) for each in lineage.values()], processes)

    def tell(job: Job) -> None:
        if told is not None:
            told.append(f"{job.state} {job.name}")

    return board, Runner(board, Path("logs"), tell, lambda: None, pause=0.01).run()


def states(board: Board) -> dict[str, str]:
    return {job.name: str(job.state) for job in board.jobs}


def test_inputs_are_made_once_and_before_what_is_built_on_them() -> None:
    world = stage("world")
    judge = stage("judge", world)
    board, ended_by = run(*(stage(f"policy{number}", world, judge) for number in range(3)))
    assert ended_by == 0 and set(states(board).values()) == {"finished"}
    said = events()
    assert said[:4] == ["+world", "-world", "+judge", "-judge"]
    assert sorted(said[4:]) == sorted(f"{sign}policy{number}" for sign in "+-" for number in range(3))


def test_never_more_processes_than_asked_for() -> None:
    told: list[str] = []
    run(*(stage(f"s{number}") for number in range(5)), processes=2, told=told)
    at_once, most = 0, 0
    for line in told:
        at_once += 1 if line.startswith("running") else -1
        most = max(most, at_once)
    assert most == 2 and at_once == 0


def test_what_most_others_wait_for_is_started_first() -> None:
    world = stage("world")
    run(stage("alone"), stage("policy", world), processes=1)
    assert events()[0] == "+world"


def test_a_failure_stops_only_what_is_built_on_it() -> None:
    broken = stage("broken", how="fail")
    told: list[str] = []
    board, ended_by = run(stage("policy", broken), stage("other"), told=told)
    assert ended_by == 0
    assert states(board) == {"broken": "failed", "policy": "blocked", "other": "finished"}
    assert next(job.reason for job in board.jobs if job.name == "broken") == "mend me"
    assert "blocked policy" in told and "+policy" not in events()


def test_each_process_has_a_log_of_its_own_and_its_share_of_the_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ialp.experiment.grid_children.cores", lambda: 9)
    board, _ = run(stage("a"), stage("b"), processes=2)
    assert [job.log.read_text() for job in board.jobs if job.log] == ["log of a 4\n", "log of b 4\n"]


def test_a_process_that_ends_without_its_run_has_failed() -> None:
    board, _ = run(stage("lost", how="lose"))
    assert states(board) == {"lost": "failed"} and "left no finished run" in board.jobs[0].reason


def test_what_another_process_has_finished_is_not_started() -> None:
    other = stage("other")
    finish(other)
    board, _ = run(other, stage("policy", other))
    assert states(board) == {"other": "reused", "policy": "finished"}
    assert events() == ["+policy", "-policy"]


def test_a_process_that_cannot_be_started_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ialp.experiment.grid_children.command", lambda stage: ["/nowhere/python"])
    board, _ = run(stage("a"))
    assert states(board) == {"a": "failed"} and board.jobs[0].reason.startswith("could not be started")


def test_an_error_of_our_own_leaves_no_process_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    board = Board([Job("wait", 0, stage("wait", how="wait"))], 1)

    def tick() -> None:
        if Path("waiting-wait").exists():
            raise RuntimeError("full disk")

    runner = Runner(board, Path("logs"), lambda job: None, tick, pause=0.01)
    with pytest.raises(RuntimeError, match="full disk"):
        runner.run()
    [(_, process)] = runner.running.values()
    assert process.wait(5) == -signal.SIGKILL


def when(*names: str, do: Callable[[], None]) -> None:
    """Once these stages wait."""

    def watch() -> None:
        while not all(Path(f"waiting-{name}").exists() for name in names):
            time.sleep(0.01)
        do()

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_processes_and_leaves_the_rest_waiting(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    when("a", "b", do=lambda: os.kill(os.getpid(), number))
    start = time.monotonic()
    board, ended_by = run(*(stage(name, how="wait") for name in "abc"))
    assert time.monotonic() - start < grid_runner.PATIENCE - 5  # they were asked, not killed
    assert ended_by == number
    assert states(board) == {"a": "interrupted", "b": "interrupted", "c": "waiting"}
    assert sorted(events()) == ["+a", "+b"] and signal.getsignal(number) == before


def test_a_second_signal_kills() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        assert not Path("events-after").exists()
        os.kill(os.getpid(), signal.SIGINT)

    when("a", do=twice)
    start = time.monotonic()
    board, _ = run(stage("a", how="stubborn"))
    assert states(board) == {"a": "interrupted"} and 0.3 <= time.monotonic() - start < 15


def test_what_does_not_end_in_time_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid_runner, "PATIENCE", 0.1)
    when("a", do=lambda: os.kill(os.getpid(), signal.SIGTERM))
    board, ended_by = run(stage("a", how="stubborn"))
    assert states(board) == {"a": "interrupted"} and ended_by == signal.SIGTERM


def test_processes_can_be_asked_to_end_even_if_the_grid_ignores_ctrl_c() -> None:
    """Jobs in the background of a script ignore it, and so would their children."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        when("a", do=lambda: (os.kill(os.getpid(), signal.SIGINT), os.kill(os.getpid(), signal.SIGTERM))[1])
        board, ended_by = run(stage("a", how="wait"))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert states(board) == {"a": "interrupted"} and ended_by == signal.SIGTERM
