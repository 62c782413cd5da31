import math

import pytest
import torch

from ialp.nets import ActorCritic
from ialp.oracle import JudgeBackend, LexicalOracle, Oracle
from ialp.phases.pretrain import listwise_loss

from .conftest import pretrain


class Counting(LexicalOracle):
    """Counts what it is asked."""

    questions = 0

    def log_probabilities(self, questions):
        type(self).questions += len(questions)
        return super().log_probabilities(questions)


def weights(folder) -> dict[str, torch.Tensor]:
    return ActorCritic.from_pretrained(folder).state_dict()


def same(a: dict, b: dict) -> bool:
    return all(torch.equal(a[name], b[name]) for name in a)


def test_listwise_loss_equals_the_hand_computed_number():
    logits = torch.tensor([[0.0, math.log(3.0)], [5.0, -5.0], [0.0, 0.0]])
    choice = torch.tensor([1, 2, 0])  # the second answer is None
    expected = (-math.log(0.75) - math.log(0.5)) / 2
    assert float(listwise_loss(logits, choice)) == pytest.approx(expected, abs=1e-6)


def test_listwise_loss_of_nothing_but_none_is_zero_with_a_gradient():
    logits = torch.zeros(2, 3, requires_grad=True)
    loss = listwise_loss(logits, torch.tensor([3, 3]))
    loss.backward()
    assert float(loss.detach()) == 0.0
    assert not logits.grad.any()


def test_a_warm_cache_gives_the_cold_caches_run_without_asking(source, tmp_path):
    cache = tmp_path / "cache.sqlite"
    Counting.questions = 0
    cold = pretrain(source, tmp_path / "cold", cache, judge=Counting())
    asked = Counting.questions
    warm = pretrain(source, tmp_path / "warm", cache, judge=Counting())
    assert asked > 0 and Counting.questions == asked
    assert cold.results()["judgements"]["asked"] == asked
    assert warm.results()["judgements"] | {"asked": asked, "cache_hits": 0} == cold.results()["judgements"] | {
        "cache_hits": 0
    }
    assert warm.results()["judgements"]["asked"] == 0
    assert same(weights(tmp_path / "cold"), weights(tmp_path / "warm"))


def test_a_half_warm_cache_gives_the_same_run(source, tmp_path):
    cold = pretrain(source, tmp_path / "cold", tmp_path / "full.sqlite", judge=Counting())
    half = tmp_path / "half.sqlite"
    full, part = cold.trainer.datamodule.oracle.cache, None
    rows = list(dump(full))
    from ialp.oracle import JudgementCache

    part = JudgementCache(half)
    part.put_many(dict(rows[::2]))
    Counting.questions = 0
    pretrain(source, tmp_path / "warm", half, judge=Counting())
    assert Counting.questions == len(rows) - len(rows[::2])
    assert same(weights(tmp_path / "cold"), weights(tmp_path / "warm"))


def dump(cache):
    import sqlite3

    keys = [key for (key,) in sqlite3.connect(cache.path).execute("SELECT key FROM judgements ORDER BY key")]
    return cache.get_many(keys).items()


def test_the_same_seed_gives_the_same_policy_and_another_seed_another(source, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        pretrain(source, tmp_path / name, tmp_path / f"{name}.sqlite", seed=seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_rewards_and_actions_follow_the_judgements(source, tmp_path):
    module = pretrain(source, tmp_path / "run", tmp_path / "cache.sqlite")
    kept = module.trainer.datamodule.buffer.sample(200)
    picked = kept.choice < kept.candidates.shape[1]
    assert torch.equal(kept.reward, picked.float())  # Eq. 3
    chosen = kept.candidates[picked].gather(1, kept.choice[picked].unsqueeze(1)).squeeze(1)
    assert torch.equal(kept.action[picked], chosen)
    assert (kept.candidates[~picked] == kept.action[~picked].unsqueeze(1)).any(1).all()
    assert not kept.terminated.any()
    assert torch.equal(kept.truncated, kept.length == 5)


def test_no_candidate_was_shown_before(source, tmp_path):
    module = pretrain(source, tmp_path / "run", tmp_path / "cache.sqlite")
    kept = module.trainer.datamodule.buffer.sample(200)
    before = torch.arange(kept.items.shape[1]) < kept.length.unsqueeze(1)
    shown = torch.where(before, kept.items, -1)
    assert not (kept.candidates.unsqueeze(2) == shown.unsqueeze(1)).any()
    assert (kept.candidates > 0).all()


def test_the_oracle_is_a_judge_backend_behind_a_cache():
    assert issubclass(LexicalOracle, JudgeBackend) and not issubclass(Oracle, JudgeBackend)
