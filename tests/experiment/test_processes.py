import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ialp.cli.main import main
from ialp.errors import UserError
from ialp.experiment import building, processes
from ialp.experiment.building import StageFailed, build, heartbeat, wait_for
from ialp.experiment.processes import complain, launched, lost_a_peer, rank
from ialp.experiment.same_run import SameRun, check_processes, check_shares
from ialp.experiment.stages import Stage, drawn_seed
from ialp.runs.lock import busy, locked

CONFIGS = Path(__file__).parents[2] / "configs"


def test_the_first_process_is_the_first_of_all_nodes(monkeypatch):
    assert rank() == 0 and launched() == 1
    for variables, expected in (
        ({"LOCAL_RANK": "0", "NODE_RANK": "0"}, 0),
        ({"LOCAL_RANK": "0", "NODE_RANK": "1"}, 1),  # Lightning's own launcher on a second node
        ({"LOCAL_RANK": "0", "NODE_RANK": "1", "RANK": "8"}, 8),
        ({"LOCAL_RANK": "0", "GROUP_RANK": "0", "RANK": "0"}, 0),
        ({"SLURM_PROCID": "3"}, 3),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "1", "SLURM_ARRAY_TASK_ID": "4"}, 0),
    ):
        with monkeypatch.context() as launcher:
            for name, value in variables.items():
                launcher.setenv(name, value)
            assert rank() == expected, variables


def test_an_error_is_said_once(monkeypatch, capsys):
    complain("mend me")
    assert capsys.readouterr().err == "ialp: error: mend me\n"
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setattr(processes, "_parent_ends", lambda: True)
    complain("mend me")
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(processes, "_parent_ends", lambda: False)  # the first process has no such error
    complain("mend me")
    assert capsys.readouterr().err == "ialp: error: process 1: mend me\n"


def test_a_lost_peer_is_known_by_the_connection():
    said = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:41343"
    assert lost_a_peer(RuntimeError(said)) and not lost_a_peer(RuntimeError("boom"))


CHILD = "import time; from ialp.experiment.processes import end_with_parent; end_with_parent(0.05); time.sleep(100)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(100)
"""


def test_a_process_ends_with_what_started_it():
    environment = {**os.environ, "LOCAL_RANK": "1", "PYTHONPATH": str(CONFIGS.parent)}
    python = sys.executable
    parent = subprocess.Popen([python, "-c", PARENT, CHILD], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    time.sleep(0.5)
    assert alive(child)
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 60
    while alive(child) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not alive(child)


def alive(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def stage(folder: Path) -> Stage:
    return Stage("world", folder / "world" / "0-a", "a" * 64)


def test_those_who_wait_give_a_dead_builder_up(tmp_path):
    with pytest.raises(UserError, match="stage world: for 0 s no sign of the first process"):
        wait_for(stage(tmp_path), patience=0.1)


def test_those_who_wait_go_on_when_the_stage_is_there(tmp_path, monkeypatch):
    """As long as the first process gives signs, nobody gives it up."""
    naps = iter(range(1, 4))

    def sleep(seconds: float) -> None:
        number, each = next(naps), stage(tmp_path)
        os.utime(heartbeat(each), ns=(number, number)) if heartbeat(each).is_file() else heartbeat(each).touch()
        if number == 3:
            each.folder.mkdir(parents=True)
            (each.folder / "done.json").write_text(f'{{"fingerprint": "{"a" * 64}", "stage": "world", "seed": 0}}')

    monkeypatch.setattr(building.time, "sleep", sleep)
    wait_for(stage(tmp_path), patience=0.0)


@pytest.mark.parametrize("processes", [1, 2])
def test_a_builder_gives_signs_to_others_only(tmp_path, monkeypatch, processes):
    signs = []

    class Process:
        def __init__(self, *_, **__):
            self.polls = iter([None, None, 0])

        def poll(self):
            signs.append(heartbeat(stage(tmp_path)).exists())
            return next(self.polls)

    monkeypatch.setenv("WORLD_SIZE", str(processes))
    monkeypatch.setattr(building.subprocess, "Popen", Process)
    with pytest.raises(StageFailed):  # it has left no done.json
        build(stage(tmp_path))
    assert signs == [False, processes > 1, processes > 1]
    assert not heartbeat(stage(tmp_path)).exists()


def test_a_drawn_seed_is_the_first_processs(monkeypatch):
    assert drawn_seed() != drawn_seed()
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(UserError, match="give a number"):
        drawn_seed()
    monkeypatch.setenv("LOCAL_RANK", "1")
    monkeypatch.setenv("PL_GLOBAL_SEED", "17")
    assert drawn_seed() == 17


def test_processes_that_would_train_alone_are_refused(monkeypatch):
    trainer = SimpleNamespace(world_size=1)
    check_processes(trainer)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(UserError, match="4 processes were started, and the trainer has 1"):
        check_processes(trainer)
    check_processes(SimpleNamespace(world_size=4))


def test_processes_with_another_run_end(tmp_path):
    first = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda mine: "b" * 64))
    with pytest.raises(UserError, match=r"another one \(bbbbbbbb\) that of the first process"):
        SameRun(stage(tmp_path)).setup(first, None, "fit")
    SameRun(stage(tmp_path)).setup(SimpleNamespace(strategy=SimpleNamespace(broadcast=str)), None, "fit")


@pytest.mark.parametrize(
    ("devices", "nodes", "fits"), [(2, 1, True), ("4", 1, False), ([0, 1], 2, False), ("auto", 1, 1)]
)
def test_shares_are_checked_by_the_config(devices, nodes, fits):
    data, trainer = SimpleNamespace(shared=("users",), users=50), {"devices": devices, "num_nodes": nodes}
    if fits:
        return check_shares(data, trainer)
    with pytest.raises(UserError, match="users is 50, which 4 processes cannot share"):
        check_shares(data, trainer)


def test_users_that_cannot_be_shared_are_said_before_any_stage(tmp_path, monkeypatch, capfd):
    monkeypatch.delenv("IALP_DATA", raising=False)
    log = '--log={"class_path": "ialp.data.BuiltinLog", "init_args": {"num_tracks": 60, "num_sessions": 40}}'
    command = [
        "fit",
        "--config",
        str(CONFIGS / "lfm_policyset.yaml"),
        log,
        f"--runs_dir={tmp_path}",
        "--trainer.devices=8",
    ]
    assert main([*command, "--trainer.strategy=ddp", "--trainer.accelerator=cpu"]) == 2
    said = "ialp: error: users is 50, which 8 processes cannot share: choose a multiple of 8\n"
    assert capfd.readouterr().err == said
    assert not list(tmp_path.iterdir())


def test_a_run_that_is_being_made_is_refused(fit, folder_of, capfd):
    assert fit("world") == 0
    folder = folder_of("world")
    (folder / "done.json").unlink()
    capfd.readouterr()
    with locked(folder):
        assert fit("world") == 2
        assert capfd.readouterr().err == f"ialp: error: {busy(folder)}\n"
    assert "--busy wait" in busy(folder)
    assert fit("world") == 0


def test_the_lock_is_refused_or_waited_for(tmp_path):
    refused = pytest.raises(UserError, match="another process is making this run")
    with locked(tmp_path / "0-a"), refused, locked(tmp_path / "0-a", wait=False):
        raise AssertionError("two have the lock")
