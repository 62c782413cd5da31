"""Exploration: Lightning callbacks that turn the policy's probabilities into actions."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from ialp.errors import UserError
from ialp.recorded import Recorded

UNIFORMS = 4
"""Uniform numbers per action."""


def sample_index(weights: Tensor, uniform: Tensor) -> Tensor:
    """One column per row with probability proportional to its weight, by the inverse of the distribution function.

    Args:
        weights: (B, I), non-negative; a zero is never drawn.
        uniform: (B,) in [0, 1).
    """
    cumulative = weights.double().cumsum(1)
    threshold = uniform.double().unsqueeze(1) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1)


class Exploration(Recorded, Callback, ABC):
    """How to act while learning. Subclass it, override `select`, and name the class in YAML.

    `select` is pure: its randomness comes in as uniforms that belong to the user, episode and step, so that B users at
    once act as each would alone. Annealing goes into `anneal`, which is called before every training step and after a
    resume.

    Attributes:
        samples_policy: whether actions are drawn from the policy as it is, which `Reinforce` needs.
    """

    samples_policy: bool = False

    def __init__(self) -> None:
        self.environment_steps = 0

    @abstractmethod
    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        """(B,) actions.

        Args:
            probabilities: (B, I) of the policy, zero where masked.
            mask: (B, I) bool, True where the item may be recommended.
            uniforms: (B, UNIFORMS) in [0, 1).
        """

    def anneal(self, environment_steps: int) -> None:
        """Sets parameters that change with the number of environment steps taken."""

    @override
    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        self.environment_steps = int(getattr(pl_module, "environment_steps", 0))
        self.anneal(self.environment_steps)

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"environment_steps": self.environment_steps}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.environment_steps = state_dict["environment_steps"]
        self.anneal(self.environment_steps)

    @property
    @override
    def state_key(self) -> str:
        return "exploration"  # one key for all strategies: a run has one


class Greedy(Exploration):
    """The most probable item, always."""

    @override
    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        return probabilities.masked_fill(~mask, -1.0).argmax(1)


class Categorical(Exploration):
    """Samples from π^(1/temperature).

    Args:
        temperature: 1 samples from π itself; below 1 sharper, above 1 flatter.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise UserError(f"Categorical takes a temperature above 0, not {temperature}: for the argmax take Greedy")
        self.temperature = temperature
        self.samples_policy = temperature == 1.0

    @override
    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        weights = probabilities
        if self.temperature != 1.0:  # relative to the largest: however cold, that one does not vanish
            weights = (probabilities / probabilities.amax(1, keepdim=True)).double() ** (1 / self.temperature)
        return sample_index(weights * mask, uniforms[:, 0])


class EpsilonGreedy(Exploration):
    """A uniformly random allowed item with probability ε, the most probable one otherwise.

    Args:
        start: ε at the first step.
        end: ε after `steps` environment steps, linearly in between.
        steps: length of the annealing; 0 keeps ε at `end`.
    """

    def __init__(self, start: float = 0.3, end: float = 0.05, steps: int = 20_000) -> None:
        super().__init__()
        self.start, self.end, self.steps = start, end, steps
        self.epsilon = start
        self.anneal(0)

    @override
    def anneal(self, environment_steps: int) -> None:
        done = 1.0 if self.steps == 0 else min(1.0, environment_steps / self.steps)
        self.epsilon = self.start + done * (self.end - self.start)

    @override
    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        greedy = probabilities.masked_fill(~mask, -1.0).argmax(1)
        explored = sample_index(mask.float(), uniforms[:, 1])
        return torch.where(uniforms[:, 0] < self.epsilon, explored, greedy)
