import json
import os
import pty
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock

from ialp.cli.grid import read_request
from ialp.cli.main import main
from ialp.experiment.grid import State, plan_jobs
from ialp.experiment.planning import Planner
from tests.helpers.grid_stages import events, fake_children

TOYS = ["configs/policy.yaml", "configs/judge.yaml"]


@pytest.fixture
def quick(project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with toy configs; processes only write done.json."""
    fake_children(monkeypatch)
    return project


def summary(name: str = "*") -> dict[str, Any]:
    [path] = Path("runs/grids").glob(f"{name}/summary.json")
    return json.loads(path.read_text())


def test_grid_builds_shared_stages_once(quick: Path, capfd: pytest.CaptureFixture) -> None:
    assert main(["grid", *TOYS, "--seeds", "0,1", "--processes", "3"]) == 0
    assert sorted(events()) == sorted(f"{sign}{name}" for sign in "+-" for name in ["world", *["judge", "policy"] * 2])
    assert events()[:2] == ["+world", "-world"]
    found = summary()
    assert [(cell["config"], cell["seed"], cell["state"]) for cell in found["cells"]] == [
        ("judge", 0, "finished"),
        ("policy", 0, "finished"),
        ("judge", 1, "finished"),
        ("policy", 1, "finished"),
    ]
    assert [(stage["config"], stage["seed"]) for stage in found["stages"]] == [("world", 0)]  # it keeps its seed
    assert found["runs"] == {"finished": 5} and found["processes"] == 3
    assert all(Path(cell["folder"], "done.json").is_file() and Path(cell["log"]).is_file() for cell in found["cells"])
    printed = capfd.readouterr().out
    assert printed.count("data:") == 1 and "5 of 5 done" in printed and "summary: runs/grids/policy+1-" in printed


def test_grid_goes_on_where_it_stopped(quick: Path) -> None:
    main(["grid", *TOYS])
    before = events()
    assert main(["grid", *TOYS]) == 0 and events() == before
    assert summary()["runs"] == {"reused": 2}
    assert main(["grid", *TOYS, "--seeds", "0-1", "--name", "more"]) == 0
    assert sorted(events()[len(before) :]) == ["+judge", "+policy", "-judge", "-policy"]
    assert summary("more")["runs"] == {"reused": 3, "finished": 2}


def test_grid_goes_on_after_failed_cells(quick: Path, capfd: pytest.CaptureFixture) -> None:
    Path("grid.yaml").write_text(
        "configs: [configs/judge.yaml]\nseeds: 0-1\noverrides:\n  base: {}\n  broken: {model.init_args.fail: fail}\n"
        "  typo: {model.init_args.widht: 3}\n  wide: {model.init_args.width: 2, data.init_args.rows: 8}\n"
    )
    assert main(["grid", "--file", "grid.yaml"]) == 1
    states = {(cell["overrides"], cell["seed"]): (cell["state"], cell["reason"]) for cell in summary("grid")["cells"]}
    assert states == {
        (name, seed): value
        for seed in (0, 1)
        for name, value in {
            "base": ("finished", None),
            "wide": ("finished", None),
            "broken": ("failed", "mend me"),
            "typo": ("failed", 'command line: model: Toy has no "widht"; did you mean width?'),
        }.items()
    }
    printed = capfd.readouterr().out
    assert "failed judge broken seed 1: mend me (log runs/grids/grid/logs/judge/1-" in printed


def test_grid_runs_a_fixed_seed_once(quick: Path) -> None:
    assert main(["grid", "configs/world.yaml", "--seeds", "3-6"]) == 0
    assert [cell["seed"] for cell in summary()["cells"]] == [0] and events() == ["+world", "-world"]


def test_grid_dry_run_starts_nothing(quick: Path, capfd: pytest.CaptureFixture) -> None:
    assert main(["grid", *TOYS, "--dry_run"]) == 0
    assert "3 waiting" in capfd.readouterr().out
    assert not Path("runs").exists()


def test_grid_of_nothing_ends_in_one_line(quick: Path, capfd: pytest.CaptureFixture) -> None:
    assert main(["grid", "configs/judgge.yaml", "--seeds", "0-3"]) == 2
    assert capfd.readouterr().err == "ialp: error: no config configs/judgge.yaml; did you mean configs/judge.yaml?\n"
    assert not Path("runs").exists()


def test_grid_refuses_a_name_that_is_at_work(quick: Path, capfd: pytest.CaptureFixture) -> None:
    Path("runs/grids").mkdir(parents=True)
    with FileLock("runs/grids/.mine.lock"):
        assert main(["grid", *TOYS, "--name", "mine"]) == 2
    assert "at work already" in capfd.readouterr().err and events() == []


def test_grid_writes_below_runs_dir(quick: Path, capfd: pytest.CaptureFixture) -> None:
    main(["grid", "configs/world.yaml", "--", "--runs_dir", "elsewhere"])
    assert Path("elsewhere/grids").is_dir() and not Path("runs").exists()
    assert len(list(Path("elsewhere").glob("world/0-*/done.json"))) == 1


GRIDS = sorted((Path(__file__).parents[2] / "configs" / "grids").glob("*.yaml"))


@pytest.mark.parametrize("grid", GRIDS, ids=lambda path: path.stem)
def test_grid_file_can_be_planned(grid: Path, quick: Path) -> None:
    """Each config with the first set of overrides, each set with the first config."""
    request = read_request(["--file", str(grid), "--seeds", "0"])
    first = request.cells[0]
    cells = [cell for cell in request.cells if cell.config == first.config or cell.overrides == first.overrides]
    jobs = plan_jobs(cells, Planner.make().plan)
    asked = [job for job in jobs if job.overrides]
    assert any(job.state == State.WAITING for job in asked)
    assert all("nothing takes the place of Coat" in job.reason for job in asked if job.state == State.FAILED)


def start(folder: Path, *arguments: str) -> tuple[subprocess.Popen[bytes], int]:
    """`ialp grid` on a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "COLUMNS": "120", "TERM": "xterm"}
    process = subprocess.Popen(
        [sys.executable, "-m", "ialp", "grid", *arguments],
        cwd=folder,
        env=environment,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a test run in the background ignores it
    )
    os.close(theirs)
    return process, ours


def read(terminal: int, process: subprocess.Popen[bytes], until: Callable[[str], bool]) -> str:
    """What the terminal shows until a condition holds or the process ends."""
    shown = b""
    os.set_blocking(terminal, False)
    while True:
        ended = process.poll() is not None
        try:
            shown += os.read(terminal, 100_000)
        except OSError:  # nothing there now, or ever again
            time.sleep(0.05)
        text = shown.decode(errors="replace")
        if ended or until(text):
            return text


@pytest.mark.slow
def test_grid_ends_all_on_ctrl_c_and_goes_on(project: Path) -> None:
    text = Path("configs/world.yaml").read_text()
    Path("configs/waiting.yaml").write_text(text.replace("Toy}", "Toy, init_args: {fail: wait}}"))
    process, terminal = start(project, "configs/world.yaml", "configs/waiting.yaml", "--name", "g")
    shown = read(terminal, process, lambda text: (project / "waiting").exists() and "1 of 2 done" in text)
    assert "1 running" in shown and "running waiting seed 0" in shown
    [folder] = project.glob("runs/waiting/0-*")
    process.send_signal(signal.SIGINT)
    shown = read(terminal, process, lambda text: False)
    os.close(terminal)
    assert process.wait(30) == 130 and "interrupted; the same command goes on where it stopped" in shown
    with FileLock(folder.parent / f".{folder.name}.lock", timeout=0):  # its process is gone
        assert not (folder / "done.json").exists()
    assert summary()["runs"] == {"finished": 1, "interrupted": 1}
    process, terminal = start(project, "configs/world.yaml", "--name", "g")
    assert "1 of 1 done, 1 reused" in read(terminal, process, lambda text: False)
    os.close(terminal)


@pytest.mark.slow
def test_grid_on_the_built_in_catalogue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IALP_DATA", raising=False)
    assert main(["init", "."]) == 0
    log = '--log={"class_path": "BuiltinLog", "init_args": {"num_tracks": 200, "num_sessions": 200}}'
    short = ["--trainer.max_epochs=1", "--data.init_args.test_users=20", log]
    command = ["grid", "configs/lfm_scratch_a2c.yaml", "--seeds", "0-1", "--name", "g", "--", *short]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    for state in ("finished", "reused"):
        subprocess.run([sys.executable, "-m", "ialp", *command], env=environment, check=True, timeout=280)
        assert [cell["state"] for cell in summary()["cells"]] == [state] * 2
    folders = [Path(cell["folder"]) for cell in summary()["cells"]]
    assert all(
        (folder / "evaluation.csv").is_file() and (folder / "learning_curve.png").is_file() for folder in folders
    )
    assert len(list(Path("runs/lfm_reward").glob("*/done.json"))) == 1
