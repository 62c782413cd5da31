"""The worlds of the published data sets: calibrated, learnt well enough, and such that methods can be told apart."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from ialp.cli.main import main
from ialp.envs import World
from ialp.envs.episodes import run_episodes
from ialp.envs.references import figures, uniformly_random
from ialp.runs.data import RunData
from ialp.runs.open import data_module

CONFIGS = Path(__file__).parents[1] / "configs"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1200),  # a reward model is trained: a minute on an idle machine
    pytest.mark.skipif("IALP_DATA" not in os.environ, reason="IALP_DATA names no folder with the published data sets"),
]


def built(name: str, folder: Path) -> RunData:
    """The reward run of a data set, trained into `folder` as it comes."""
    assert main(["fit", "--config", str(CONFIGS / f"{name}_reward.yaml"), "--runs_dir", str(folder)]) == 0
    [done] = folder.glob(f"{name}_reward/0-*/done.json")
    return RunData(done.parent)


def random_policy(run: RunData, episodes: int) -> dict[str, float]:
    """Figures of the uniformly random policy in the test world, with other chance than the calibration's."""
    module = data_module(run, None)
    module.setup()
    env = World.load(run.folder, module.log.catalogue.fingerprint).env(
        module.log.test.first_items(), episodes, evaluation=True
    )
    return figures(run_episodes(uniformly_random(env.num_items, seed=1), env))


@pytest.mark.parametrize(("name", "auc"), [("lfm", 0.75), ("industry", 0.64)])
def test_users_who_click(name: str, auc: float, tmp_path: Path) -> None:
    run = built(name, tmp_path)
    assert run.results["val_auc"] >= auc  # true next items of test sequences against uniformly drawn ones
    references: dict[str, Any] = json.loads((run.folder / "references.json").read_text())
    assert references["popularity"]["return"] < 0.45 * references["greedy"]["return"]
    played = random_policy(run, 1000)
    for measured in (references["random"], played):
        assert 0.3 <= measured["average_reward"] <= 0.5 and 5.0 <= measured["length"] <= 5.5


def test_users_who_rate(tmp_path: Path) -> None:
    run = built("coat", tmp_path)
    played = random_policy(run, 1160)  # 20 episodes of every test user
    assert 28 <= played["return"] <= 34 and 12 <= played["length"] <= 14
    errors = run.results["random_ratings"]
    for naive in ("global mean", "user and item bias"):
        assert errors["net"]["rmse"] < errors[naive]["rmse"] and errors["net"]["mae"] < errors[naive]["mae"]
