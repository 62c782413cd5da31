"""Every scheme × algorithm × exploration × rollout: it trains a step, or is refused with its reason."""

import itertools

import pytest
import torch
from lightning import Trainer, seed_everything

from ialp.datamodules import OnPolicyDataModule, ReplayDataModule
from ialp.errors import UserError
from ialp.phases import IALPPretrain, OnlineAdapt
from ialp.rl import A2C, DQN, Categorical, EpsilonGreedy, Greedy, Reinforce
from ialp.rl.schemes import FineTune, Frozen, LLMOnline, PolicySet, Scratch, load_policy

from .conftest import NET

JUDGE = {"class_path": "ialp.oracle.LexicalOracle"}
SCHEMES = {
    "Scratch": Scratch,
    "FineTune": FineTune,
    "PolicySet": lambda: PolicySet(learner_start="pretrained"),
    "LLMOnline": lambda: LLMOnline(JUDGE, candidates=4),
    "Frozen": Frozen,
}
ALGORITHMS = {
    "A2C": lambda: A2C(bootstrap="policy"),
    "A2C(trace)": lambda: A2C(bootstrap="policy", trace=0.9),
    "Reinforce": Reinforce,
    "Reinforce(none)": lambda: Reinforce(baseline="none"),
    "DQN": lambda: DQN(target_every=1),
}
EXPLORATIONS = {
    "Categorical": Categorical,
    "Categorical(2)": lambda: Categorical(2.0),
    "EpsilonGreedy": EpsilonGreedy,
    "Greedy": Greedy,
}
ROLLOUTS = ("replay", "episodes")
TABLE = list(itertools.product(SCHEMES, ALGORITHMS, EXPLORATIONS, ROLLOUTS))


def reason(scheme: str, algorithm: str, exploration: str, rollout: str) -> str | None:
    """A word of why it is refused, None where it composes: the table."""
    if scheme == "Frozen":  # nothing learns
        return None
    if algorithm in ("A2C(trace)", "Reinforce", "Reinforce(none)") and rollout == "replay":
        return "data.class_path"
    if algorithm.startswith("Reinforce") and scheme == "LLMOnline":
        return "a judge acts"
    if algorithm.startswith("Reinforce") and exploration != "Categorical":
        return "draws otherwise"
    if algorithm == "DQN" and scheme == "PolicySet":
        return "mixes"
    return None


COMPOSES = [combination for combination in TABLE if reason(*combination) is None]


@pytest.fixture
def compose(source, reward_run, pretrained, tmp_path):
    def run(scheme: str, algorithm: str, exploration: str, rollout: str) -> tuple[OnlineAdapt, ReplayDataModule]:
        built = SCHEMES[scheme]()
        if isinstance(built, LLMOnline):
            built.cache = str(tmp_path / "judgements.sqlite")
        parts = built, ALGORITHMS[algorithm](), EXPLORATIONS[exploration]()
        module = OnlineAdapt(*parts, pretrained=str(pretrained), **NET, evaluate_sampled="never")
        world = source, str(reward_run)
        if rollout == "replay":
            return module, ReplayDataModule(*world, users=4, steps_per_epoch=1, batch_size=8, test_users=2)
        return module, OnPolicyDataModule(*world, users=4, rollouts_per_epoch=1, minibatches=1, test_users=2)

    return run


def train(module, data, folder, epochs: int = 1, ckpt_path=None, **options) -> Trainer:
    seed_everything(0, verbose=False)
    quiet = {"enable_progress_bar": False, "enable_model_summary": False, "num_sanity_val_steps": 0}
    options = {"logger": False, "enable_checkpointing": False} | options
    trainer = Trainer(default_root_dir=folder, max_epochs=epochs, accelerator="cpu", **quiet, **options)
    if module.trains:
        trainer.fit(module, data, ckpt_path=ckpt_path)
    else:
        trainer.validate(module, data, verbose=False)
    return trainer


@pytest.mark.parametrize(("scheme", "algorithm", "exploration", "rollout"), TABLE)
def test_what_does_not_fit_is_refused_with_its_reason(compose, scheme, algorithm, exploration, rollout):
    module, data = compose(scheme, algorithm, exploration, rollout)
    expected = reason(scheme, algorithm, exploration, rollout)
    if expected is None:
        module.check_composition(data)
    else:
        with pytest.raises(UserError, match=expected) as refused:
            module.check_composition(data)
        assert "model.init_args.algorithm" in str(refused.value) and "\n" not in str(refused.value)


@pytest.mark.parametrize(("scheme", "algorithm", "exploration", "rollout"), COMPOSES)
def test_what_fits_trains_a_step(compose, scheme, algorithm, exploration, rollout, tmp_path):
    module, data = compose(scheme, algorithm, exploration, rollout)
    train(module, data, tmp_path, limit_val_batches=1 if scheme == "Frozen" else 0)
    if scheme == "Frozen":
        assert not module.environment_steps
        return
    assert module.environment_steps >= 4
    learner = module.scheme.learner
    moved = [parameter for parameter in learner.parameters() if parameter.grad is not None]
    assert moved and all(torch.isfinite(parameter).all() for parameter in learner.parameters())
    items, length = torch.tensor([[3, 5]]), torch.tensor([2])
    acted = module.scheme.probabilities(items, length)
    assert torch.allclose(load_policy(tmp_path).probabilities(items, length), acted, atol=1e-6)


def test_a_refused_composition_does_not_train(compose, tmp_path):
    with pytest.raises(UserError, match="mixes"):
        train(*compose("PolicySet", "DQN", "Greedy", "replay"), tmp_path)


@pytest.mark.parametrize(("algorithm", "why"), [(DQN(), "trains no actor"), (Reinforce(), "replay buffer")])
def test_pre_training_needs_an_actor_and_replays(algorithm, why):
    with pytest.raises(UserError, match=why):
        IALPPretrain(algorithm).check_composition()


def test_the_target_and_the_clock_survive_a_resume(compose, tmp_path):
    module, data = compose("Scratch", "DQN", "EpsilonGreedy", "replay")
    module.algorithm.target_every = 1000  # stays what it was at the start
    kept = train(module, data, tmp_path, epochs=2)
    kept.save_checkpoint(tmp_path / "last.ckpt")
    resumed, data = compose("Scratch", "DQN", "EpsilonGreedy", "replay")
    resumed.algorithm.target_every = 1000
    train(resumed, data, tmp_path, epochs=2, ckpt_path=tmp_path / "last.ckpt")
    before, after = module.algorithm.target.state_dict(), resumed.algorithm.target.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert not torch.equal(before["critic.weight"], resumed.scheme.learner.critic.weight)
    assert resumed.seconds == module.seconds > 0
    assert resumed.results()["seconds_per_step"] == pytest.approx(module.seconds / module.environment_steps)


def test_training_ends_after_so_many_environment_steps_and_is_measured_there(compose, tmp_path):
    module, data = compose("Scratch", "Reinforce", "Categorical", "episodes")
    module.max_environment_steps, module.evaluate_sampled = 60, "reported"
    train(module, data, tmp_path, epochs=50)
    last = module.rows[-1]
    assert 60 <= last["environment_steps"] == module.environment_steps < 60 + 4 * 20
    assert last["epoch"] < 50 and last["sampled_length"] >= 1
