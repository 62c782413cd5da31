"""Killed at any moment, by SIGKILL, and called again: the run ends as if nobody had killed it."""

import csv
import hashlib
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.small import REPOSITORY, STAGES, write_configs

KILLED = -signal.SIGKILL
REPORT = ["report", "runs", "--out", "report"]
ORDER = ["lfm_oracle", "lfm_pretrain", "lfm_reward", "lfm_policyset"]  # each after what it builds on


class Project:
    """A folder with the small configs, and a process that runs `ialp` in it."""

    def __init__(self, folder: Path, **changes: dict[str, Any]) -> None:
        write_configs(folder / "configs", **changes)
        self.folder = folder
        environment = {key: value for key, value in os.environ.items() if key != "IALP_DATA"}
        environment |= {"PYTHONPATH": str(REPOSITORY), "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.helpers.zygote"],
            cwd=folder, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def run(self, *arguments: str, how: str | None = None, at: float = 0.0) -> int:
        """The exit code of `ialp …`, killed as `how` says."""
        assert self.process.stdin is not None and self.process.stdout is not None
        kill = {"how": how, "at": at} if how else None
        self.process.stdin.write(json.dumps({"arguments": arguments, "kill": kill}) + "\n")
        self.process.stdin.flush()
        return int(json.loads(self.process.stdout.readline()))

    def fit(self, stage: str, **kill: Any) -> int:
        return self.run("fit", "--config", f"configs/{stage}.yaml", **kill)

    def done(self, stage: str) -> dict[str, Any]:
        """done.json of the stage's only run; what a kill before the first checkpoint left is set aside by name."""
        folders = [path for path in (self.folder / "runs" / stage).iterdir() if path.is_dir()]
        [folder] = [path for path in folders if ".unfinished-" not in path.name]
        assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
        return {"folder": folder, **json.loads((folder / "done.json").read_text())}

    def said(self) -> str:
        return (self.folder / "log.txt").read_text()

    def close(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait(10)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """All stages, run without a break."""
    project = Project(tmp_path_factory.mktemp("whole"))
    for stage in ORDER:
        assert project.fit(stage) == 0, project.said()[-3000:]
    yield project
    project.close()


@pytest.fixture
def broken(tmp_path: Path) -> Iterator[Project]:
    """The same stages, of which some will be killed."""
    project = Project(tmp_path)
    yield project
    project.close()


def figures(done: dict[str, Any]) -> dict[str, Any]:
    """Metrics and results but for what is time, and how many answers came from the cache."""
    timeless = {name: value for name, value in done["metrics"].items() if "seconds" not in name}
    results = {name: value for name, value in done["results"].items() if "seconds" not in name}
    if "judgements" in results:
        asked = results["judgements"]
        results["judgements"] = [asked["asked"] + asked["cache_hits"], asked["model"]]
    return {"metrics": timeless, "results": results}


def curves(folder: Path, name: str) -> list[dict[str, str]]:
    """The rows of a CSV, without columns of time."""
    if not (folder / name).is_file():
        return []
    with (folder / name).open(newline="") as file:
        return [{key: value for key, value in row.items() if "seconds" not in key} for row in csv.DictReader(file)]


def weights(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of weights that the run leaves to others."""
    found = sorted(folder.rglob("*.safetensors"))
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


def assert_equal(stage: str, whole: Project, broken: Project) -> None:
    first, second = whole.done(stage), broken.done(stage)
    assert figures(first) == figures(second)
    for name in ("metrics.csv", "evaluation.csv"):
        assert curves(first["folder"], name) == curves(second["folder"], name)
    assert weights(first["folder"]) == weights(second["folder"])


def test_kill_within_a_rollout_and_a_checkpoint(whole: Project, broken: Project) -> None:
    """The short form of the test below."""
    for stage in ("lfm_oracle", "lfm_reward"):
        shutil.copytree(whole.folder / "runs" / stage, broken.folder / "runs" / stage)
    for stage in ("lfm_pretrain", "lfm_policyset"):
        assert broken.fit(stage, how="rollout", at=12) == KILLED
        assert broken.fit(stage, how="checkpoint", at=2) == KILLED
        assert broken.fit(stage) == 0
        assert broken.done(stage)["resumed"] == 2
        assert_equal(stage, whole, broken)


@pytest.mark.slow
def test_kill_twenty_times_over_all_stages(whole: Project, broken: Project) -> None:
    """At least three at random moments in each stage, one of each special kind, and the report killed, too."""
    chance, special = random.Random(0), {"lfm_pretrain": ("rollout", 17), "lfm_policyset": ("checkpoint", 3)}
    killed = 0
    for stage in ORDER:
        if stage in special:
            how, at = special[stage]
            assert broken.fit(stage, how=how, at=at) == KILLED
            killed += 1
        for _ in range(3):
            moment = chance.uniform(0.0, 0.25) * float(whole.done(stage)["seconds"])
            killed += kill_within(broken, stage, moment)
        assert broken.fit(stage, how="after training") == KILLED
        killed += 1
        assert broken.fit(stage) == 0
        assert_equal(stage, whole, broken)
    seconds = [timed(whole), timed(whole)][-1]
    for _ in range(max(20 - killed, 3)):
        assert broken.run(*REPORT, how="seconds", at=chance.uniform(0.1, 0.9) * seconds) == KILLED
    assert broken.run(*REPORT) == 0
    assert tables(broken) == tables(whole)


def kill_within(project: Project, stage: str, moment: float) -> bool:
    """Kill so many seconds after the training began; a run that was through by then is made anew, and killed sooner."""
    folder = project.folder / "runs" / stage
    while project.fit(stage, how="seconds of training", at=moment) != KILLED or any(folder.glob("*/done.json")):
        for done in folder.glob("*/done.json"):
            shutil.rmtree(done.parent)
        moment /= 2
    return True


def timed(project: Project) -> float:
    """Seconds that the report takes."""
    start = time.monotonic()
    assert project.run(*REPORT) == 0
    return time.monotonic() - start


def tables(project: Project) -> dict[str, str]:
    """What the report says, by file, but for wall times; its folder has no other files than whole ones."""
    folder = project.folder / "report"
    assert not [path for path in folder.rglob("*") if path.name.startswith(".")]
    kinds = {".md", ".csv", ".tex"}
    found = [path for path in folder.rglob("*") if path.suffix in kinds and path.stem not in ("cost", "provenance")]
    return {str(path.relative_to(folder)): path.read_text() for path in found}


assert set(ORDER) == set(STAGES)
