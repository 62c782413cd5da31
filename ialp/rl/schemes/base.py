"""Adaptation schemes: which policy acts and which one learns (Algorithm 2), and those with a single policy."""

from abc import ABC, abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from typing_extensions import override

from ialp.data import Log
from ialp.masking import allowed_items, masked_log_softmax
from ialp.nets import ActorCritic
from ialp.nets.actor_critic import ItemHead
from ialp.recorded import Recorded
from ialp.rl.exploration import Exploration, sample_index
from ialp.rl.policy import LogPart, Part, log_mixture, mixed_probabilities
from ialp.types import History


class Scheme(Recorded, nn.Module, ABC):
    """The acting policy π̂ and the learner φ in it. YAML picks the subclass.

    `build` is called once with the pre-trained policy θ (or None) and a randomly initialised one of the same shape.

    Attributes:
        learner: φ, whose encoder and critic learn and whose actor takes part in π̂.
        needs_pretrained: whether θ must be given.
        trains: False if nothing learns (evaluation only).
        mixes_policies: whether π̂ is a mixture of several policies.
        samples_policy: whether actions are drawn from π̂ itself while learning.
        repeats: whether items already shown in an episode may be shown again.
        saved_class: dotted path of the class that acts with the saved policies.
    """

    needs_pretrained = True
    trains = True
    mixes_policies = False
    samples_policy = True
    saved_class = "ialp.rl.schemes.SavedPolicy"

    def __init__(self) -> None:
        super().__init__()
        self.learner: ActorCritic
        self.repeats = False

    @abstractmethod
    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """Sets `learner` and whatever else acts."""

    def setup(self, log: Log, seed: int, rank: int, ranks: int) -> None:
        """Called once before learning, after `build`, on each of `ranks` processes.

        Args:
            log: items and training sequences.
            seed: of the run.
            rank: of this process.
            ranks: number of processes.
        """

    def refusal(self, exploration: Exploration) -> str | None:
        """Why it cannot act by this strategy, with the keys to change; None where it can."""
        return None

    def frozen(self, pretrained: ActorCritic) -> "Scheme":
        """θ as it is, acting as this scheme does: the reference of every evaluation."""
        scheme = Frozen()
        scheme.build(pretrained, None)
        scheme.repeats = self.repeats
        return scheme

    def on_environment_steps(self, environment_steps: int) -> dict[str, float]:
        """Called before every batch with the steps taken so far; moves what depends on them, returns figures to log."""
        return {}

    def on_episode_end(self, user: Tensor, returns: Tensor) -> None:
        """Called with the returns (E,) of episodes that users (E,) have finished while learning."""

    def rank_state_dict(self) -> dict[str, Any]:
        """State of this process alone that a resumed run needs, beside the buffers; tensors, numbers and texts."""
        return {}

    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        """Restores what `rank_state_dict` gave."""

    def results(self) -> dict[str, Any]:
        """Entries of done.json."""
        return {}

    def mixture(self) -> dict[str, tuple[float, ActorCritic]]:
        """The policies of π̂: folder name → (weight, policy); the weights sum to one."""
        return {"policy": (1.0, self.learner)}

    def parts(self, history: History, state: Tensor | None = None) -> list[LogPart]:
        """Log-weight, policy and states (B, D) of each policy of π̂; the learner's are `state` where it is given."""
        return [
            (
                torch.tensor(weight).log(),
                policy,
                state if state is not None and policy is self.learner else policy.state(history),
            )
            for weight, policy in self.mixture().values()
            if weight > 0
        ]

    def mask(self, history: History) -> Tensor:
        """(B, I) bool, True for the items that may follow."""
        items = history.items if history.row is None else history.items[history.row]
        return allowed_items(items, history.length, self.learner.num_items + 1, self.repeats)

    def log_probabilities(self, history: History, state: Tensor | None = None) -> Tensor:
        """(B, I) log π̂(·|s), -inf where masked; `state` (B, D) is the learner's, where it is encoded already."""
        mask = self.mask(history)
        parts = [
            (log_weight, masked_log_softmax(policy.logits(state), mask))
            for log_weight, policy, state in self.parts(history, state)
        ]
        return log_mixture(parts, mask)

    @torch.no_grad()
    def probabilities(self, history: History) -> Tensor:
        """(B, I) π̂(·|s), zero where masked."""
        return self.log_probabilities(history).exp()

    def q(self, state: Tensor, critic: ItemHead | None = None) -> Tensor:
        """(B, I) Q(s, ·), of the learner's critic or another one."""
        return (critic or self.learner.critic)(state)

    def at(self, values: Tensor, action: Tensor) -> Tensor:
        """(B,) the entries of values (B, I) at the actions (B,)."""
        return values.gather(1, action.unsqueeze(1)).squeeze(1)

    def expectation(self, pi: Tensor, values: Tensor) -> Tensor:
        """(B,) Σ_a π(a|s)·values(a), both (B, I)."""
        return (pi * values).sum(1)

    @torch.no_grad()
    def act(
        self, history: History, exploration: Exploration, uniforms: Tensor, parts: list[Part] | None = None
    ) -> Tensor:
        """(B,) the items shown while learning: exploration selects by the behaviour policy.

        Args:
            history: what the users have interacted with.
            exploration: how actions are drawn.
            uniforms: (B, UNIFORMS) in [0, 1).
            parts: weights, policies and states of π̂, where they are encoded already.
        """
        mask = self.mask(history)
        pi = self.probabilities(history) if parts is None else mixed_probabilities(parts, mask)
        return exploration.select(self.behaviour(pi, mask, history), mask, uniforms)

    def behaviour(self, pi: Tensor, mask: Tensor, history: History) -> Tensor:
        """(B, I) the behaviour policy, from π̂(·|s) (B, I) and the mask (B, I): π̂ itself unless a subclass says else."""
        return pi

    def best(self, history: History) -> Tensor:
        """(B,) the most probable items of π̂."""
        return self.probabilities(history).argmax(1)

    def sample(self, history: History, uniforms: Tensor) -> Tensor:
        """(B,) items drawn from π̂ by the uniforms (B, 2)."""
        return sample_index(self.probabilities(history), uniforms[:, 0])


class Scratch(Scheme):
    """φ starts at random: the baselines without pre-training."""

    needs_pretrained = False

    @override
    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        assert fresh is not None
        self.learner = fresh


class FineTune(Scheme):
    """A-iALP_ft: φ starts at θ and all of it trains (section 4.2.2)."""

    @override
    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        assert pretrained is not None
        self.learner = pretrained


class Frozen(Scheme):
    """iALP as it is: θ acts, nothing learns, only evaluated."""

    trains = False

    @override
    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        assert pretrained is not None
        self.learner = pretrained.requires_grad_(False)
