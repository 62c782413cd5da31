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
def test_a_logit_is_state_times_item_plus_bias_plus_intercept(net):
    logits = net(HISTORY, LENGTH)
    state = net.encoder(HISTORY)[0, 2]
    assert logits.shape == (2, 21)
    assert logits[0, 9] == pytest.approx(float(state @ net.vectors[9] + net.bias[9] - 0.7), abs=1e-5)
    item = torch.tensor([9, 14])
    assert torch.allclose(net.score_item(HISTORY, LENGTH, item), logits[torch.arange(2), item], atol=1e-6)


@torch.no_grad()
def test_what_follows_a_history_does_not_count(net):
    longer = torch.tensor([[3, 4, 5, 17, 2]])
    assert torch.allclose(net(longer, torch.tensor([3])), net(HISTORY[:1], LENGTH[:1]), atol=1e-6)


def test_a_history_longer_than_the_net_reads_is_refused(net):
    with pytest.raises(UserError, match=r"a history of 33 items, but this net was built for 32 \(max_length"):
        net(torch.ones(1, 33, dtype=torch.int64), torch.tensor([33]))
