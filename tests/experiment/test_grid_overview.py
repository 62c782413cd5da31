import time
from pathlib import Path

import pytest
from rich.console import Console

from ialp.experiment.grid_jobs import Board, Job, State
from ialp.experiment.grid_overview import Drawn, Lines, duration, overview, standing


def board(*states: State, processes: int = 2) -> Board:
    jobs = [Job("policy", seed, overrides=["fast"], state=state) for seed, state in enumerate(states)]
    return Board(jobs, processes)


@pytest.mark.parametrize(
    ("seconds", "said"), [(0, "0 s"), (99, "99 s"), (150, "2.5 min"), (7500, "2 h 05 min"), (7199.9, "1 h 59 min")]
)
def test_duration(seconds: float, said: str) -> None:
    assert duration(seconds) == said


def test_one_line_says_how_it_stands() -> None:
    states = (State.REUSED, State.FINISHED, State.RUNNING, State.WAITING, State.FAILED, State.BLOCKED)
    shown = board(*states)
    shown.jobs[1].seconds, shown.jobs[2].start = 120.0, time.monotonic()
    assert standing(shown) == "2 of 6 done (1 reused), 1 waiting, 1 running, 1 failed, 1 blocked, about 2.0 min left"
    assert standing(board(State.WAITING)) == "0 of 1 done, 1 waiting, time left: known when a run has ended"
    assert standing(board(State.FINISHED, State.FAILED)) == "1 of 2 done, 1 failed"


def test_lines_for_what_is_no_terminal(capsys: pytest.CaptureFixture) -> None:
    shown = board(State.RUNNING, State.WAITING)
    lines = overview(shown)
    assert type(lines) is Lines
    job = shown.jobs[0]
    job.log = Path("logs/x.log")
    lines.tell(job)
    job.state, job.reason, job.seconds = State.FAILED, "mend me", 61.0
    lines.tell(job)
    shown.stopping = True
    lines.tick()
    lines.tick()
    assert capsys.readouterr().out.splitlines() == [
        "started policy fast seed 0 (log logs/x.log)",
        "failed policy fast seed 0 after 61 s: mend me",
        "  0 of 2 done, 1 waiting, 1 failed, time left: known when a run has ended",
        "stopping: 0 running were asked to end; Ctrl-C again kills them",
    ]


def test_the_table_shows_what_runs_and_what_failed(tmp_path: Path) -> None:
    shown = board(State.RUNNING, *[State.FAILED] * 10)
    (tmp_path / "log").write_text("epoch 1\n  policy: epoch [2] of 50\n")
    shown.jobs[0].log, shown.jobs[0].start = tmp_path / "log", time.monotonic() - 42
    for job in shown.jobs[1:]:
        job.reason = "list[int] is none"
    console = Console(width=100, record=True, force_terminal=True, file=(tmp_path / "out").open("w"))
    console.print(Drawn(shown, console).draw())
    lines = console.export_text().splitlines()
    assert lines[0].startswith("0 of 11 done, 1 running, 10 failed")
    assert "policy fast seed 0" in lines[2] and "42 s" in lines[2] and "policy: epoch [2] of 50" in lines[2]
    assert lines[3].strip() == "failed policy fast seed 1: list[int] is none"
    assert len(lines) == 3 + 8 + 1 and lines[-1].strip() == "… and 2 more failed"
