import json
import math

import polars
import pytest
import torch
import yaml
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from ialp.data import BuiltinLog
from ialp.datamodules import SessionDataModule
from ialp.envs import ExitRule, World
from ialp.experiment.evaluate import evaluate
from ialp.nets.response import SequentialResponse
from ialp.phases.objectives import binary_loss
from ialp.phases.reward_model import RewardModel
from ialp.rl.schemes import Scratch

from . import conftest


def small_net(num_items: int) -> SequentialResponse:
    return SequentialResponse(num_items, dim=16, layers=1, heads=2, dropout=0.0)


def fit(folder, epochs: int) -> tuple[RewardModel, SessionDataModule, ModelCheckpoint]:
    seed_everything(0, verbose=False)
    model = RewardModel(small_net, lr=1e-2, test_users=50)
    data = SessionDataModule(BuiltinLog(num_tracks=150, num_sessions=300), batch_size=64)
    best = ModelCheckpoint(folder / "checkpoints", monitor="val_loss", mode="min")
    trainer = Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=folder,
        callbacks=[best],
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(model, data)
    return model, data, best


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    return folder, *fit(folder, epochs=6)


def test_reward_model_learns_what_follows(fitted):
    results = fitted[1].results()
    assert results["val_auc"] > 0.6 and results["val_hit_rate"] > 0.15  # chance: 0.5 and 0.1


def test_reward_model_world_is_calibrated_and_written(fitted):
    folder, model, data, _ = fitted
    calibration = model.results()["calibration"]
    assert 0.3 <= calibration["average_reward"] <= 0.5 and 5.0 <= calibration["length"] <= 5.5
    read = World.load(folder, data.log.catalogue.fingerprint).response
    assert float(read.intercept) == pytest.approx(calibration["intercept"], abs=1e-5)
    written = json.loads((folder / "references.json").read_text())
    assert written == model.results()["references"]
    assert set(written) == {"random", "popularity", "text_similarity", "greedy"}
    assert all(set(figures) == {"return", "length", "average_reward"} for figures in written.values())
    assert written["greedy"]["return"] > written["random"]["return"]
    json.dumps(model.results())


def test_reward_model_best_epoch_is_the_world(fitted):
    folder, _, _, best = fitted
    kept = torch.load(best.best_model_path, weights_only=True)["state_dict"]
    read = World.load(folder).response
    for name, weight in read.state_dict().items():
        if name != "intercept":
            assert torch.equal(weight, kept[f"net.{name}"])


class LeavesAfter(ExitRule):
    """Whatever happens."""

    def __init__(self, steps: int) -> None:
        self.steps = steps

    def start(self, num_users, device):
        return torch.zeros(num_users, dtype=torch.int64, device=device)

    def advance(self, memory, step):
        return memory + 1, memory + 1 >= self.steps


@pytest.mark.parametrize(("patience", "length"), [(3, 3), (9, 4)])
def test_reward_model_settings_apply_online_and_in_evaluate(source, tmp_path, patience, length):
    """Users leave after `patience` steps, by a rule of one's own, or are cut after 4; a click is worth 2."""
    reward, online = tmp_path / "reward", tmp_path / "online"
    model = RewardModel(small_net, exit_rules=[LeavesAfter(patience)], horizon=4, reward_scale=2.0)
    conftest.train(model, SessionDataModule(source, batch_size=64), reward, epochs=1)
    played = conftest.adapt(source, reward, online, Scratch(), None)
    for env in (played.trainer.datamodule.env, played.trainer.datamodule.test_env):
        assert env.horizon == 4 and env.reward_scale == 2.0
    assert set(polars.read_csv(online / "evaluation.csv")["length"]) == {float(length)}
    kept = played.trainer.datamodule.buffer
    assert int(kept.columns["length"][: len(kept)].max()) == length
    assert bool(kept.columns["terminated"][: len(kept)].any()) == (patience == length)

    log = {"class_path": "ialp.data.BuiltinLog", "init_args": {"num_tracks": 60, "num_sessions": 80}}
    (reward / "config.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"log": log}}}))
    (reward / "done.json").write_text(json.dumps({"upstream": {}}))
    (online / "done.json").write_text(json.dumps({"upstream": {"reward_model": str(reward)}}))
    episodes = polars.read_parquet(evaluate(str(online), users=12))
    assert set(episodes["length"]) == {length}
    assert set(episodes["terminated"]) == {patience == length}
    assert episodes["return"].mean() == pytest.approx(played.evaluation.rows[-1]["return"], rel=1e-5)


@pytest.mark.slow
def test_reward_model_same_seed_gives_the_same_world(tmp_path):
    first, second = (fit(tmp_path / name, epochs=2)[0].results() for name in ("a", "b"))
    assert first == second


def test_binary_loss_by_hand():
    logits = torch.tensor([[1.0, -2.0, 0.5], [0.0, 3.0, 7.0]])
    candidates = torch.tensor([[4, 5, 6], [4, 8, 0]])  # the last does not count
    softplus = [math.log(1 + math.exp(x)) for x in (-1.0, 0.0, -2.0, 0.5, 3.0)]
    expected = (sum(softplus[:2]) / 2 + sum(softplus[2:]) / 3) / 2
    assert float(binary_loss(logits, candidates)) == pytest.approx(expected, rel=1e-6)
