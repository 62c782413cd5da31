import pytest
import torch
from torch import Tensor

from ialp.nets.response import ResponseNet, SequentialResponse


class FixedResponse(ResponseNet):
    """p of an item is the same whatever the history: what an episode must do can be worked out by hand."""

    def __init__(self, probabilities: list[float]) -> None:
        super().__init__(len(probabilities))
        self.logits = torch.tensor([0.0, *probabilities]).logit()

    def states(self, items: Tensor) -> Tensor:
        return items.unsqueeze(-1).float()

    def score(self, state: Tensor, items: Tensor) -> Tensor:
        return self.logits[items]

    def score_all(self, state: Tensor) -> Tensor:
        return self.logits.expand(len(state), -1)


@pytest.fixture
def fixed():
    return FixedResponse


@pytest.fixture
def net() -> SequentialResponse:
    """Untrained users with strong tastes: 30 items."""
    torch.manual_seed(0)
    net = SequentialResponse(30, dim=8, layers=1, heads=2)
    with torch.no_grad():
        net.encoder.item_embedding.weight *= 3
    return net
