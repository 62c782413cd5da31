"""Exploration: Lightning callbacks that turn the policy's probabilities into actions."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

import torch
from lightning import Callback, LightningModule, Trainer
from torch import Tensor

from ialp.errors import UserError

if TYPE_CHECKING:
    from ialp.rl.blockwise import BlockwisePolicy


def sample_index(weights: Tensor, uniform: Tensor) -> Tensor:
    """One column per row with probability proportional to its weight, by the inverse of the distribution function.

    Args:
        weights: (B, I), non-negative; a zero is never drawn.
        uniform: (B,) in [0, 1).
    """
    cumulative = weights.double().cumsum(1)
    threshold = uniform.double().unsqueeze(1) * cumulative[:, -1:]
    return torch.searchsorted(cumulative, threshold, right=True).squeeze(1)


class Exploration(Callback, ABC):
    """How to act while learning. Subclass it, override `select`, and name the class in YAML.

    `select` is pure: what it needs of chance comes in as uniforms that belong to the user, episode and step, so that
    B users at once act as each would alone. Annealing goes into `anneal`, which is called before every training step
    and after a resume.

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
            uniforms: (B, 2) in [0, 1).
        """

    def act(self, policy: "BlockwisePolicy", uniforms: Tensor) -> Tensor:
        """(B,) what `select` would, in a catalogue too large for (B, I) (see `SampledSoftmax`). Optional.

        Args:
            policy: that acts.
            uniforms: (B, 2) float64 in [0, 1).
        """
        raise NotImplementedError(f"{type(self).__name__} has no method `act`")

    @property
    def acts_in_blocks(self) -> bool:
        """Whether it has an `act` that belongs to its `select`: a subclass that overrides `select` needs both."""
        methods = next(vars(cls) for cls in type(self).__mro__ if {"act", "select"} & vars(cls).keys())
        return "act" in methods and type(self).act is not Exploration.act

    def anneal(self, environment_steps: int) -> None:
        """Sets parameters that change with the number of environment steps taken."""

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        """Anneals by the steps that the phase has counted."""
        self.environment_steps = int(getattr(pl_module, "environment_steps", 0))
        self.anneal(self.environment_steps)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps."""
        return {"environment_steps": self.environment_steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on where the checkpoint stopped."""
        self.environment_steps = state_dict["environment_steps"]
        self.anneal(self.environment_steps)

    @property
    def state_key(self) -> str:
        """One key for whichever strategy: there is one per run."""
        return "exploration"


class Greedy(Exploration):
    """The most probable item, always."""

    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        """(B,) argmax."""
        return probabilities.masked_fill(~mask, -1.0).argmax(1)

    def act(self, policy: "BlockwisePolicy", uniforms: Tensor) -> Tensor:
        """(B,) the same."""
        return policy.best()


class Categorical(Exploration):
    """Samples from the policy.

    Args:
        temperature: 1 samples from π itself; below 1 sharper, above 1 flatter.
    """

    def __init__(self, temperature: float = 1.0) -> None:
        super().__init__()
        if temperature <= 0:
            raise UserError(f"Categorical takes a temperature above 0, not {temperature}: for the argmax take Greedy")
        self.temperature = temperature
        self.samples_policy = temperature == 1.0

    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        """(B,) drawn from π^(1/temperature)."""
        weights = probabilities
        if self.temperature != 1.0:  # relative to the largest: however cold, that one does not vanish
            weights = (probabilities / probabilities.amax(1, keepdim=True)).double() ** (1 / self.temperature)
        return sample_index(weights * mask, uniforms[:, 0])

    def act(self, policy: "BlockwisePolicy", uniforms: Tensor) -> Tensor:
        """(B,) drawn from the same."""
        return policy.draw(uniforms[:, 0], self.temperature)


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

    def anneal(self, environment_steps: int) -> None:
        """Moves ε along the line from start to end."""
        share = 1.0 if self.steps == 0 else min(1.0, environment_steps / self.steps)
        self.epsilon = self.start + share * (self.end - self.start)

    def select(self, probabilities: Tensor, mask: Tensor, uniforms: Tensor) -> Tensor:
        """(B,) argmax, or uniform over the mask where the first uniform lies below ε."""
        greedy = probabilities.masked_fill(~mask, -1.0).argmax(1)
        explored = sample_index(mask.float(), uniforms[:, 1])
        return torch.where(uniforms[:, 0] < self.epsilon, explored, greedy)

    def act(self, policy: "BlockwisePolicy", uniforms: Tensor) -> Tensor:
        """(B,) the same."""
        return torch.where(uniforms[:, 0] < self.epsilon, policy.any_allowed(uniforms[:, 1]), policy.best())
