"""What a finished run acted with, written down and read back: a mixture of policies, whichever scheme made it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl.columns import ALL, Columns
from ialp.rl.schemes.base import Scheme
from ialp.rl.support import SampledSoftmax

MIXTURE = "mixture.json"


def save_scheme(scheme: Scheme, run: Path, catalogue: str) -> None:
    """Writes each policy of the mixture into a folder of its own, then mixture.json with their weights."""
    shares = {}
    for name, (weight, policy) in scheme.mixture().items():
        policy.save_pretrained(run / name, catalogue)
        shares[name] = weight
    acting = {"repeats": scheme.repeats, "in_blocks": scheme.support.in_blocks}
    (run / MIXTURE).write_text(json.dumps({"weights": shares, **acting}, indent=2) + "\n")


class SavedPolicy(Scheme):
    """π̂ = Σ_i w_i·π_i over the policies of a finished run, for acting only.

    Args:
        weights: share of each policy, summing to one.
        policies: the policies, in the same order.
        repeats: whether shown items may be shown again.
    """

    trains = False

    def __init__(self, weights: list[float], policies: list[ActorCritic], repeats: bool = False) -> None:
        super().__init__()
        self.weights, self.repeats = weights, repeats
        self.policies = nn.ModuleList(policies).requires_grad_(False)
        self.learner = policies[-1]

    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        """Nothing to build: all parts are given."""

    @property
    def acting(self) -> list[tuple[float, ActorCritic]]:
        """The policies that have a share, with it."""
        policies = cast(Iterable[ActorCritic], self.policies)
        return [(weight, policy) for weight, policy in zip(self.weights, policies, strict=True) if weight > 0]

    @property
    def max_length(self) -> int:
        """The longest history that all of them read."""
        return min(int(policy.config["max_length"]) for _, policy in self.acting)

    def mixture(self) -> dict[str, tuple[float, ActorCritic]]:
        """The policies by their number."""
        policies = cast(Iterable[ActorCritic], self.policies)
        return {str(number): part for number, part in enumerate(zip(self.weights, policies, strict=True))}

    def log_probabilities(
        self,
        items: Tensor,
        length: Tensor,
        state: Tensor | None = None,
        row: Tensor | None = None,
        over: Columns = ALL,
    ) -> Tensor:
        """(B, M) log of the mixture."""
        mask = over.allowed(self, items, length, row)
        logs = [
            over.log_softmax(policy, policy.state(items, length, row), mask) + torch.tensor(weight).log()
            for weight, policy in self.acting
        ]
        return logs[0] if len(logs) == 1 else torch.stack(logs).logsumexp(0)


def load_policy(run: str | Path, catalogue: str | None = None) -> SavedPolicy:
    """The policy that a finished pretrain or online run ended with.

    Raises:
        UserError: no policy there, or one of another catalogue.
    """
    run = Path(run)
    if not (run / MIXTURE).is_file():
        return SavedPolicy([1.0], [ActorCritic.from_pretrained(run, catalogue)])
    try:
        saved = json.loads((run / MIXTURE).read_text())
        weights = {str(name): float(weight) for name, weight in saved["weights"].items()}
    except (ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{run / MIXTURE}: unreadable ({error}); the run is damaged, make it again") from None
    policies = [ActorCritic.from_pretrained(run / name, catalogue) for name in weights]
    policy = SavedPolicy(list(weights.values()), policies, bool(saved["repeats"]))
    if saved.get("in_blocks"):
        policy.support = SampledSoftmax()
    return policy
