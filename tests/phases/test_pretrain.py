import math
import sqlite3
from types import SimpleNamespace

import pytest
import torch

from ialp.nets import ActorCritic
from ialp.oracle import BudgetExceeded, JudgementCache, LexicalOracle
from ialp.phases import IALPPretrain
from ialp.phases.pretrain import listwise_loss
from tests.helpers.training import train

from .conftest import NET, pretrain, questions


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


def test_pretrain_warm_cache_gives_the_cold_caches_run_without_asking(source, tmp_path):
    cache = tmp_path / "cache.sqlite"
    Counting.questions = 0
    cold = pretrain(source, tmp_path / "cold", cache, judge=Counting())
    asked = Counting.questions
    warm = pretrain(source, tmp_path / "warm", cache, judge=Counting())
    assert asked > 0 and Counting.questions == asked
    counts = [module.results()["judgements"] for module in (cold, warm)]
    assert [each.pop("asked") for each in counts] == [asked, 0]
    hits = [each.pop("cache_hits") for each in counts]
    assert hits[1] - hits[0] == asked and counts[0] == counts[1]
    assert same(weights(tmp_path / "cold"), weights(tmp_path / "warm"))


def test_pretrain_half_warm_cache_gives_the_same_run(source, tmp_path):
    cold = pretrain(source, tmp_path / "cold", tmp_path / "full.sqlite", judge=Counting())
    half = tmp_path / "half.sqlite"
    rows = list(dump(cold.trainer.datamodule.oracle.cache))
    JudgementCache(half).put_many(dict(rows[::2]))
    Counting.questions = 0
    pretrain(source, tmp_path / "warm", half, judge=Counting())
    assert Counting.questions == len(rows) - len(rows[::2])
    assert same(weights(tmp_path / "cold"), weights(tmp_path / "warm"))


def dump(cache):
    keys = [key for (key,) in sqlite3.connect(cache.path).execute("SELECT key FROM judgements ORDER BY key")]
    return cache.get_many(keys).items()


def test_pretrain_same_seed_gives_the_same_policy_and_another_seed_another(source, tmp_path):
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        pretrain(source, tmp_path / name, tmp_path / f"{name}.sqlite", seed=seed)
    assert same(weights(tmp_path / "a"), weights(tmp_path / "b"))
    assert not same(weights(tmp_path / "a"), weights(tmp_path / "c"))


def test_pretrain_rewards_and_actions_follow_the_judgements(source, tmp_path):
    module = pretrain(source, tmp_path / "run", tmp_path / "cache.sqlite")
    kept = module.trainer.datamodule.buffer.sample(200)
    picked = kept.choice < kept.candidates.shape[1]
    assert torch.equal(kept.reward, picked.float())  # Eq. 3
    chosen = kept.candidates[picked].gather(1, kept.choice[picked].unsqueeze(1)).squeeze(1)
    assert torch.equal(kept.action[picked], chosen)
    assert (kept.candidates[~picked] == kept.action[~picked].unsqueeze(1)).any(1).all()
    assert not kept.terminated.any()
    assert torch.equal(kept.truncated, kept.length == 5)


def test_pretrain_candidates_were_not_shown_before(source, tmp_path):
    module = pretrain(source, tmp_path / "run", tmp_path / "cache.sqlite")
    kept = module.trainer.datamodule.buffer.sample(200)
    before = torch.arange(kept.items.shape[1]) < kept.length.unsqueeze(1)
    shown = torch.where(before, kept.items, -1)
    assert not (kept.candidates.unsqueeze(2) == shown.unsqueeze(1)).any()
    assert (kept.candidates > 0).all()


def test_pretrain_starts_from_text_or_at_random(source, tmp_path):
    """Before the first update the policy that starts from text likes what reads like the last item."""
    agreed = {}
    for name in ("tfidf", "random"):
        module = IALPPretrain(net=NET, item_init=name, lr=0.0)
        train(module, questions(source, tmp_path / "cache.sqlite"), tmp_path / name, epochs=1)
        vectors = module.scheme.learner.encoder.item_embedding.weight
        agreed[name] = float(
            torch.cosine_similarity(vectors[1:], module.scheme.learner.actor.weight[1:]).mean().detach()
        )
    assert agreed["tfidf"] == pytest.approx(1.0, abs=1e-5) and abs(agreed["random"]) < 0.3


def test_pretrain_spent_budget_ends_the_run_and_keeps_what_was_asked(source, tmp_path):
    data = questions(source, tmp_path / "cache.sqlite", budget=30)
    with pytest.raises(BudgetExceeded, match="budget of 30 questions is spent"):
        train(IALPPretrain(net=NET), data, tmp_path)
    assert len(JudgementCache(tmp_path / "cache.sqlite")) == 30


def test_oracle_data_module_shares_budget_and_cache_among_processes(source, tmp_path):
    asked = []
    for rank in range(3):
        data = questions(source, tmp_path / "cache.sqlite", budget=10, users=6)
        data.trainer = SimpleNamespace(global_rank=rank, world_size=3)
        data.setup("fit")
        generator = torch.Generator().manual_seed(rank)
        candidates = torch.stack([torch.randperm(50, generator=generator)[:10] + 1 for _ in range(20)])
        with pytest.raises(BudgetExceeded, match="this one of 3 processes"):
            data.oracle.judge(candidates[:, :1], torch.ones(20, dtype=torch.int64), candidates[:, 1:])
        asked.append(data.oracle.asked)
    assert asked == [3, 3, 4] and len(JudgementCache(tmp_path / "cache.sqlite")) == 10
