"""The phases without the command line: fitted, read back, evaluated, recommended from and exported."""

from pathlib import Path

import pytest
import torch
from lightning import Trainer, seed_everything

from ialp.cli.main import main
from ialp.data import BuiltinLog
from ialp.datamodules import OracleDataModule, ReplayDataModule, SessionDataModule
from ialp.oracle import LexicalOracle, OracleConfig
from ialp.phases import IALPPretrain, OnlineAdapt, RewardModel
from ialp.rl.schemes import PolicySet, load_policy
from ialp.types import History


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A reward, a pretrain and an online run, made as the README makes them."""
    folder = tmp_path_factory.mktemp("python")
    seed_everything(0, verbose=False)
    log = BuiltinLog(num_tracks=60, num_sessions=80)
    quiet = {"max_epochs": 1, "logger": False, "accelerator": "cpu", "enable_progress_bar": False}
    quiet |= {"enable_model_summary": False, "num_sanity_val_steps": 0}
    reward, pretrain, online = (str(folder / name) for name in ("reward", "pretrain", "online"))
    oracle = OracleConfig(LexicalOracle(), cache=str(folder / "judgements.sqlite"))
    small = {"users": 4, "steps_per_epoch": 3, "batch_size": 8}
    Trainer(default_root_dir=reward, **quiet).fit(RewardModel(), SessionDataModule(log))
    Trainer(default_root_dir=pretrain, **quiet).fit(IALPPretrain(), OracleDataModule(log, oracle, **small))
    users = ReplayDataModule(log, reward, test_users=8, **small)
    Trainer(default_root_dir=online, **quiet).fit(OnlineAdapt(PolicySet(), pretrained=pretrain), users)
    return folder


@pytest.mark.parametrize(
    ("name", "phase"), [("reward", RewardModel), ("pretrain", IALPPretrain), ("online", OnlineAdapt)]
)
def test_load_from_checkpoint_restores_the_weights(runs: Path, name: str, phase: type) -> None:
    [path] = (runs / name / "checkpoints").glob("*.ckpt")
    module = phase.load_from_checkpoint(path)
    saved = torch.load(path, weights_only=True)["state_dict"]
    assert saved and all(torch.equal(value, saved[name]) for name, value in module.state_dict().items())


def test_load_from_checkpoint_restores_the_acting_policy(runs: Path) -> None:
    [path] = (runs / "online" / "checkpoints").glob("*.ckpt")
    history = History(torch.tensor([[3, 5]]), torch.tensor([2]))
    module, policy = OnlineAdapt.load_from_checkpoint(path), load_policy(runs / "online")
    assert torch.allclose(module.scheme.probabilities(history), policy.probabilities(history), atol=1e-6)


def test_commands_read_a_run_made_in_python(runs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    online = str(runs / "online")
    assert main(["evaluate", online, "--users", "8"]) == 0
    assert "8 test episodes" in capsys.readouterr().out
    assert main(["recommend", "--ckpt", online, "--history", "t3"]) == 0
    assert "probability" in capsys.readouterr().out
    assert main(["export", "--ckpt", online, "--format", "torch_export"]) == 0
    assert (runs / "online" / "export" / "policy.pt2").is_file()
