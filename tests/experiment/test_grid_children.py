import os
import signal
from pathlib import Path

import pytest

from ialp.experiment import grid_children
from ialp.experiment.grid_children import environment, failure, last_lines, threads
from tests.helpers.grid_stages import stage


@pytest.mark.parametrize(("processes", "share"), [(1, "8"), (2, "4"), (3, "2"), (9, "1")])
def test_threads_times_processes_stay_within_the_cores(
    processes: int, share: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(grid_children, "cores", lambda: 8)
    assert threads(processes)["OMP_NUM_THREADS"] == share


def test_threads_that_the_user_has_set_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert environment(stage("a"), 2)["OMP_NUM_THREADS"] == "7"


def test_a_child_is_a_run_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("IALP_DATA", "here")
    given = environment(stage("a"), 2)
    assert given["IALP_DATA"] == "here" and not {"RANK", "IALP_STAGE"} & set(given)


@pytest.mark.parametrize(
    ("code", "log", "said"),
    [
        (2, "stage 1\nialp: error: earlier\nialp: error: toy: mend me\n\n", "toy: mend me"),
        (1, "Traceback\nRuntimeError: boom\n", "exit code 1: RuntimeError: boom"),
        (3, "", "exit code 3"),
        (-signal.SIGKILL, "epoch 3\n", "killed from outside, perhaps for lack of memory"),
        (-signal.SIGSEGV, "epoch 3\n", "ended by SIGSEGV"),
    ],
)
def test_why_a_process_ended(code: int, log: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text(log)
    assert failure(code, path) == said


def test_the_end_of_a_long_log(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"x" * 1_000_000 + b"\n\xff\nlast\n")
    assert last_lines(path)[-1] == "last" and sum(map(len, last_lines(path))) < 30_000
    assert last_lines(tmp_path / "none") == []


def test_cores_are_those_this_process_may_use() -> None:
    assert 1 <= grid_children.cores() <= (os.cpu_count() or 1)
