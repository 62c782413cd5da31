"""Shuffling, the cache around the judge, the budget, and the pick."""

from pathlib import Path

import pytest
import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.oracle import BudgetExceeded, JudgeBackend, JudgementCache, Judging, LoRA, Oracle, Questions
from ialp.oracle.backends.base import Tuner


class LongestText(JudgeBackend):
    """Prefers long texts; says None where every text is shorter than `least`. Remembers what it was asked."""

    name = "longest"

    def __init__(self, least: int = 0, mark: str = "1") -> None:
        self.least = least
        self.mark = mark
        self.seen: list[str] = []
        self.shown: list[list[str]] = []

    @property
    def fingerprint(self) -> str:
        return self.mark

    def log_probabilities(self, questions: Questions) -> Tensor:
        self.seen += questions.prompts
        self.shown += questions.candidates
        rows = [[*map(len, texts), self.least] for texts in questions.candidates]
        return torch.tensor(rows, dtype=torch.float32).log_softmax(1)

    def tuner(self, lora: LoRA) -> Tuner:
        raise NotImplementedError

    def tuned(self, folder: str | Path) -> "LongestText":
        return self


def questions(count: int = 6, candidates: int = 5, seed: int = 0) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    length = torch.randint(1, 7, (count,), generator=generator)
    history = torch.randint(1, 49, (count, 7), generator=generator) * (torch.arange(7) < length[:, None])
    offered = torch.stack([torch.randperm(48, generator=generator)[:candidates] + 1 for _ in range(count)])
    return history, length, offered


@pytest.fixture
def oracle(catalogue, template) -> Oracle:
    return Oracle(LongestText(), None, template, catalogue)


def test_oracle_answers_come_in_the_order_of_the_candidates(oracle, catalogue):
    history, length, candidates = questions()
    judgement = oracle.judge(history, length, candidates)
    lengths = torch.tensor([[*(len(catalogue.texts[i]) for i in row), 0] for row in candidates.tolist()])
    assert torch.allclose(judgement.log_probabilities, lengths.float().log_softmax(1), atol=1e-5)
    picked = lengths.gather(1, judgement.choice[:, None]).squeeze(1)
    assert torch.equal(picked, lengths.max(1).values)
    assert judgement.accepted.all()


def test_oracle_none_is_the_last_index(catalogue, template):
    judgement = Oracle(LongestText(least=1000), None, template, catalogue).judge(*questions(candidates=5))
    assert judgement.choice.tolist() == [5] * 6
    assert not judgement.accepted.any()


def test_oracle_candidates_are_shuffled_by_the_question_alone(oracle):
    history, length, candidates = questions(count=200)
    forwards = oracle.judge(history, length, candidates)
    shown = list(oracle.backend.shown)
    assert shown != [[oracle.catalogue.texts[i] for i in row] for row in candidates.tolist()]
    backwards = oracle.judge(history.flip(0), length.flip(0), candidates.flip(0).flip(1))  # other batches and orders
    assert oracle.asked == 200 and oracle.hits == 200
    assert torch.equal(backwards.log_probabilities.flip(0)[:, :-1].flip(1), forwards.log_probabilities[:, :-1])
    offered = [[oracle.catalogue.texts[i] for i in row] for row in candidates.tolist()]
    first = [row.index(texts[0]) for row, texts in zip(offered, shown, strict=True)]
    assert min(torch.bincount(torch.tensor(first), minlength=5).tolist()) > 20  # of 40 expected


def test_oracle_another_seed_shows_another_order(catalogue, template):
    asked = []
    for seed in (0, 1):
        backend = LongestText()
        Oracle(backend, None, template, catalogue, Judging(shuffle_seed=seed)).judge(*questions())
        asked.append(backend.shown)
    assert asked[0] != asked[1]
    assert [sorted(row) for row in asked[0]] == [sorted(row) for row in asked[1]]


def test_oracle_tie_favours_no_place(catalogue, template):
    """Candidates come in an order that means something; a judge who cannot tell must not follow it."""

    class Undecided(LongestText):
        def log_probabilities(self, questions: Questions) -> Tensor:
            return torch.tensor([[0.0] * 5 + [-1.0]]).log_softmax(1).repeat(len(questions), 1)

    judgement = Oracle(Undecided(), None, template, catalogue).judge(*questions(500))
    assert torch.bincount(judgement.choice, minlength=5).min() > 60  # of 100 expected


def test_oracle_repeated_question_is_asked_once(oracle):
    history, length, candidates = (part.repeat_interleave(3, dim=0) for part in questions(4))
    judgement = oracle.judge(history, length, candidates)
    assert (oracle.asked, oracle.hits) == (4, 8)
    assert len(oracle.backend.seen) == 4
    assert torch.equal(judgement.log_probabilities[::3], judgement.log_probabilities[2::3])


def test_oracle_items_before_the_latest_do_not_count(oracle, template):
    history = torch.tensor([[9, 8, 1, 2, 3, 4], [7, 7, 1, 2, 3, 4]])
    oracle.judge(history, torch.tensor([6, 6]), torch.tensor([[20, 21, 22]]).repeat(2, 1))
    assert template.max_history == 4 and oracle.asked == 1


def test_oracle_warm_half_warm_and_cold_caches_agree(catalogue, template, tmp_path):
    cold = Oracle(LongestText(), JudgementCache(tmp_path / "a.sqlite"), template, catalogue)
    expected = cold.judge(*questions(40))
    warm = Oracle(LongestText(), JudgementCache(tmp_path / "a.sqlite"), template, catalogue)
    half = Oracle(LongestText(), JudgementCache(tmp_path / "b.sqlite"), template, catalogue)
    half.judge(*(part[::2] for part in questions(40)))
    for oracle, asked in ((warm, 0), (half, 40)):
        judgement = oracle.judge(*questions(40))
        assert torch.equal(judgement.choice, expected.choice)
        assert torch.equal(judgement.log_probabilities, expected.log_probabilities)
        assert oracle.asked == asked == len(oracle.backend.seen)


def test_oracle_another_judge_shares_no_answers(catalogue, template):
    cache = JudgementCache()
    for mark in ("one", "other"):
        oracle = Oracle(LongestText(mark=mark), cache, template, catalogue)
        oracle.judge(*questions(5))
        assert oracle.asked == 5


def test_oracle_budget_stops_and_keeps_what_was_answered(catalogue, template, tmp_path):
    path = tmp_path / "cache.sqlite"
    oracle = Oracle(LongestText(), JudgementCache(path), template, catalogue, budget=7)
    oracle.judge(*questions(5))
    with pytest.raises(BudgetExceeded, match="budget of 7 questions"):
        oracle.judge(*questions(5, seed=1))
    assert len(JudgementCache(path)) == 7
    oracle.judge(*questions(5))  # cached answers are free
    again = Oracle(LongestText(), JudgementCache(path), template, catalogue, budget=3)
    again.judge(*questions(5, seed=1))
    assert (again.asked, again.hits) == (3, 2)


def test_oracle_killed_run_loses_one_batch_at_most(catalogue, template, tmp_path, monkeypatch):
    monkeypatch.setattr("ialp.oracle.backends.base.STORE_EVERY", 10)

    class Killed(LongestText):
        def log_probabilities(self, questions: Questions) -> Tensor:
            if len(self.seen) == 30:
                raise KeyboardInterrupt
            return super().log_probabilities(questions)

    with pytest.raises(KeyboardInterrupt):
        Oracle(Killed(), JudgementCache(tmp_path / "c.sqlite"), template, catalogue).judge(*questions(50))
    assert len(JudgementCache(tmp_path / "c.sqlite")) == 30


def test_oracle_temperature_draws_in_proportion_and_repeats_itself(catalogue, template):
    class Coin(LongestText):
        def log_probabilities(self, questions: Questions) -> Tensor:
            return torch.tensor([[0.6, 0.3, 0.1]]).log().repeat(len(questions), 1)

    oracle = Oracle(Coin(), None, template, catalogue, Judging(temperature=1.0))
    batch = questions(2000, candidates=2)
    judgement = oracle.judge(*batch)
    probability = judgement.log_probabilities.exp().gather(1, judgement.choice[:, None])
    shares = [float((probability - p).abs().lt(1e-3).float().mean()) for p in (0.6, 0.3, 0.1)]
    assert shares == pytest.approx([0.6, 0.3, 0.1], abs=0.04)
    assert torch.equal(oracle.judge(*batch).choice, judgement.choice)
    with pytest.raises(UserError, match="temperature is -1"):
        Judging(temperature=-1)
    with pytest.raises(UserError, match="orders is 0"):
        Judging(orders=0)


def test_oracle_several_orders_are_averaged(catalogue, template):
    """A judge that goes by place alone is left with nothing to prefer but what the mean of its places gives."""

    class First(LongestText):
        def log_probabilities(self, questions: Questions) -> Tensor:
            return torch.tensor([[0.9, 0.05, 0.03, 0.02]]).log().repeat(len(questions), 1)

    oracle = Oracle(First(), None, template, catalogue, Judging(orders=8))
    history, length, candidates = questions(20, candidates=3)
    judgement = oracle.judge(history, length, candidates)
    assert oracle.asked + oracle.hits == 160  # three candidates have six orders: some turns are repeats
    one = Oracle(First(), None, template, catalogue).judge(history, length, candidates)
    assert one.log_probabilities.exp().max(1).values.min() > 0.89
    assert judgement.log_probabilities.exp().sum(1) == pytest.approx(1, abs=1e-5)
    assert judgement.log_probabilities.exp().max(1).values.mean() < 0.75
    assert torch.equal(
        oracle.judge(history.flip(0), length.flip(0), candidates.flip(0)).choice.flip(0), judgement.choice
    )


def test_oracle_none_by_a_threshold(catalogue, template):
    class Mostly(LongestText):
        def log_probabilities(self, questions: Questions) -> Tensor:
            return torch.tensor([[0.2, 0.4, 0.4]]).log().repeat(len(questions), 1)

    picks = [
        Oracle(Mostly(), None, template, catalogue, none_threshold=threshold).judge(*questions(5, candidates=2))
        for threshold in (0.39, 0.41)
    ]
    assert picks[0].choice.tolist() == [2] * 5
    assert picks[1].accepted.all()


def test_oracle_what_was_answered_is_kept_when_a_later_answer_fails(catalogue, template, tmp_path):
    class Stops(LongestText):
        def stream(self, questions: Questions):
            for row in (3, 0, 4):
                yield [row], self.log_probabilities(questions.select([row]))
            raise BudgetExceeded("spent")

    cache = JudgementCache(tmp_path / "cache.sqlite")
    with pytest.raises(BudgetExceeded):
        Oracle(Stops(), cache, template, catalogue).judge(*questions(6))
    expected = Oracle(LongestText(), None, template, catalogue).judge(*questions(6))
    oracle = Oracle(LongestText(), cache, template, catalogue)
    assert torch.equal(oracle.judge(*questions(6)).log_probabilities, expected.log_probabilities)
    assert (oracle.asked, oracle.hits) == (3, 3)


def test_oracle_processes_share_a_budget(catalogue, template, tmp_path):
    """The parts of 10 among 3 are 3, 3 and 4, and what is asked is in the cache of all."""
    path, asked = tmp_path / "cache.sqlite", []
    for rank in range(3):
        oracle = Oracle(LongestText(), JudgementCache(path), template, catalogue, budget=10)
        oracle.share(rank, 3)
        with pytest.raises(
            BudgetExceeded, match=r"budget of 10 questions, of which this one of 3 processes has [34], is"
        ):
            oracle.judge(*questions(20, seed=rank))
        asked.append(oracle.asked)
    assert asked == [3, 3, 4] and len(JudgementCache(path)) == 10
