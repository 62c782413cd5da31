"""The examples of docs/extending/ whose behaviour counts: a mixture that is right everywhere, and exact resumes."""

import csv
from importlib import import_module
from pathlib import Path

import pytest
import torch

from ialp.datamodules import OnPolicyDataModule
from ialp.nets import ActorCritic
from ialp.phases import OnlineAdapt, OnlineEpisodes
from ialp.rl import Categorical
from ialp.rl.large import SampledSoftmax
from ialp.rl.policy import mixed_probabilities
from ialp.rl.schemes import Scratch
from ialp.types import History
from tests.docs.test_extending import PAGES, read
from tests.helpers.resuming import curves, whole_and_broken

from .conftest import NET, users


@pytest.fixture
def example(tmp_path, monkeypatch):
    """Gives the class of a page; its file lies in the folder, named example_<file>."""

    def load(page: str, name: str) -> type:
        [path] = [each for each in PAGES if each.stem == page]
        [(file, text)] = read(path)[0].items()
        (tmp_path / f"example_{Path(file).name}").write_text(text)
        monkeypatch.syspath_prepend(str(tmp_path))
        return getattr(import_module(f"example_{Path(file).stem}"), name)

    return load


def test_random_share_mixes_in_a_uniform_item_as_its_mixture_says(example):
    scheme = example("scheme", "RandomShare")(share=0.25)
    scheme.build(ActorCritic(6, dim=8), ActorCritic(6, dim=8))
    history = History(torch.tensor([[1, 2, 0], [3, 4, 5]]), torch.tensor([2, 3]))
    mask = scheme.mask(history)
    own = scheme.learner.logits(scheme.learner.state(history)).masked_fill(~mask, -torch.inf).softmax(1)
    expected = 0.75 * own + 0.25 * mask / mask.sum(1, keepdim=True)
    parts = [(weight, policy, policy.state(history)) for weight, policy in scheme.mixture().values()]
    torch.testing.assert_close(scheme.probabilities(history), expected)
    torch.testing.assert_close(mixed_probabilities(parts, mask), expected)


@pytest.mark.parametrize("sampled", [False, True])
def test_ppo_resumes_amid_a_rollout_and_starts_each_one_at_ratio_one(sampled, example, source, reward_run, tmp_path):
    ppo = example("algorithm", "PPO")

    def make(folder):
        algorithm = SampledSoftmax(ppo(clip=1e-4), items=10_000) if sampled else ppo(clip=1e-4)
        sizes = {"users": 6, "rollouts_per_epoch": 2, "minibatches": 2, "passes": 2, "test_users": 4}
        data = OnPolicyDataModule(source, str(reward_run), **sizes)
        return OnlineEpisodes(Scratch(), algorithm, Categorical(), net=NET), data

    whole_and_broken(make, tmp_path, at=5, epochs=2)
    clipped = [float(row["train/clipped"]) for row in curves(tmp_path / "whole") if row["train/clipped"]]
    assert len(clipped) == 16
    assert clipped[::4] == [0.0] * 4
    assert min(clipped[1::4]) > 0


def test_epsilon_by_return_falls_with_the_return_and_resumes(example, source, reward_run, tmp_path):
    by_return = example("exploration", "ByReturn")

    def make(folder):
        strategy = by_return(low=0.0, high=50.0)
        return OnlineAdapt(Scratch(), exploration=strategy, net=NET), users(source, reward_run)

    whole_and_broken(make, tmp_path, at=7)
    with (tmp_path / "whole" / "metrics.csv").open(newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["train/epsilon"]]
    expected = [0.3 - 0.25 * min(1.0, max(0.0, float(row["train/return"] or 0) / 50)) for row in rows]
    assert [float(row["train/epsilon"]) for row in rows] == pytest.approx(expected)
    assert float(rows[-1]["train/epsilon"]) < 0.3
