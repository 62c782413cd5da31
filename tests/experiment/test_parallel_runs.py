"""Runs in two processes, by Lightning's launcher and by torchrun, on CPUs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.experiment.test_processes import alive

pytestmark = pytest.mark.slow

DDP = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
LAUNCHERS = {
    "lightning": [sys.executable, "-m", "ialp"],
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "ialp"],
}
TOY = """
import os
import signal
import torch
from pathlib import Path
from tests.helpers.toy import Toy as Plain

class Toy(Plain):
    def on_train_batch_end(self, *_):
        Path(f"pid-{self.trainer.global_rank}").write_text(str(os.getpid()))

class Mortal(Plain):
    def training_step(self, batch, batch_idx):
        noise = torch.rand(batch.shape) + self.trainer.global_rank  # each rank has its own generator
        if self.trainer.global_rank == 1 and self.global_step == 4 and self.fail == "die":
            if not Path("died").exists():
                Path("died").touch()
                os.kill(os.getpid(), signal.SIGKILL)
        return self.layer(batch * noise).mean()
"""


@pytest.fixture(params=LAUNCHERS)
def start(project: Path, request: pytest.FixtureRequest):
    """Starts `ialp fit --config configs/NAME.yaml …` in two processes."""
    (project / "mine.py").write_text(TOY)

    def run(name: str, *arguments: str) -> subprocess.Popen:
        command = [*LAUNCHERS[request.param], "fit", "--config", f"configs/{name}.yaml", *DDP, *arguments]
        environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        return subprocess.Popen(command, cwd=project, env=environment, **pipes)

    return run


def test_parallel_run_first_process_builds_and_speaks_for_both(start, project):
    run = start("judge")
    said, complained = run.communicate(timeout=200)
    assert run.returncode == 0, complained
    done = {path.parent.parent.name: json.loads(path.read_text()) for path in project.glob("runs/*/*/done.json")}
    assert {name: each["processes"] for name, each in done.items()} == {"world": 1, "judge": 2}
    for begins in ("data:", "stage 1 of 2", "stage 2 of 2", "finished:"):
        assert sum(line.startswith(begins) for line in said.splitlines()) == 1, said


@pytest.mark.parametrize("victim", [0, 1])
def test_parallel_run_ends_when_a_process_is_killed(start, project, victim):
    run = start("world", "--model.class_path=mine.Toy", "--trainer.max_epochs=1000000")
    pids = [int(_when_there(project / f"pid-{each}", run)) for each in (0, 1)]
    os.kill(pids[victim], signal.SIGKILL)
    killed = time.monotonic()
    assert run.wait(60) != 0
    while any(map(alive, pids)) and time.monotonic() - killed < 60:
        time.sleep(0.2)
    assert not any(map(alive, pids))
    run.communicate()
    assert not list(project.glob("runs/*/*/done.json"))


def test_parallel_run_goes_on_in_as_many_processes(start, project):
    """Process 1 dies in the third of four epochs of two batches; the same command ends as an unbroken run does."""
    every = "--trainer.callbacks=[{class_path: ialp.experiment.resume.ResumeCheckpoint, init_args: {every_n_steps: 1}}]"
    settings = ("--model.class_path=mine.Mortal", "--data.init_args.rows=8", "--trainer.max_epochs=4", every)
    mortal = start("world", *settings, "--model.init_args.fail=die")
    mortal.communicate(timeout=200)
    assert mortal.returncode != 0 and (project / "died").exists()
    goes_on, whole = (start("world", *settings, f"--model.init_args.fail={fail}") for fail in ("die", "no"))
    weights = []
    for run in (goes_on, whole):
        said, complained = run.communicate(timeout=200)
        assert run.returncode == 0, complained
        folder = project / said.splitlines()[-1].removeprefix("finished: ")
        weights.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
        assert json.loads((folder / "done.json").read_text())["resumed"] == (run is goes_on)
    assert all(torch.equal(value, weights[1][name]) for name, value in weights[0].items())


def _when_there(path: Path, run: subprocess.Popen) -> str:
    while not (path.exists() and path.read_text()):
        assert run.poll() is None, run.communicate()
        time.sleep(0.1)
    return path.read_text()
