import torch

from callbacks.boltzmann import Boltzmann
from ialp.rl.exploration import Categorical


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


def test_a_masked_item_is_never_drawn() -> None:
    assert (Boltzmann(start=50.0).select(*shown()) != 0).all()
