import math

import torch

from callbacks.boltzmann import Boltzmann
from callbacks.loyal import Loyal
from callbacks.ucb import UpperConfidence
from ialp.oracle import PromptTemplate, Questions
from ialp.rl.exploration import Categorical, Greedy


def shown(count: int = 200) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Probabilities over 6 items of which the first is masked, and uniforms."""
    generator = torch.Generator().manual_seed(0)
    mask = torch.ones(count, 6, dtype=torch.bool)
    mask[:, 0] = False
    probabilities = torch.rand(count, 6, generator=generator) * mask
    return probabilities / probabilities.sum(1, keepdim=True), mask, torch.rand(count, 2, generator=generator)


def test_at_temperature_one_boltzmann_samples_from_the_policy() -> None:
    assert torch.equal(Boltzmann(start=1.0).select(*shown()), Categorical().select(*shown()))


def test_cold_it_takes_the_most_probable_item() -> None:
    probabilities, mask, uniforms = shown()
    assert torch.equal(Boltzmann(start=1e-7).select(probabilities, mask, uniforms), probabilities.argmax(1))


def test_it_cools_linearly_and_stays_there() -> None:
    boltzmann = Boltzmann(start=2.0, end=0.5, steps=100)
    temperatures = []
    for steps in (0, 50, 100, 500):
        boltzmann.anneal(steps)
        temperatures.append(boltzmann.temperature)
    assert temperatures == [2.0, 1.25, 0.5, 0.5]
    assert Boltzmann(start=2.0, end=0.5, steps=0).temperature == 0.5


def test_a_masked_item_is_never_drawn() -> None:
    assert (Boltzmann(start=50.0).select(*shown()) != 0).all()


def test_without_weight_upper_confidence_is_greedy() -> None:
    strategy = UpperConfidence(weight=0.0)
    for _ in range(2):  # counted or not
        assert torch.equal(strategy.select(*shown()), Greedy().select(*shown()))


def test_upper_confidence_adds_the_bonus_to_the_log_probability() -> None:
    policy, mask, uniforms = torch.tensor([[0.0, 0.6, 0.4]]), torch.tensor([[False, True, True]]), torch.zeros(1, 2)
    strategy = UpperConfidence(weight=2.0)
    picked = [int(strategy.select(policy, mask, uniforms)) for _ in range(3)]
    counts, expected = [0, 0, 0], []
    for t in range(1, 4):
        scores = [math.log(policy[0, a]) + 2 * math.sqrt(math.log(t) / (1 + counts[a])) for a in (1, 2)]
        expected.append(1 + scores.index(max(scores)))
        counts[expected[-1]] += 1
    assert picked == expected == [1, 2, 1]
    assert strategy.shown.tolist() == [0, 2, 1]


def test_upper_confidence_tries_every_allowed_item_and_never_a_masked_one() -> None:
    strategy = UpperConfidence(weight=50.0)
    for _ in range(20):
        strategy.select(*shown(1))
    assert strategy.shown[0] == 0 and (strategy.shown[1:] > 0).all() and strategy.shown.sum() == 20


def loyal_answers(history: list[str], candidates: list[str], **arguments: float) -> list[float]:
    """Probabilities of the candidates and of None."""
    template = PromptTemplate("music", "track", "listening", ["title", "artist"])
    return Loyal(**arguments).log_probabilities(Questions(template, [history], [candidates])).exp()[0].tolist()


def test_the_loyal_judge_weighs_the_artists_of_the_history() -> None:
    judge = Loyal(memory=0.5)
    history = ["one; A", "two; B", "three; B"]  # the latest counts 1, the others 1/2 and 1/4
    assert judge.score(history, "four; B") == 1.5 / 1.75
    assert judge.score(history, "four; A") == 0.25 / 1.75
    assert judge.score(history, "B; four") == judge.score([], "four; B") == 0


def test_the_loyal_judge_says_none_to_strangers() -> None:
    known = loyal_answers(["one; A"], ["two; B", "three; A"])
    assert known.index(max(known)) == 1
    strange = loyal_answers(["one; A"], ["two; B", "three; C"])
    assert strange.index(max(strange)) == 2 and abs(sum(strange) - 1) < 1e-6
