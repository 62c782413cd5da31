"""Stages whose processes take no time, for tests of what a grid does with them."""

import json
import sys
from pathlib import Path

import pytest

from ialp.experiment import grid
from ialp.experiment.stages import Stage

CHILD = """
import json, os, pathlib, signal, sys, time
folder, fingerprint, name, how = sys.argv[1:]
with open("events", "a") as events:
    events.write(f"+{name}\\n")
print(f"log of {name}", os.environ["OMP_NUM_THREADS"], flush=True)
if how == "fail":
    sys.exit("ialp: error: mend me")
if how == "lose":
    sys.exit(0)
if how == "stubborn":
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
if how in ("wait", "stubborn"):
    pathlib.Path(f"waiting-{name}").touch()
    time.sleep(60)
time.sleep(0.05)
pathlib.Path(folder).mkdir(parents=True)
done = {"fingerprint": fingerprint, "stage": name, "seed": 0, "seconds": 1.0}
pathlib.Path(folder, "done.json").write_text(json.dumps(done))
with open("events", "a") as events:
    events.write(f"-{name}\\n")
"""


def stage(name: str, *upstream: Stage, how: str = "") -> Stage:
    """A run called `name`; `how` is what its process does instead of finishing."""
    inputs = {each.name: each for each in upstream}
    folder = Path("runs", name, "0-aaaaaaaa")
    return Stage(name, folder, f"f-{name}", 0, [how], {"missing": "build", "runs_dir": "runs"}, inputs)


def finish(stage: Stage) -> None:
    """As if it had been run."""
    stage.folder.mkdir(parents=True)
    done = {"fingerprint": stage.fingerprint, "stage": stage.name, "seed": stage.seed}
    (stage.folder / "done.json").write_text(json.dumps(done))


def fake_children(monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes of a grid only write done.json, or do what a stage's `how` says, and note that in the file `events`."""

    def command(stage: Stage) -> list[str]:
        how = next((word for word in ("fail", "lose", "stubborn", "wait") if word in " ".join(stage.arguments)), "")
        return [sys.executable, "-S", "-c", CHILD, str(stage.folder), stage.fingerprint, stage.name, how]

    monkeypatch.setattr(grid, "command", command)


def events() -> list[str]:
    """+name for each process that began, -name for each that finished."""
    path = Path("events")
    return path.read_text().split() if path.exists() else []
