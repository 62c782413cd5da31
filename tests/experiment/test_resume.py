"""What the user sees of runs that were cut off: signals, damage, full disks."""

import errno
import json
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ialp.experiment.checkpoint_file import newest as newest_in
from ialp.runs.folder import read_crash

Fit = Callable[..., int]
FolderOf = Callable[[str], Path]
CALLBACK = "ialp.experiment.resume.ResumeCheckpoint"
EVERY_STEP = f'--trainer.callbacks=[{{"class_path": "{CALLBACK}", "init_args": {{"every_n_steps": 1}}}}]'
FIVE_STEPS = ("--trainer.max_epochs", "3", "--data.init_args.rows", "6", EVERY_STEP)


@pytest.fixture
def cut(fit: Fit, folder_of: FolderOf) -> Iterator[Callable[[], tuple[Path, list[Path]]]]:
    """A run that crashes after three of nine steps: its folder, and its checkpoints, newest first."""

    def run() -> tuple[Path, list[Path]]:
        assert fit("world", "--model.init_args.fail", "crash", *FIVE_STEPS) == 1
        folder = folder_of("world")
        kept = sorted((folder / "checkpoints").iterdir(), reverse=True)
        assert [path.name for path in kept] == ["step-000000003.ckpt", "step-000000002.ckpt"]
        return folder, kept

    yield run


def go_on(fit: Fit) -> int:
    return fit("world", "--model.init_args.fail", "crash", *FIVE_STEPS)


def test_resume_goes_on_with_the_same_command(cut, fit: Fit, capfd: pytest.CaptureFixture) -> None:
    folder, kept = cut()
    assert read_crash(folder) == "RuntimeError: boom"
    capfd.readouterr()
    assert go_on(fit) == 0
    assert f"going on from {kept[0]}" in capfd.readouterr().out
    done = json.loads((folder / "done.json").read_text())
    assert done["resumed"] == 1 and read_crash(folder) is None
    assert os.listdir(folder / "checkpoints") == ["last.ckpt"]
    steps = [row.split(",") for row in (folder / "metrics.csv").read_text().splitlines()]
    place, loss = steps[0].index("step"), steps[0].index("loss_step")
    assert [row[place] for row in steps[1:] if row[loss]] == [str(step) for step in range(9)]


@pytest.mark.parametrize("how", ["short", "changed"])
def test_resume_refuses_a_damaged_checkpoint_by_name(cut, fit: Fit, capfd: pytest.CaptureFixture, how: str) -> None:
    folder, (newest, older) = cut()
    data = bytearray(newest.read_bytes())
    data[len(data) // 2] ^= 4
    newest.write_bytes(data[:-9] if how == "short" else data)
    capfd.readouterr()
    assert go_on(fit) == 2
    said = capfd.readouterr().err
    assert said.startswith(f"ialp: error: {newest}: damaged") and said.count("\n") == 1
    assert f"remove it, and the run goes on from {older}, the last good one" in said
    assert newest.exists() and older.exists()
    newest.unlink()
    assert go_on(fit) == 0


def test_resume_stops_with_one_line_on_a_full_disk(fit: Fit, folder_of, capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    real, left = torch.save, [2]

    def save(*arguments: Any) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        real(*arguments)

    with monkeypatch.context() as disk:
        disk.setattr(torch, "save", save)
        assert fit("world", *FIVE_STEPS) == 2
    said = capfd.readouterr().err
    [folder] = [folder_of("world") / "checkpoints"]
    good = newest_in(folder)
    assert good is not None and said.count("\n") == 1
    assert (
        "could not be written (No space left on device)" in said and f"goes on from {good}, the last good one" in said
    )
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]
    assert fit("world", *FIVE_STEPS) == 0


def test_fit_names_metrics_csv_on_a_full_disk(fit: Fit, capfd, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", "runs/world/metrics.csv")

    monkeypatch.setattr("ialp.experiment.metrics_file.MetricsFile.save", full)
    assert fit("world", *FIVE_STEPS) == 2
    said = capfd.readouterr().err.splitlines()
    assert said[-1].startswith("ialp: error: no space left on the disk of runs/world/metrics.csv")


def test_resume_saves_at_sigterm_and_ends_with_its_code(fit: Fit, folder_of, capfd: pytest.CaptureFixture) -> None:
    before = signal.getsignal(signal.SIGTERM)
    asked = ("--model.init_args.fail", "terminate", "--trainer.max_epochs", "3")  # no checkpoint is due by itself
    assert fit("world", *asked) == 143
    assert signal.getsignal(signal.SIGTERM) == before
    [kept] = (folder_of("world") / "checkpoints").iterdir()
    assert kept.name == "step-000000003.ckpt"
    assert f"ialp: stopped: the same command goes on from {kept}" in capfd.readouterr().err
    assert fit("world", *asked) == 0


def test_resume_saves_and_stops_a_stage_whose_run_is_gone(fit: Fit, folder_of, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("IALP_STAGE", "world")
    looks = iter([False, False, True])
    monkeypatch.setattr("ialp.experiment.signals.StopRequest.orphaned", lambda _: next(looks))
    assert fit("world", "--trainer.max_epochs", "3") == 143
    assert os.listdir(folder_of("world") / "checkpoints") == ["step-000000002.ckpt"]


def test_resume_removes_leftovers_of_a_killed_write(cut, fit: Fit) -> None:
    folder, kept = cut()
    kept[0].with_name(".step-000000004.ckpt.partial").write_bytes(b"half")
    assert go_on(fit) == 0
    assert os.listdir(folder / "checkpoints") == ["last.ckpt"]
