"""Modules come back from their checkpoints: nets of the right size, own settings, weights."""

import re
from pathlib import Path

import pytest
import torch
from lightning import Trainer

from ialp.data import BuiltinLog
from ialp.datamodules import SessionDataModule
from ialp.envs import PatienceExit, World
from ialp.errors import UserError
from ialp.nets.response import SequentialResponse
from ialp.phases import RewardModel
from ialp.phases.objectives import Clicks
from tests.golden.bench import Bench
from tests.golden.runs import RUNS
from tests.phases.test_reward_model import small_net

QUIET = {"accelerator": "cpu", "logger": False, "enable_progress_bar": False, "enable_model_summary": False}


def fit(folder, **arguments):
    """The checkpoint of a fitted RewardModel, and the module itself."""
    model = RewardModel(test_users=10, **arguments)
    data = SessionDataModule(BuiltinLog(num_tracks=60, num_sessions=80), batch_size=64)
    trainer = Trainer(default_root_dir=folder, max_epochs=1, **QUIET)
    trainer.fit(model, data)
    return trainer.checkpoint_callback.best_model_path, model


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    return folder, *fit(folder, net=small_net, objective=Clicks(0.3), exit_rules=[PatienceExit(5.0)], lr=0.01)


def test_reward_model_is_fitted_without_a_command_line(fitted):
    folder, _, model = fitted
    assert World.load(folder).response.num_items == 60
    assert (folder / "references.json").is_file()
    assert model.results()["references"]


def test_load_from_checkpoint_rebuilds_settings_nets_and_weights(fitted):
    _, path, model = fitted
    loaded = RewardModel.load_from_checkpoint(path)
    assert isinstance(loaded.objective, Clicks) and loaded.objective.target_reward == 0.3
    assert loaded.world.exit_rules[0].patience == 5.0 and loaded.lr == 0.01
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert all(torch.equal(value, saved[name]) for name, value in loaded.state_dict().items())
    assert loaded.net.init_args == model.net.init_args


def test_load_from_checkpoint_takes_arguments_that_replace_the_saved_ones(fitted):
    loaded = RewardModel.load_from_checkpoint(fitted[1], lr=0.5)
    assert loaded.lr == 0.5 and loaded.test_users == 10


def test_load_from_checkpoint_asks_for_what_could_not_be_saved(tmp_path):
    path, _ = fit(tmp_path, net=lambda items: SequentialResponse(items, dim=8))
    with pytest.raises(UserError, match=r"needs net=…, for .*lambda"):
        RewardModel.load_from_checkpoint(path)
    loaded = RewardModel.load_from_checkpoint(path, net=SequentialResponse)
    assert loaded.net.encoder.item_embedding.weight.shape == (61, 8)


def test_load_from_checkpoint_refuses_other_files(fitted, tmp_path):
    broken = tmp_path / "broken.ckpt"
    broken.write_bytes(b"nothing")
    for path, reason in ((tmp_path / "none.ckpt", "no such checkpoint"), (broken, "no checkpoint that can be read")):
        with pytest.raises(UserError, match=f"{path}: {reason}"):
            RewardModel.load_from_checkpoint(path)


def test_load_from_checkpoint_refuses_a_checkpoint_of_another_class(fitted):
    class Other(RewardModel):
        pass

    with pytest.raises(UserError, match=r"a checkpoint of .*RewardModel, not of .*Other"):
        Other.load_from_checkpoint(fitted[1])


@pytest.mark.parametrize("name", ["reward_clicks", "reward_ratings"])
def test_load_from_checkpoint_reads_those_of_the_command_line(name, tmp_path):
    folder = Bench(tmp_path).run(name)
    loaded, world = RewardModel.load_from_checkpoint(folder / "checkpoints" / "last.ckpt"), World.load(folder)
    assert loaded.net.init_args == world.response.init_args
    assert loaded.objective.init_args == RUNS[name]["model"]["init_args"]["objective"]["init_args"]
    assert loaded.make_net.keywords.items() >= RUNS[name]["model"]["init_args"]["net"]["init_args"].items()


def test_docs_example_trains_a_reward_model_in_python(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    page = (Path(__file__).parents[2] / "docs" / "reward_model.md").read_text()
    [code] = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    small = code.replace("BuiltinLog()", "BuiltinLog(num_tracks=60, num_sessions=80)").replace("=15", "=1")
    found: dict = {}
    exec(compile(small, "docs/reward_model.md", "exec"), found)
    assert found["users"].num_users == 100 and (tmp_path / "runs/mine/references.json").is_file()


def test_record_run_warns_of_what_cannot_be_described(tmp_path):
    with pytest.warns(UserWarning, match=r"commands cannot read this run: .*lambda"):
        fit(tmp_path, net=lambda items: SequentialResponse(items, dim=8))
    assert World.load(tmp_path).response.num_items == 60
