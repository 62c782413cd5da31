import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from ialp.cli.main import main
from ialp.errors import UserError
from ialp.experiment import building
from ialp.experiment.building import StageFailed, build, wait_for
from ialp.experiment.processes import complain, launched, lost_a_peer, rank
from ialp.experiment.stages import Stage
from ialp.experiment.trainer_parts import check_processes, check_shares
from ialp.runs.lock import busy, locked

CONFIGS = Path(__file__).parents[2] / "configs"


def test_rank_counts_over_all_nodes(monkeypatch):
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


def test_complain_names_a_process_that_is_not_the_first(monkeypatch, capsys):
    complain("mend me")
    assert capsys.readouterr().err == "ialp: error: mend me\n"
    monkeypatch.setenv("LOCAL_RANK", "1")
    complain("mend me")
    assert capsys.readouterr().err == "ialp: error: process 1: mend me\n"


def test_lost_a_peer_knows_the_error_by_its_text():
    said = "[../third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [127.0.0.1]:41343"
    assert lost_a_peer(RuntimeError(said)) and not lost_a_peer(RuntimeError("boom"))


CHILD = "import time; from ialp.experiment.processes import end_with_parent; end_with_parent(0.05); time.sleep(100)"
PARENT = """
import subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdout=subprocess.DEVNULL)
print(child.pid, flush=True)
time.sleep(100)
"""


def test_end_with_parent_ends_when_the_parent_is_killed():
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


def test_wait_for_ends_when_the_stage_is_there(tmp_path, monkeypatch):
    def sleep(seconds: float) -> None:
        each = stage(tmp_path)
        each.folder.mkdir(parents=True)
        (each.folder / "done.json").write_text(f'{{"fingerprint": "{"a" * 64}", "stage": "world", "seed": 0}}')

    monkeypatch.setattr(building.time, "sleep", sleep)
    wait_for(stage(tmp_path))


def test_build_refuses_a_stage_without_done_json(tmp_path, monkeypatch):
    monkeypatch.setattr(building.subprocess, "Popen", lambda *_, **__: SimpleNamespace(poll=lambda: 0))
    with pytest.raises(StageFailed):
        build(stage(tmp_path))


def test_check_processes_refuses_processes_that_would_train_alone(monkeypatch):
    trainer = SimpleNamespace(world_size=1)
    check_processes(trainer)
    monkeypatch.setenv("SLURM_STEP_NUM_TASKS", "4")
    with pytest.raises(UserError, match="4 processes were started, and the trainer has 1"):
        check_processes(trainer)
    check_processes(SimpleNamespace(world_size=4))


@pytest.mark.parametrize(
    ("devices", "nodes", "fits"), [(2, 1, True), ("4", 1, False), ([0, 1], 2, False), ("auto", 1, 1)]
)
def test_check_shares_reads_the_config(devices, nodes, fits):
    data, trainer = SimpleNamespace(shared=("users",), users=50), {"devices": devices, "num_nodes": nodes}
    if fits:
        return check_shares(data, trainer)
    with pytest.raises(UserError, match="users is 50, which 4 processes cannot share"):
        check_shares(data, trainer)


def test_fit_refuses_users_that_cannot_be_shared_before_any_stage(tmp_path, monkeypatch, capfd):
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


def test_fit_refuses_a_run_that_is_being_made(fit, folder_of, capfd):
    assert fit("world") == 0
    folder = folder_of("world")
    (folder / "done.json").unlink()
    capfd.readouterr()
    with locked(folder):
        assert fit("world") == 2
        assert capfd.readouterr().err == f"ialp: error: {busy(folder)}\n"
    assert "--busy wait" in busy(folder)
    assert fit("world") == 0


def test_lock_is_refused_where_nobody_waits(tmp_path):
    refused = pytest.raises(UserError, match="another process is making this run")
    with locked(tmp_path / "0-a"), refused, locked(tmp_path / "0-a", wait=False):
        raise AssertionError("two have the lock")
