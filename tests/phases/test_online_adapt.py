import polars
import pytest
import torch
from lightning import Trainer

from ialp.datamodules import ReplayDataModule
from ialp.errors import UserError
from ialp.experiment.metrics_file import MetricsFile
from ialp.phases import OnlineAdapt
from ialp.rl import Categorical, ConstantAlpha, EpsilonGreedy, LinearAlpha
from ialp.rl.schemes import FineTune, Frozen, PolicySet, Scratch, load_policy

from .conftest import NET, adapt

FIGURES = ["return", "length", "average_reward", "sampled_return", "sampled_length", "sampled_average_reward"]


def evaluation(folder) -> polars.DataFrame:
    return polars.read_csv(folder / "evaluation.csv")


@pytest.mark.parametrize("scheme", [Scratch, FineTune, lambda: PolicySet(LinearAlpha(0.2, 60))])
def test_every_epoch_is_measured_from_zero_on(scheme, source, reward_run, pretrained, tmp_path):
    module = adapt(source, reward_run, tmp_path, scheme(), pretrained)
    rows = evaluation(tmp_path).filter(polars.col("policy") == "adapted")
    assert rows["epoch"].to_list() == [0, 1, 2]
    assert rows["environment_steps"].to_list() == [0, 48, 96]
    figures = module.results()["evaluation"]["adapted"]
    assert set(figures) == {"0", "1", "2", "end"}
    assert figures["end"] == figures["2"]
    assert figures["0"]["average_reward"] == pytest.approx(figures["0"]["return"] / figures["0"]["length"], rel=1e-5)


def test_logged_curves_begin_before_the_first_update(source, reward_run, tmp_path):
    data = ReplayDataModule(source, str(reward_run), users=8, steps_per_epoch=6, batch_size=16, test_users=12)
    quiet = {"enable_checkpointing": False, "enable_progress_bar": False, "enable_model_summary": False}
    trainer = Trainer(default_root_dir=tmp_path, max_epochs=2, logger=MetricsFile(tmp_path), accelerator="cpu", **quiet)
    trainer.fit(OnlineAdapt(Scratch(), **NET), data)
    logged = polars.read_csv(tmp_path / "metrics.csv").drop_nulls("val/return")
    assert logged["step"].to_list()[0] == 0
    assert logged["val/return"].to_list() == pytest.approx(evaluation(tmp_path)["return"].to_list())


def test_the_same_seed_gives_the_same_metrics_twice(source, reward_run, pretrained, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        adapt(source, reward_run, tmp_path / name, PolicySet(), pretrained, seed=seed)
    assert evaluation(tmp_path / "a").equals(evaluation(tmp_path / "b"))
    assert not evaluation(tmp_path / "a").equals(evaluation(tmp_path / "c"))


def test_at_alpha_zero_the_policy_set_measures_as_the_frozen_policy_at_every_epoch(
    source, reward_run, pretrained, tmp_path
):
    adapt(source, reward_run, tmp_path, PolicySet(ConstantAlpha(0.0)), pretrained)
    rows = evaluation(tmp_path)
    frozen = rows.filter(polars.col("policy") == "frozen").select(FIGURES)
    adapted = rows.filter(polars.col("policy") == "adapted").select(FIGURES)
    assert len(adapted) == 3 and len(frozen) == 1
    assert all(row == frozen.row(0) for row in adapted.rows())


def test_fine_tuning_starts_as_the_frozen_policy_and_moves(source, reward_run, pretrained, tmp_path):
    adapt(source, reward_run, tmp_path, FineTune(), pretrained, lr=0.01)
    rows = evaluation(tmp_path).select(["policy", *FIGURES]).rows()
    by_policy = [row[1:] for row in rows if row[0] == "adapted"]
    frozen = next(row[1:] for row in rows if row[0] == "frozen")
    assert by_policy[0] == frozen
    assert by_policy[-1] != frozen


def test_frozen_is_evaluated_only(source, reward_run, pretrained, tmp_path):
    module = adapt(source, reward_run, tmp_path / "set", PolicySet(), pretrained)
    reference = module.results()["evaluation"]["frozen"]["0"]
    from lightning import seed_everything

    seed_everything(0, verbose=False)
    frozen = OnlineAdapt(Frozen(), pretrained=str(pretrained))
    assert not frozen.trains
    data = ReplayDataModule(source, str(reward_run), users=8, test_users=12)
    trainer = Trainer(default_root_dir=tmp_path / "frozen", logger=False, accelerator="cpu", enable_progress_bar=False)
    trainer.validate(frozen, data, verbose=False)
    figures = frozen.results()["evaluation"]["frozen"]
    assert {name: figures["end"][name] for name in FIGURES} == {name: reference[name] for name in FIGURES}
    items, length = torch.tensor([[3, 5]]), torch.tensor([2])
    kept, theta = load_policy(tmp_path / "frozen"), load_policy(pretrained)
    assert torch.equal(kept.probabilities(items, length), theta.probabilities(items, length))
    predictions = torch.cat(trainer.predict(frozen, data))
    assert predictions.shape == (len(source.load().test), 10)
    histories = source.load().test.padded(21)
    assert not (predictions.unsqueeze(2) == histories.unsqueeze(1)).any()


def test_users_at_once_act_as_each_would_alone(source, reward_run, pretrained, tmp_path):
    """The rollout's actions of 8 users equal those of two processes' halves: chance belongs to the user."""
    from ialp.envs import World
    from ialp.rng import uniforms

    world = World.load(reward_run)
    first = source.load().train.first_items()
    policy, explore = load_policy(pretrained), Categorical()

    def play(start: int, count: int) -> torch.Tensor:
        env = world.env(first, count, seed=5, first_user=start)
        for _ in range(12):
            chance = uniforms(9, env.user, env.episode, env.length, 2)
            mask = policy.allowed(env.items, env.length)
            feedback = env.step(explore.select(policy.probabilities(env.items, env.length), mask, chance))
            env.reset(feedback.terminated | feedback.truncated)
        return env.items

    together = play(0, 8)
    alone = torch.cat([play(user, 1) for user in range(8)])
    assert torch.equal(together, alone)


def test_what_was_stored_are_whole_episodes_without_repeats(source, reward_run, tmp_path):
    module = adapt(source, reward_run, tmp_path, Scratch(), None, exploration=EpsilonGreedy(1.0, 1.0, 0))
    kept = module.trainer.datamodule.buffer
    items = kept.columns["items"][: len(kept)]
    length = kept.columns["length"][: len(kept)]
    for row, n in zip(items.tolist(), length.tolist(), strict=True):
        shown = row[: n + 1]
        assert len(set(shown)) == n + 1 and 0 not in shown
    rewards = kept.columns["reward"][: len(kept)]
    assert float(rewards.min()) >= 0 and float(rewards.max()) <= 1  # 5·p times the reward scale of 0.2


def test_reward_scale_keeps_the_critic_through_the_hand_over(source, reward_run, pretrained, tmp_path):
    """Q of θ lies within what judge and users can pay, r / (1 - γ), and stays there in the first online steps."""
    module = adapt(source, reward_run, tmp_path, FineTune(), pretrained)
    batch = module.trainer.datamodule.buffer.sample(64)
    learner = module.scheme.learner
    q = learner.critic.gather(learner.state(batch.items, batch.length), batch.action)
    assert float(q.detach().abs().max()) < 1 / (1 - module.algorithm.gamma)


def test_a_scheme_that_needs_a_policy_says_so(source, reward_run, tmp_path):
    with pytest.raises(UserError, match="FineTune starts from a pre-trained policy"):
        adapt(source, reward_run, tmp_path, FineTune(), None)


def test_a_sharper_start_ranks_the_same_and_draws_otherwise(source, reward_run, pretrained, tmp_path):
    for name, temperature in (("as it is", 1.0), ("sharper", 0.1)):
        adapt(source, reward_run, tmp_path / name, FineTune(), pretrained, pretrained_temperature=temperature)
    plain, sharper = (evaluation(tmp_path / name).row(0, named=True) for name in ("as it is", "sharper"))
    assert plain["policy"] == sharper["policy"] == "frozen"
    assert {key: plain[key] for key in FIGURES[:3]} == {key: sharper[key] for key in FIGURES[:3]}
    assert abs(sharper["sampled_return"] - sharper["return"]) < abs(plain["sampled_return"] - plain["return"])


def test_a_temperature_is_above_zero():
    with pytest.raises(UserError, match="pretrained_temperature is 0"):
        OnlineAdapt(FineTune(), pretrained_temperature=0.0)
