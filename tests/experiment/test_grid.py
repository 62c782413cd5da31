import os
import signal
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ialp.errors import UserError
from ialp.experiment import grid
from ialp.experiment.grid import Cell, Job, Runner, State, failure, plan_jobs
from ialp.experiment.stages import Stage
from tests.helpers.grid_stages import events, fake_children, finish, stage


@pytest.fixture(autouse=True)
def children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    fake_children(monkeypatch)


WORLD = stage("world")
JUDGE = stage("judge", WORLD)
POLICY = stage("policy", WORLD, JUDGE)


def planned(*names: str, overrides: str = "") -> list[Job]:
    def plan(arguments: Sequence[str], seed: int | None) -> Stage:
        known = {each.name: each for each in (WORLD, JUDGE, POLICY)}
        if arguments[0] not in known:
            raise UserError(f"no config {arguments[0]}")
        return known[arguments[0]]

    cells = [Cell(f"configs/{name}.yaml", one, 0, [name]) for name in names for one in overrides.split(",")]
    return plan_jobs(cells, plan)


def test_plan_has_inputs_first_and_each_run_once() -> None:
    jobs = planned("policy", "judge")
    assert [(job.config, bool(job.overrides)) for job in jobs] == [("world", False), ("judge", True), ("policy", True)]
    assert {job.state for job in jobs} == {State.WAITING}


def test_plan_reuses_what_is_finished() -> None:
    finish(JUDGE)
    [job] = planned("judge")
    assert job.state == State.REUSED
    assert [job.state for job in planned("policy")] == [State.WAITING, State.REUSED, State.WAITING]


def test_plan_shares_a_run_between_sets_of_overrides() -> None:
    [job] = planned("world", overrides="a,b")
    assert job.overrides == ["a", "b"]


def test_plan_keeps_the_cells_that_can_be_planned() -> None:
    jobs = planned("nothing", "world")
    assert [(job.config, job.state, job.reason) for job in jobs] == [
        ("world", State.WAITING, ""),
        ("nothing", State.FAILED, "no config nothing"),
    ]
    with pytest.raises(UserError, match="no config nothing"):
        planned("nothing", "nobody")


def test_plan_fails_cells_whose_inputs_may_not_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(JUDGE.config, "missing", "fail")
    [world, judge] = planned("world", "judge")
    assert world.state == State.WAITING and judge.state == State.FAILED and "missing stages: world" in judge.reason


def run(*stages: Stage, processes: int = 2) -> tuple[list[Job], int]:
    lineage = {str(each.folder): each for stage in stages for each in stage.lineage()}
    jobs = [Job(each.name, each.seed, each, [""] if each in stages else []) for each in lineage.values()]
    return jobs, Runner(jobs, processes, Path("grid")).run(pause=0.01)


def states(jobs: list[Job]) -> dict[str, str]:
    return {job.config: str(job.state) for job in jobs}


def test_runner_makes_inputs_once_and_first() -> None:
    world = stage("world")
    judge = stage("judge", world)
    jobs, ended_by = run(*(stage(f"policy{number}", world, judge) for number in range(3)))
    assert ended_by == 0 and set(states(jobs).values()) == {"finished"}
    order = events()
    assert order[:4] == ["+world", "-world", "+judge", "-judge"]
    assert sorted(order[4:]) == sorted(f"{sign}policy{number}" for sign in "+-" for number in range(3))


def test_runner_has_no_more_processes_than_asked_for(capsys: pytest.CaptureFixture) -> None:
    run(*(stage(f"s{number}") for number in range(5)), processes=2)
    printed = capsys.readouterr().out
    assert "2 running" in printed and "3 running" not in printed and "5 of 5 done" in printed


def test_runner_starts_first_what_most_others_wait_for() -> None:
    run(stage("alone"), stage("policy", stage("world")), processes=1)
    assert events()[0] == "+world"


def test_runner_blocks_only_what_is_built_on_a_failure() -> None:
    broken = stage("broken", how="fail")
    jobs, ended_by = run(stage("policy", broken), stage("last", broken), stage("other"))
    assert ended_by == 0
    assert states(jobs) == {"broken": "failed", "policy": "blocked", "last": "blocked", "other": "finished"}
    assert [job.reason for job in jobs] == ["mend me", "broken seed 0 failed", "broken seed 0 failed", ""]
    assert "+policy" not in events()


@pytest.mark.parametrize(("processes", "share"), [(1, 8), (2, 4), (3, 2), (9, 1)])
def test_start_process_has_a_log_and_its_share_of_the_cores(
    processes: int, share: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(8))
    [job], _ = run(stage("a"), processes=processes)
    assert job.log and job.log.read_text() == f"log of a {share}\n"


def test_start_process_keeps_the_threads_that_the_user_has_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    [job], _ = run(stage("a"))
    assert job.log and job.log.read_text() == "log of a 7\n"


def test_start_process_hides_the_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("IALP_DATA", "here")
    show = [
        grid.sys.executable,
        "-c",
        "import os; print(sorted(k for k in os.environ if k.startswith(('IALP', 'RANK'))))",
    ]
    monkeypatch.setattr(grid, "command", lambda stage: show)
    [job], _ = run(stage("a"))
    assert job.log and job.log.read_text() == "['IALP_DATA']\n"


def test_runner_fails_a_process_that_leaves_no_run() -> None:
    jobs, _ = run(stage("lost", how="lose"))
    assert states(jobs) == {"lost": "failed"} and "left no finished run" in jobs[0].reason


def test_runner_leaves_no_process_behind_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    runner = Runner([Job("wait", 0, stage("wait", how="wait"), [""])], 1, Path("grid"))

    def fail(seconds: float) -> None:
        if Path("waiting-wait").exists():
            raise RuntimeError("full disk")

    with monkeypatch.context() as patch, pytest.raises(RuntimeError, match="full disk"):
        patch.setattr(grid.time, "sleep", fail)
        runner.run()
    [(_, process, _)] = runner.running
    assert process.wait(5) == -signal.SIGKILL


@pytest.mark.parametrize(
    ("code", "log", "reason"),
    [
        (2, "stage 1\nialp: error: earlier\nialp: error: toy: mend me\n\n", "toy: mend me"),
        (1, "Traceback\nRuntimeError: boom \xff\n", "exit code 1: RuntimeError: boom"),
        (3, "", "exit code 3"),
        (-signal.SIGKILL, "epoch 3\n", "killed from outside, perhaps for lack of memory"),
        (-signal.SIGSEGV, "epoch 3\n", "ended by SIGSEGV"),
    ],
)
def test_failure_names_the_reason(code: int, log: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(log.encode("latin-1"))
    assert failure(code, path).startswith(reason)


def when(*names: str, do: Callable[[], None]) -> None:
    """Once these stages wait."""

    def watch() -> None:
        while not all(Path(f"waiting-{name}").exists() for name in names):
            time.sleep(0.01)
        do()

    threading.Thread(target=watch, daemon=True).start()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_runner_ends_its_processes_at_a_signal(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    when("a", "b", do=lambda: os.kill(os.getpid(), number))
    start = time.monotonic()
    jobs, ended_by = run(*(stage(name, how="wait") for name in "abc"))
    assert time.monotonic() - start < grid.PATIENCE - 5  # they were asked, not killed
    assert ended_by == number
    assert states(jobs) == {"a": "interrupted", "b": "interrupted", "c": "waiting"}
    assert sorted(events()) == ["+a", "+b"] and signal.getsignal(number) == before


def test_runner_kills_at_a_second_signal() -> None:
    def twice() -> None:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.3)
        os.kill(os.getpid(), signal.SIGINT)

    when("a", do=twice)
    start = time.monotonic()
    jobs, _ = run(stage("a", how="stubborn"))
    assert states(jobs) == {"a": "interrupted"} and 0.3 <= time.monotonic() - start < 15


def test_runner_kills_a_process_that_does_not_end_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grid, "PATIENCE", 0.1)
    when("a", do=lambda: os.kill(os.getpid(), signal.SIGTERM))
    jobs, ended_by = run(stage("a", how="stubborn"))
    assert states(jobs) == {"a": "interrupted"} and ended_by == signal.SIGTERM


def test_runner_ignores_ctrl_c_where_it_was_ignored() -> None:
    """Jobs in the background of a script ignore it, and their children inherit that."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        when("a", do=lambda: (os.kill(os.getpid(), signal.SIGINT), os.kill(os.getpid(), signal.SIGTERM))[1])
        jobs, ended_by = run(stage("a", how="wait"))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert states(jobs) == {"a": "interrupted"} and ended_by == signal.SIGTERM
