import time

import polars
import pytest
import torch

from ialp.envs import World
from ialp.errors import UserError
from ialp.experiment.metrics_file import MetricsFile
from ialp.phases import Evaluation, OnlineAdapt
from ialp.rl import Categorical, ConstantAlpha, EpsilonGreedy, LinearAlpha
from ialp.rl.exploration import UNIFORMS
from ialp.rl.schemes import FineTune, Frozen, PolicySet, Scratch, load_policy
from ialp.rng import uniforms
from ialp.types import History
from tests.helpers.training import train

from .conftest import NET, adapt, users

FIGURES = ["return", "length", "average_reward", "sampled_return", "sampled_length", "sampled_average_reward"]


def evaluation(folder) -> polars.DataFrame:
    return polars.read_csv(folder / "evaluation.csv")


@pytest.mark.parametrize("scheme", [Scratch, FineTune, lambda: PolicySet(LinearAlpha(0.2, 60))])
def test_evaluation_measures_every_epoch_from_zero_on(scheme, source, reward_run, pretrained, tmp_path):
    module = adapt(source, reward_run, tmp_path, scheme(), pretrained)
    rows = evaluation(tmp_path).filter(polars.col("policy") == "adapted")
    assert rows["epoch"].to_list() == [0, 1, 2]
    assert rows["environment_steps"].to_list() == [0, 48, 96]
    figures = module.results()["evaluation"]["adapted"]
    assert set(figures) == {"0", "1", "2", "end"}
    assert figures["end"] == figures["2"]
    assert figures["0"]["average_reward"] == pytest.approx(figures["0"]["return"] / figures["0"]["length"], rel=1e-5)


def test_evaluation_logs_curves_that_begin_before_the_first_update(source, reward_run, tmp_path):
    options = {"logger": MetricsFile(tmp_path), "num_sanity_val_steps": 2}  # which measures nothing
    train(OnlineAdapt(Scratch(), net=NET), users(source, reward_run), tmp_path, **options)
    logged = polars.read_csv(tmp_path / "metrics.csv").drop_nulls("val/return")
    assert logged["step"].to_list()[0] == 0
    assert logged["val/return"].to_list() == pytest.approx(evaluation(tmp_path)["return"].to_list())


def test_online_adapt_same_seed_gives_the_same_metrics_twice(source, reward_run, pretrained, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        adapt(source, reward_run, tmp_path / name, PolicySet(), pretrained, seed=seed)
    assert evaluation(tmp_path / "a").equals(evaluation(tmp_path / "b"))
    assert not evaluation(tmp_path / "a").equals(evaluation(tmp_path / "c"))


def test_policy_set_at_zero_measures_as_the_frozen_policy_at_every_epoch(source, reward_run, pretrained, tmp_path):
    adapt(source, reward_run, tmp_path, PolicySet(ConstantAlpha(0.0)), pretrained)
    rows = evaluation(tmp_path)
    frozen = rows.filter(polars.col("policy") == "frozen").select(FIGURES)
    adapted = rows.filter(polars.col("policy") == "adapted").select(FIGURES)
    assert len(adapted) == 3 and len(frozen) == 1
    assert all(row == frozen.row(0) for row in adapted.rows())


def test_finetune_starts_as_the_frozen_policy_and_moves(source, reward_run, pretrained, tmp_path):
    adapt(source, reward_run, tmp_path, FineTune(), pretrained, lr=0.01)
    rows = evaluation(tmp_path).select(["policy", *FIGURES]).rows()
    by_policy = [row[1:] for row in rows if row[0] == "adapted"]
    frozen = next(row[1:] for row in rows if row[0] == "frozen")
    assert by_policy[0] == frozen
    assert by_policy[-1] != frozen


def test_frozen_is_only_evaluated(source, reward_run, pretrained, tmp_path):
    module = adapt(source, reward_run, tmp_path / "set", PolicySet(), pretrained)
    reference = module.results()["evaluation"]["frozen"]["0"]
    frozen, data = OnlineAdapt(Frozen(), pretrained=str(pretrained)), users(source, reward_run)
    assert not frozen.trains
    trainer = train(frozen, data, tmp_path / "frozen")
    figures = frozen.results()["evaluation"]["frozen"]
    assert {name: figures["end"][name] for name in FIGURES} == {name: reference[name] for name in FIGURES}
    history = History(torch.tensor([[3, 5]]), torch.tensor([2]))
    kept, theta = load_policy(tmp_path / "frozen"), load_policy(pretrained)
    assert torch.equal(kept.probabilities(history), theta.probabilities(history))
    predictions = torch.cat(trainer.predict(frozen, data))
    assert predictions.shape == (len(source.load().test), 10)
    histories = source.load().test.padded(21)
    assert not (predictions.unsqueeze(2) == histories.unsqueeze(1)).any()


def test_users_at_once_act_as_each_would_alone(source, reward_run, pretrained, tmp_path):
    """The actions of 8 users equal those of 8 processes with one each: random numbers belong to the user."""
    world = World.load(reward_run)
    first = source.load().train.first_items()
    policy, explore = load_policy(pretrained), Categorical()

    def play(start: int, count: int) -> torch.Tensor:
        env = world.env(first, count, seed=5, first_user=start)
        for _ in range(12):
            uniform = uniforms(9, env.user, env.episode, env.length, UNIFORMS)
            feedback = env.step(policy.act(History(env.items, env.length, user=env.user), explore, uniform))
            env.reset(feedback.terminated | feedback.truncated)
        return env.items

    together = play(0, 8)
    alone = torch.cat([play(user, 1) for user in range(8)])
    assert torch.equal(together, alone)


def test_online_adapt_stores_episodes_without_repeats(source, reward_run, tmp_path):
    module = adapt(source, reward_run, tmp_path, Scratch(), None, exploration=EpsilonGreedy(1.0, 1.0, 0))
    kept = module.trainer.datamodule.buffer
    items = kept.columns["items"][: len(kept)]
    length = kept.columns["length"][: len(kept)]
    for row, n in zip(items.tolist(), length.tolist(), strict=True):
        shown = row[: n + 1]
        assert len(set(shown)) == n + 1 and 0 not in shown
    rewards = kept.columns["reward"][: len(kept)]
    assert float(rewards.min()) >= 0 and float(rewards.max()) <= 1  # 5·p times the reward scale of 0.2


@pytest.mark.parametrize("scale", [1.0, 0.2])
def test_reward_scale_multiplies_what_users_give(scale, source, reward_run, tmp_path):
    module = OnlineAdapt(Scratch(), net=NET)
    train(module, users(source, reward_run, reward_scale=scale), tmp_path, epochs=1)
    data = module.trainer.datamodule
    kept = data.buffer.sample(64)
    score = data.env.response.score_item(kept.items, kept.length, kept.action)
    assert torch.allclose(kept.reward, scale * 5 * data.env.response.activation(score), atol=1e-6)


def test_online_adapt_refuses_to_fine_tune_nothing(source, reward_run, tmp_path):
    with pytest.raises(UserError, match="FineTune starts from a pre-trained policy"):
        adapt(source, reward_run, tmp_path, FineTune(), None)


def test_pretrained_temperature_keeps_the_ranking_and_draws_the_best_where_cold(
    source, reward_run, pretrained, tmp_path
):
    for name, temperature in (("plain", 1.0), ("cold", 1e-4)):
        adapt(source, reward_run, tmp_path / name, FineTune(), pretrained, pretrained_temperature=temperature)
    plain, cold = (evaluation(tmp_path / name).row(0, named=True) for name in ("plain", "cold"))
    assert plain["policy"] == cold["policy"] == "frozen"
    assert plain["return"] == cold["return"] == cold["sampled_return"] != plain["sampled_return"]


def test_pretrained_temperature_is_above_zero():
    with pytest.raises(UserError, match="pretrained_temperature is 0"):
        OnlineAdapt(FineTune(), pretrained_temperature=0.0)


def test_evaluation_samples_when_asked(source, reward_run, tmp_path):
    """Of four epochs 0 to 3 the third is not among those that are compared; the last is."""
    measured = {}
    for sampled in ("always", "reported", "never"):
        module = OnlineAdapt(Scratch(), net=NET, evaluation=Evaluation(sampled=sampled))
        train(module, users(source, reward_run, steps_per_epoch=1), tmp_path / sampled, epochs=4)
        measured[sampled] = [row["epoch"] for row in module.evaluation.rows if "sampled_return" in row]
    assert measured == {"always": [0, 1, 2, 3, 4], "reported": [0, 1, 2, 4], "never": []}


class Slow(Evaluation):
    def play(self, *arguments):
        time.sleep(0.5)
        return super().play(*arguments)


def test_evaluation_clock_leaves_evaluations_out(source, reward_run, tmp_path):
    module = OnlineAdapt(Scratch(), net=NET, evaluation=Slow())
    started = time.perf_counter()
    train(module, users(source, reward_run, steps_per_epoch=2), tmp_path)
    assert 0 < module.evaluation.seconds < time.perf_counter() - started - 3 * 0.5
