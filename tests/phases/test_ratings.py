"""A reward model of ratings, from its data to its world."""

import json

import pytest
import torch
from lightning import Trainer, seed_everything

from ialp.data import BuiltinLog
from ialp.data.readers import CoatLog
from ialp.datamodules import RatingsDataModule, SessionDataModule
from ialp.envs import SimilarityExit, World
from ialp.errors import UserError
from ialp.nets import DeepFM
from ialp.nets.response import SequentialResponse
from ialp.phases import RewardModel
from ialp.phases.objectives import Ratings
from tests.helpers.coat_files import write_coat


def train(model: RewardModel, data, folder, epochs: int = 1) -> None:
    seed_everything(0, verbose=False)
    Trainer(
        max_epochs=epochs,
        accelerator="cpu",
        default_root_dir=folder,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    ).fit(model, data)


@pytest.fixture(scope="module")
def source(tmp_path_factory) -> CoatLog:
    return CoatLog(str(write_coat(tmp_path_factory.mktemp("data"), users=120, items=60)))


@pytest.fixture(scope="module")
def fitted(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("reward")
    objective = Ratings(target_length=9.0)
    model = RewardModel(DeepFM, objective, lr=1e-2, horizon=30, reward_scale=1.0, test_users=24)
    train(model, RatingsDataModule(source, batch_size=64), folder, epochs=15)
    return folder, model


def test_ratings_beat_the_naive_predictors_where_features_explain_taste(fitted):
    errors = fitted[1].results()["random_ratings"]
    assert errors["net"]["rmse"] < 0.8 * errors["user and item bias"]["rmse"] <= 0.8 * errors["global mean"]["rmse"]
    assert errors["net"]["mae"] < errors["user and item bias"]["mae"]


def test_ratings_world_pays_ratings_and_is_calibrated(fitted, source):
    folder, model = fitted
    log = source.load()
    calibration = model.results()["calibration"]
    assert abs(calibration["length"] - 9.0) < 0.7
    world = World.load(folder, log.catalogue.fingerprint)
    [rule] = world.exit_rules
    assert isinstance(rule, SimilarityExit) and rule.threshold == calibration["threshold"] and rule.window == 7
    env = world.env(log.test.first_items(), 24, evaluation=True)
    action = torch.full((24,), 5)
    user = env.items[:, 0] - 61
    assert torch.allclose(env.step(action).reward, model.net.table()[user, 5], atol=1e-6)
    assert env.items.shape == (24, 32)


def test_ratings_references_are_written(fitted):
    references = json.loads((fitted[0] / "references.json").read_text())
    assert references["greedy"]["return"] > references["random"]["return"] > 10


def test_ratings_log_without_ratings_is_refused(tmp_path):
    with pytest.raises(UserError, match="this log has no ratings; RatingsDataModule takes one such as"):
        RatingsDataModule(BuiltinLog(num_tracks=60, num_sessions=80)).setup()
    with pytest.raises(UserError, match="this log has no ratings; objective Ratings takes one such as"):
        train(RewardModel(DeepFM, Ratings()), SessionDataModule(BuiltinLog(num_tracks=60, num_sessions=80)), tmp_path)


def test_ratings_net_without_ratings_is_refused(source, tmp_path):
    with pytest.raises(UserError, match=r"model\.net must be a RatingNet"):
        train(RewardModel(SequentialResponse, Ratings()), RatingsDataModule(source), tmp_path)
