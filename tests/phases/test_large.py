"""A run that learns from a sample of the items and acts by blocks."""

import pytest
import torch

from ialp.data import BuiltinLog
from ialp.datamodules import OnPolicyDataModule, OracleDataModule, ReplayDataModule
from ialp.envs import World
from ialp.errors import UserError
from ialp.nets.response import SequentialResponse
from ialp.phases import IALPPretrain, OnlineAdapt
from ialp.rl import A2C, DQN, Categorical, EpsilonGreedy, FullSoftmax, Greedy, Reinforce, SampledSoftmax
from ialp.rl.schemes import FineTune, PolicySet, Scratch, load_policy

from .conftest import NET, adapt, fit

A_STEP = [
    (Scratch, A2C, Categorical, "replay"),
    (FineTune, lambda: DQN(target_every=1), EpsilonGreedy, "replay"),
    (PolicySet, lambda: A2C(bootstrap="policy"), lambda: Categorical(0.5), "replay"),
    (PolicySet, lambda: A2C(bootstrap="policy", trace=0.9), Greedy, "episodes"),
    (PolicySet, Reinforce, Categorical, "episodes"),
]


@pytest.mark.parametrize(("scheme", "algorithm", "exploration", "rollout"), A_STEP)
def test_it_trains_a_step_and_is_read_back(
    scheme, algorithm, exploration, rollout, source, reward_run, pretrained, tmp_path
):
    parts = scheme(), algorithm(), exploration()
    module = OnlineAdapt(*parts, pretrained=str(pretrained), **NET, support=SampledSoftmax(16))
    world = source, str(reward_run)
    data = (
        ReplayDataModule(*world, users=4, steps_per_epoch=2, batch_size=8, test_users=4)
        if rollout == "replay"
        else OnPolicyDataModule(*world, users=4, rollouts_per_epoch=1, minibatches=1, test_users=4)
    )
    fit(module, data, tmp_path, epochs=1)
    learner = module.scheme.learner
    assert all(torch.isfinite(each).all() for each in learner.parameters())
    items, length = torch.tensor([[3, 5]]), torch.tensor([2])
    kept = load_policy(tmp_path)
    assert isinstance(kept.support, SampledSoftmax)
    assert torch.equal(kept.support.best(kept, items, length), module.scheme.probabilities(items, length).argmax(1))


def test_a_sample_of_all_items_makes_the_run_of_all_items(source, reward_run, tmp_path):
    exact = adapt(source, reward_run, tmp_path / "exact", Scratch(), None)
    assert isinstance(exact.scheme.support, FullSoftmax)
    sampled = adapt(source, reward_run, tmp_path / "sampled", Scratch(), None, support=SampledSoftmax(1000))
    assert [row["return"] for row in sampled.rows] == pytest.approx([row["return"] for row in exact.rows], abs=1e-3)
    items, length = torch.tensor([[3, 5]]), torch.tensor([2])  # weights without a gradient drift under Adam
    acted = [run.scheme.probabilities(items, length) for run in (exact, sampled)]
    assert torch.allclose(*acted, atol=1e-5) and float(acted[0].max()) > 1e-3


def test_what_cannot_act_by_blocks_is_refused_before_anything_is_built():
    class Own(Categorical):
        def select(self, probabilities, mask, uniforms):
            return probabilities.argmax(1)

    with pytest.raises(UserError, match="Own selects from"):
        OnlineAdapt(Scratch(), exploration=Own(), support=SampledSoftmax()).check_composition(None)


def test_pre_training_learns_from_a_sample_too(source, tmp_path):
    module = IALPPretrain(**NET, support=SampledSoftmax(16))
    judge, cache = {"class_path": "ialp.oracle.LexicalOracle"}, str(tmp_path / "cache.sqlite")
    data = OracleDataModule(source, judge, users=4, steps_per_epoch=2, batch_size=8, horizon=3, cache=cache)
    fit(module, data, tmp_path, epochs=1)
    assert module.scheme.support.update == 1
    assert all(torch.isfinite(each).all() for each in module.scheme.parameters())


@pytest.mark.slow
def test_a_sample_of_a_tenth_of_the_items_learns_nearly_as_much(tmp_path):
    source = BuiltinLog(num_tracks=600, num_sessions=300)
    catalogue = source.load().catalogue
    torch.manual_seed(0)
    net = SequentialResponse(catalogue.num_items, dim=8, layers=1)
    torch.nn.init.normal_(net.bias, mean=-1.0, std=1.0)
    World(net).save(tmp_path / "world", catalogue.fingerprint)
    gains = {}
    for name, support in (("exact", None), ("sampled", SampledSoftmax(60))):
        module = OnlineAdapt(Scratch(), A2C(bootstrap="policy"), **NET, lr=3e-3, lr_actor=1e-2, support=support)
        data = ReplayDataModule(source, str(tmp_path), users=25, steps_per_epoch=40, batch_size=128, test_users=50)
        fit(module, data, tmp_path / name, epochs=8)
        gains[name] = module.rows[-1]["sampled_return"] - module.rows[0]["sampled_return"]
    assert gains["sampled"] > 0.6 * gains["exact"] > 0
