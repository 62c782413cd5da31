"""What is logged to Weights & Biases, without a network."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from lightning.pytorch.loggers import WandbLogger

from ialp.cli.main import main
from ialp.experiment.stages import Stage
from ialp.experiment.wandb_runs import begin
from tests.helpers.small import composed

pytest.importorskip("wandb", reason="the wandb extra is not installed")
CONFIGS = Path(__file__).parents[2] / "configs"


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], list[Path]]]:
    """The folders of the runs that were logged."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("IALP_DATA", raising=False)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    yield lambda: sorted(Path("runs/wandb").glob("offline-run-*"))


def test_a_resumed_run_keeps_its_id(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_RUN_ID", raising=False)

    class Logger(WandbLogger):
        @property
        def experiment(self) -> Any:
            config = SimpleNamespace(update=lambda *_, **__: None)
            return SimpleNamespace(id=os.environ.get("WANDB_RUN_ID", "drawn"), config=config)

    for resumed, known, expected in ((False, "old", "drawn"), (True, "old", "old"), (True, None, "drawn")):
        stage = Stage("world", tmp_path / str(expected), "a")
        stage.folder.mkdir(exist_ok=True)
        file = stage.folder / "wandb_id.txt"
        file.write_text(f"{known}\n") if known else file.unlink(missing_ok=True)
        begin([Logger()], stage, resumed)
        assert file.read_text() == f"{expected}\n" and "WANDB_RUN_ID" not in os.environ


@pytest.mark.slow
def test_an_online_run_logs_its_curves_and_the_table_of_its_end(offline: Callable[[], list[Path]]) -> None:
    small = ["--data.init_args.users=4", "--data.init_args.steps_per_epoch=9", "--data.init_args.test_users=8"]
    small += ["--trainer.max_epochs=2", "--trainer.log_every_n_steps=1", "--model.init_args.net.dim=8"]
    configs = ["--config", str(CONFIGS / "lfm_scratch_a2c.yaml"), "--config", str(CONFIGS / "loggers" / "wandb.yaml")]
    below = Path("reward.yaml")
    reward = composed(CONFIGS / "lfm_reward.yaml")
    reward["trainer"] = {**reward["trainer"], "max_epochs": 1, "max_steps": 2, "callbacks": None}
    below.write_text(yaml.safe_dump(reward))
    assert main(["fit", *configs, *small, "--upstream.reward_model", str(below)]) == 0
    (run,) = offline()
    (table,) = run.glob("files/media/table/final_*.table.json")
    content = json.loads(table.read_text())
    assert content["columns"] == ["policy", "at", "environment_steps", "return", "length", "average_reward"]
    at = [row[:3] for row in content["data"]]
    assert at[:3] == [["A2C", "e = 0", 0], ["A2C", "e = 1", 36], ["A2C", "end (e = 2)", 72]]
    assert [row[0] for row in content["data"][3:]] == ["random", "popularity", "most similar", "greedy"]
    (folder,) = Path("runs/lfm_scratch_a2c").glob("0-*")
    last = (folder / "evaluation.csv").read_text().splitlines()[-1]
    assert str(content["data"][2][3]) in last
    logged = next(run.glob("*.wandb")).read_bytes()  # neither compressed nor encrypted
    for name in (b"train/return", b"train/length", b"val/return", b"val/length", b"lfm_scratch_a2c"):
        assert name in logged
    assert b"train/*" in logged and b"val/*" in logged  # the curves run along environment steps
