"""Runs that learn from a sample of the items and act by blocks."""

import pytest
import torch

from ialp.data import BuiltinLog
from ialp.datamodules import OnPolicyDataModule
from ialp.nets import NetConfig
from ialp.phases import IALPPretrain, OnlineAdapt, OnlineEpisodes
from ialp.rl import A2C, DQN, Categorical, EpsilonGreedy, Greedy, Reinforce
from ialp.rl.large import BlockwiseFineTune, BlockwisePolicySet, BlockwiseScratch, SampledSoftmax
from ialp.rl.large.blockwise import Blockwise
from ialp.rl.schemes import FineTune, Scratch, load_policy
from ialp.types import History
from tests.helpers.compositions import trains_a_step
from tests.helpers.resuming import whole_and_broken
from tests.helpers.training import train

from .conftest import NET, adapt, questions, users, write_world

HISTORY = History(torch.tensor([[3, 5]]), torch.tensor([2]))
A_STEP = [
    (BlockwiseScratch, A2C, Categorical, "replay"),
    (BlockwiseFineTune, lambda: DQN(target_every=1), EpsilonGreedy, "replay"),
    (BlockwisePolicySet, A2C, lambda: Categorical(0.5), "replay"),
    (BlockwisePolicySet, lambda: A2C(trace=0.9), Greedy, "episodes"),
    (BlockwisePolicySet, Reinforce, Categorical, "episodes"),
]


@pytest.mark.parametrize(("scheme", "algorithm", "exploration", "rollout"), A_STEP)
def test_large_trains_a_step_and_is_read_back(
    scheme, algorithm, exploration, rollout, source, reward_run, pretrained, tmp_path
):
    parts = scheme(), SampledSoftmax(algorithm(), 16), exploration()
    phase, data = OnlineAdapt, users(source, reward_run, users=4, steps_per_epoch=2, batch_size=8, test_users=4)
    if rollout == "episodes":
        phase = OnlineEpisodes
        data = OnPolicyDataModule(source, str(reward_run), users=4, rollouts_per_epoch=1, test_users=4)
    module = phase(*parts, pretrained=str(pretrained), net=NET)
    trains_a_step(module, data, tmp_path)
    kept = load_policy(tmp_path)
    assert isinstance(kept, Blockwise)
    assert torch.equal(kept.best(HISTORY), module.scheme.probabilities(HISTORY).argmax(1))


def test_sampled_softmax_of_all_items_makes_the_run_of_all_items(source, reward_run, tmp_path):
    exact = adapt(source, reward_run, tmp_path / "exact", Scratch(), None)
    sampled = adapt(source, reward_run, tmp_path / "sampled", Scratch(), None, algorithm=SampledSoftmax(items=1000))
    returns = [[row["return"] for row in run.evaluation.rows] for run in (exact, sampled)]
    assert returns[1] == pytest.approx(returns[0], abs=1e-3)
    acted = [run.scheme.probabilities(HISTORY) for run in (exact, sampled)]
    assert torch.allclose(*acted, atol=1e-5) and float(acted[0].max()) > 1e-3


def test_sampled_softmax_pretrains_items_of_its_sample_alone(source, tmp_path):
    """With one update a weight moves exactly if its item was drawn; weight decay and moments are off."""
    drawn = []

    class Kept(SampledSoftmax):
        def sample(self, batch, num_items):
            ids, weight = super().sample(batch, num_items)
            drawn.append(ids)
            return ids, weight

    module = IALPPretrain(Kept(A2C(), 8), net=NetConfig(dim=16, layers=1), item_init="random")
    before = {}
    module.on_train_start = lambda: before.update(bias=module.scheme.learner.actor.bias.detach().clone())
    module.record_run = lambda: None  # a class of a test's own is no part of a run
    data = questions(source, tmp_path / "cache.sqlite", users=2, steps_per_epoch=1, batch_size=2, horizon=3)
    train(module, data, tmp_path, epochs=1)
    moved = (module.scheme.learner.actor.bias.detach() != before["bias"]).nonzero().squeeze(1)
    [ids] = drawn
    assert 8 <= len(ids) < 60 and len(moved) and torch.isin(moved, ids).all()


@pytest.mark.parametrize("at", [7, 8])
def test_sampled_softmax_resumes_to_the_same_weights(at, source, reward_run, pretrained, tmp_path):
    def make(folder):
        parts = FineTune(), SampledSoftmax(A2C(), 20), Categorical()
        sizes = {"steps_per_epoch": 4, "updates_per_step": 2, "batch_size": 8, "replay_capacity": 40, "test_users": 4}
        return OnlineAdapt(*parts, str(pretrained), net=NET), users(source, reward_run, **sizes)

    whole_and_broken(make, tmp_path, at, epochs=2)


@pytest.mark.slow
def test_sampled_softmax_of_a_tenth_of_the_items_learns_nearly_as_much(tmp_path):
    source = BuiltinLog(num_tracks=600, num_sessions=300)
    world = write_world(source, tmp_path)
    gains = {}
    for name, algorithm in (("exact", A2C()), ("sampled", SampledSoftmax(A2C(), 60))):
        module = OnlineAdapt(Scratch(), algorithm, net=NET, lr=3e-3, lr_actor=1e-2)
        data = users(source, world, users=25, steps_per_epoch=40, batch_size=128, replay_capacity=10_000, test_users=50)
        train(module, data, tmp_path / name, epochs=8)
        rows = module.evaluation.rows
        gains[name] = rows[-1]["sampled_return"] - rows[0]["sampled_return"]
    assert gains["sampled"] > 0.6 * gains["exact"] > 0
