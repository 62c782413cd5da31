"""`ialp evaluate` on folders as finished runs leave them, a world of 60 tracks."""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from ialp.cli.main import main
from ialp.data import BuiltinLog, Log
from ialp.envs import World
from ialp.errors import UserError
from ialp.experiment.evaluate import evaluate, intervals
from ialp.nets import ActorCritic
from ialp.nets.response import SequentialResponse
from ialp.report.statistics import Estimate
from ialp.rl.schemes import Frozen, PolicySet, save_scheme

TINY = {"num_tracks": 60, "num_sessions": 80}  # 16 sessions in the test world


@pytest.fixture(scope="module")
def log() -> Log:
    return BuiltinLog(**TINY).load()


@pytest.fixture
def world(tmp_path, log) -> Path:
    """A reward run."""
    folder = tmp_path / "runs" / "lfm_reward" / "0-aaaaaaaa"
    torch.manual_seed(0)
    net = SequentialResponse(log.catalogue.num_items, dim=8)
    torch.nn.init.normal_(net.bias)
    World(net).save(folder / "world", log.catalogue.fingerprint)
    source = {"class_path": "ialp.data.BuiltinLog", "init_args": TINY}
    (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"log": source}}}))
    (folder / "done.json").write_text(json.dumps({"upstream": {}}))
    return folder


@pytest.fixture
def pretrained(tmp_path, log) -> Path:
    """A pretrain run: a policy, no world."""
    folder = tmp_path / "runs" / "lfm_pretrain" / "0-bbbbbbbb"
    torch.manual_seed(1)
    ActorCritic(log.catalogue.num_items, dim=8).save_pretrained(folder / "policy", log.catalogue.fingerprint)
    (folder / "done.json").write_text(json.dumps({"upstream": {}}))
    return folder


@pytest.fixture
def online(tmp_path, log, world, pretrained) -> Path:
    """A PolicySet run, stopped where α was 0.25."""
    folder = tmp_path / "runs" / "lfm_policyset" / "3-cccccccc"
    scheme = PolicySet(learner_start="new_actor")  # which prefers other items than θ
    torch.manual_seed(2)
    fresh = ActorCritic(log.catalogue.num_items, dim=8)
    scheme.build(ActorCritic.from_pretrained(pretrained, log.catalogue.fingerprint), fresh)
    scheme.alpha.fill_(0.25)
    save_scheme(scheme, folder, log.catalogue.fingerprint)
    upstream = {"reward_model": str(world), "pretrained": str(pretrained)}
    (folder / "done.json").write_text(json.dumps({"upstream": upstream, "seed": 3}))
    return folder


def test_evaluate_writes_one_row_per_episode_that_adds_up(online, log):
    path = evaluate(str(online))
    table = pl.read_parquet(path)
    assert path == online / "episodes-lfm_reward-0-aaaaaaaa.parquet"
    columns = ["user", "first_item", "return", "length", "average_reward", "terminated", "items"]
    assert table.columns == columns
    assert table["user"].to_list() == list(range(16))
    assert table["first_item"].to_list() == [log.catalogue.ids[i - 1] for i in log.test.first_items().tolist()]
    assert table["items"].list.len().to_list() == table["length"].to_list()
    assert table["length"].is_between(1, 20).all()
    assert set(table["items"].explode()) <= set(log.catalogue.ids)
    np.testing.assert_allclose(table["return"] / table["length"], table["average_reward"], rtol=1e-6)


def test_evaluate_uses_the_mixture_at_its_final_weights(online, pretrained, world):
    """At α = 0.25 it is not its frozen part, which it becomes where that part is given all the weight."""
    saved = json.loads((online / "mixture.json").read_text())
    assert sorted(saved["weights"].values()) == [0.25, 0.75]
    frozen = pl.read_parquet(evaluate(str(pretrained), world=str(world)))
    assert not pl.read_parquet(evaluate(str(online))).equals(frozen)
    saved["weights"] = {name: round(weight) for name, weight in saved["weights"].items()}
    (online / "mixture.json").write_text(json.dumps(saved))
    assert pl.read_parquet(evaluate(str(online))).equals(frozen)


def test_evaluate_of_a_frozen_run_is_that_of_the_pretrained_policy(tmp_path, log, world, pretrained):
    scheme = Frozen()
    scheme.build(ActorCritic.from_pretrained(pretrained), None)
    save_scheme(scheme, tmp_path / "frozen", log.catalogue.fingerprint)
    ours, theirs = (pl.read_parquet(evaluate(str(run), world=str(world))) for run in (tmp_path / "frozen", pretrained))
    assert ours.equals(theirs)


def test_evaluate_gives_the_same_twice_sampled_or_not(online):
    assert pl.read_parquet(evaluate(str(online))).equals(pl.read_parquet(evaluate(str(online))))
    sampled = pl.read_parquet(evaluate(str(online), sampled=True))
    assert sampled.equals(pl.read_parquet(evaluate(str(online), sampled=True)))
    assert not sampled["items"].equals(pl.read_parquet(evaluate(str(online)))["items"])


def test_evaluate_shows_no_item_twice_in_an_episode(online):
    items = pl.read_parquet(evaluate(str(online), sampled=True))
    shown = [[row["first_item"], *row["items"]] for row in items.iter_rows(named=True)]
    assert all(len(set(episode)) == len(episode) for episode in shown)


def test_evaluate_prints_what_it_measured(online, world, capsys):
    path = evaluate(str(online), users=10)
    table, said = pl.read_parquet(path), capsys.readouterr().out
    assert f"10 test episodes, most probable actions, in {world}" in said
    assert f"    R {table['return'].mean():6.2f}   95 % bootstrap interval" in said
    assert f"R_avg {table['return'].sum() / table['length'].sum():6.2f}" in said
    assert said.splitlines()[-1] == f"per episode: {path}"
    evaluate(str(online), users=500)
    assert "the test world has 16 first items: 16 episodes instead of 500" in capsys.readouterr().out


def test_evaluate_writes_to_out(online, tmp_path):
    path = evaluate(str(online), out=str(tmp_path / "deep" / "mine.parquet"))
    assert path == tmp_path / "deep" / "mine.parquet"
    assert [file.name for file in path.parent.iterdir()] == ["mine.parquet"]
    assert not list(online.glob("*.parquet"))


def test_evaluate_finds_an_exit_rule_of_the_working_directory(online, world, tmp_path, monkeypatch):
    (tmp_path / "my_rules.py").write_text("from ialp.envs import MaxSteps\n\n\nclass Brief(MaxSteps): ...\n")
    config = json.loads((world / "world" / "config.json").read_text())
    config["exit_rules"] = [{"class_path": "my_rules.Brief", "init_args": {"steps": 2}}]
    (world / "world" / "config.json").write_text(json.dumps(config))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [place for place in sys.path if place])
    assert main(["evaluate", str(online), "--out", "brief.parquet"]) == 0
    assert set(pl.read_parquet("brief.parquet")["length"]) == {2}


class TestBadInput:
    def test_evaluate_refuses_no_such_run(self, tmp_path):
        with pytest.raises(UserError, match="no such run folder"):
            evaluate(str(tmp_path / "absent"))

    def test_evaluate_refuses_a_run_without_a_policy(self, world):
        with pytest.raises(UserError, match="no policy there"):
            evaluate(str(world))

    def test_evaluate_refuses_a_pretrain_run_without_a_world(self, pretrained):
        with pytest.raises(UserError, match="--world"):
            evaluate(str(pretrained))

    def test_evaluate_refuses_a_world_that_is_none(self, online, pretrained):
        with pytest.raises(UserError, match="no run of a reward model"):
            evaluate(str(online), world=str(pretrained))

    def test_evaluate_refuses_policy_and_world_of_different_catalogues(self, tmp_path, world):
        ActorCritic(60, dim=8).save_pretrained(tmp_path / "other" / "policy", "f" * 64)
        with pytest.raises(UserError, match="another catalogue"):
            evaluate(str(tmp_path / "other"), world=str(world))
        assert not list(tmp_path.rglob("*.parquet"))

    def test_evaluate_refuses_a_log_that_changed_since_the_world_was_trained(self, online, world):
        config = yaml.safe_load((world / "config.yaml").read_text())
        config["data"]["init_args"]["log"]["init_args"]["seed"] = 5
        (world / "config.yaml").write_text(yaml.safe_dump(config))
        with pytest.raises(UserError, match="another catalogue"):
            evaluate(str(online))

    def test_evaluate_refuses_one_user(self, online):
        with pytest.raises(UserError, match="at least 2"):
            evaluate(str(online), users=1)


class TestIntervals:
    def test_intervals_hand_computed_values(self):
        figures = intervals(np.array([2.0, 10.0, 0.0]), np.array([4, 20, 5]))
        assert [each.value for each in figures.values()] == pytest.approx([4.0, 29 / 3, 12 / 29])
        assert all(each.low <= each.value <= each.high for each in figures.values())

    def test_intervals_width_is_that_of_the_normal_interval(self):
        returns = np.random.default_rng(0).normal(5.0, 2.0, 400)
        found = intervals(returns, np.full(400, 10))["R"]
        assert found.high - found.low == pytest.approx(2 * 1.96 * returns.std() / 20, rel=0.05)

    def test_intervals_return_and_length_are_resampled_together(self):
        """Every episode earns 0.5 a step: however episodes are drawn, their average reward is 0.5."""
        lengths = np.arange(1, 21)
        found = intervals(0.5 * lengths, lengths)["R_avg"]
        assert (found.value, found.low, found.high) == pytest.approx((0.5, 0.5, 0.5))

    def test_intervals_all_alike_is_a_point(self):
        assert intervals(np.full(5, 3.0), np.full(5, 6))["R"] == Estimate(3.0, 3.0, 3.0, n=5)
