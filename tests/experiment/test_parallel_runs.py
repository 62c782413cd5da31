"""Runs in two processes, by Lightning's launcher and by torchrun, on CPUs."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.experiment.test_processes import alive

pytestmark = pytest.mark.slow

DDP = ["--trainer.accelerator=cpu", "--trainer.devices=2", "--trainer.strategy=ddp"]
LAUNCHERS = {
    "lightning": [sys.executable, "-m", "ialp"],
    "torchrun": [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2", "-m", "ialp"],
}
TOY = """
import os
from pathlib import Path
from tests.experiment.toy import Toy as Plain

class Toy(Plain):
    def on_train_batch_end(self, *_):
        Path(f"pid-{self.trainer.global_rank}").write_text(str(os.getpid()))
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


def test_one_process_builds_and_speaks_for_both(start, project):
    run = start("judge")
    said, complained = run.communicate(timeout=200)
    assert run.returncode == 0, complained
    done = {path.parent.parent.name: json.loads(path.read_text()) for path in project.glob("runs/*/*/done.json")}
    assert {name: each["processes"] for name, each in done.items()} == {"world": 1, "judge": 2}
    for begins in ("data:", "stage 1 of 2", "stage 2 of 2", "finished:"):
        assert sum(line.startswith(begins) for line in said.splitlines()) == 1, said


@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_run(start, project, victim):
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


def _when_there(path: Path, run: subprocess.Popen) -> str:
    while not (path.exists() and path.read_text()):
        assert run.poll() is None, run.communicate()
        time.sleep(0.1)
    return path.read_text()
