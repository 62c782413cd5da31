import pytest
import torch

from ialp.errors import UserError
from ialp.nets.response import SequentialResponse


@pytest.fixture
def net() -> SequentialResponse:
    torch.manual_seed(0)
    net = SequentialResponse(20, dim=8, layers=1, heads=2, dropout=0.3).eval()
    torch.nn.init.normal_(net.bias)
    net.intercept.fill_(-0.7)
    return net


HISTORY, LENGTH = torch.tensor([[3, 4, 5, 0], [6, 0, 0, 0]]), torch.tensor([3, 1])


@torch.no_grad()
def test_sequential_response_logit_by_hand(net):
    logits = net(HISTORY, LENGTH)
    state = net.encoder(HISTORY)[0, 2]
    assert logits.shape == (2, 21)
    assert logits[0, 9] == pytest.approx(
        float(state @ net.encoder.item_embedding.weight[9] + net.bias[9] - 0.7), abs=1e-5
    )
    item = torch.tensor([9, 14])
    assert torch.allclose(net.score_item(HISTORY, LENGTH, item), logits[torch.arange(2), item], atol=1e-6)


@torch.no_grad()
def test_sequential_response_ignores_items_past_the_length(net):
    longer = torch.tensor([[3, 4, 5, 17, 2]])
    assert torch.allclose(net(longer, torch.tensor([3])), net(HISTORY[:1], LENGTH[:1]), atol=1e-6)


def test_sequential_response_refuses_a_history_that_is_too_long(net):
    with pytest.raises(UserError, match=r"a history of 33 items, but this net was built for 32 \(max_length"):
        net(torch.ones(1, 33, dtype=torch.int64), torch.tensor([33]))
