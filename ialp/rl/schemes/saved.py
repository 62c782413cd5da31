"""The policy of a finished run: a mixture of saved policies, whichever scheme made it."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn
from typing_extensions import override

from ialp.classes import find_class
from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl.policy import LogPart
from ialp.rl.schemes.base import Scheme
from ialp.types import History

MIXTURE = "mixture.json"


def save_scheme(scheme: Scheme, run: Path, catalogue: str) -> None:
    """Writes each policy of the mixture into a folder of its own, then mixture.json with their weights."""
    weights = {}
    for name, (weight, policy) in scheme.mixture().items():
        policy.save_pretrained(run / name, catalogue)
        weights[name] = weight
    acting = {"class_path": scheme.saved_class, "repeats": scheme.repeats}
    (run / MIXTURE).write_text(json.dumps({"weights": weights, **acting}, indent=2) + "\n")


class SavedPolicy(Scheme):
    """π̂ = Σ_k w_k·π_k over the policies of a finished run, for acting only.

    Args:
        weights: of the policies, summing to one.
        policies: in the same order.
        repeats: whether shown items may be shown again.
    """

    trains = False

    def __init__(self, weights: list[float], policies: list[ActorCritic], repeats: bool = False) -> None:
        super().__init__()
        self.weights, self.repeats = weights, repeats
        self.policies = nn.ModuleList(policies).requires_grad_(False)
        self.learner = policies[-1]

    @override
    def build(self, pretrained: ActorCritic | None, fresh: ActorCritic | None) -> None:
        pass

    @property
    def acting(self) -> list[tuple[float, ActorCritic]]:
        """The policies whose weight is above 0, with it."""
        policies = cast(Iterable[ActorCritic], self.policies)
        return [(weight, policy) for weight, policy in zip(self.weights, policies, strict=True) if weight > 0]

    @property
    def max_length(self) -> int:
        """The longest history that all of them read."""
        return min(int(policy.config["max_length"]) for _, policy in self.acting)

    @override
    def mixture(self) -> dict[str, tuple[float, ActorCritic]]:
        policies = cast(Iterable[ActorCritic], self.policies)
        return {str(number): part for number, part in enumerate(zip(self.weights, policies, strict=True))}

    @override
    def parts(self, history: History, state: Tensor | None = None) -> list[LogPart]:
        return [(torch.tensor(weight).log(), policy, policy.state(history)) for weight, policy in self.acting]


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
        acting, repeats = find_class(saved["class_path"]), bool(saved["repeats"])
    except (ValueError, KeyError, AttributeError, LookupError) as error:
        raise UserError(f"{run / MIXTURE}: unreadable ({error}); the run is damaged, make it again") from None
    policies = [ActorCritic.from_pretrained(run / name, catalogue) for name in weights]
    return acting(list(weights.values()), policies, repeats)
