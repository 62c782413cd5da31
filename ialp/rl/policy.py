"""What algorithms ask of the policy that they train."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from ialp.masking import masked_log_softmax
from ialp.nets import ActorCritic
from ialp.nets.actor_critic import ItemHead
from ialp.types import History

Part = tuple[float, ActorCritic, Tensor]
"""Weight, policy and its states (B, D), of each policy of a mixture that acts."""

LogPart = tuple[Tensor, ActorCritic, Tensor]
"""Log-weight (), policy and its states (B, D), of each policy of a mixture that learns."""


class Policy(Protocol):
    """π̂ and the learner φ in it; `Scheme` implements it. Shapes: B histories, D width, I items.

    Attributes:
        learner: φ, whose encoder and critic learn and whose actor takes part in π̂.
        mixes_policies: whether π̂ is a mixture of several policies.
        samples_policy: whether actions are drawn from π̂ itself while learning.
    """

    learner: ActorCritic
    mixes_policies: bool
    samples_policy: bool

    def mask(self, history: History) -> Tensor:
        """(B, I) bool, True for the items that may follow."""
        ...

    def log_probabilities(self, history: History, state: Tensor | None = None) -> Tensor:
        """(B, I) log π̂(·|s), -inf where masked; `state` (B, D) is the learner's, where it is encoded already."""
        ...

    def q(self, state: Tensor, critic: ItemHead | None = None) -> Tensor:
        """(B, I) Q(s, ·), of the learner's critic or another one."""
        ...

    def at(self, values: Tensor, action: Tensor) -> Tensor:
        """(B,) the entries of values (B, I) at the actions (B,)."""
        ...

    def expectation(self, pi: Tensor, values: Tensor) -> Tensor:
        """(B,) Σ_a π(a|s)·values(a), both (B, I)."""
        ...


def entropy(policy: Policy, pi: Tensor, log_pi: Tensor) -> Tensor:
    """() mean entropy in nats of π̂ and its log, both (B, I), -inf where masked."""
    return -policy.expectation(pi, log_pi.masked_fill(log_pi == -torch.inf, 0.0)).mean()


def log_mixture(parts: Sequence[tuple[Tensor, Tensor]], mask: Tensor) -> Tensor:
    """(B, I) log Σ_k w_k·π_k of log-weights () and log-probabilities (B, I), -inf where the mask (B, I) is False."""
    if len(parts) == 1:
        return parts[0][1]
    # The masked entries are -inf on all sides, whose logaddexp has no gradient: keep them out of it.
    total, *others = [log_pi.masked_fill(~mask, 0.0) + log_weight for log_weight, log_pi in parts]
    for other in others:
        total = torch.logaddexp(total, other)
    return total.masked_fill(~mask, -torch.inf)


def mixed_probabilities(parts: Sequence[Part], mask: Tensor) -> Tensor:
    """(B, I) Σ_k w_k·π_k(·|s), zero where the mask (B, I) is False."""
    mixed = torch.zeros(mask.shape, device=mask.device)
    for weight, policy, state in parts:
        mixed += weight * masked_log_softmax(policy.logits(state), mask).exp()
    return mixed
