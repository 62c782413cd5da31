"""The encoder, item by item."""

import pytest
import torch

from ialp.nets import SASRec

ITEMS = torch.tensor([[21, 3, 4, 5, 9], [22, 6, 1, 0, 0], [23, 7, 2, 8, 0]])  # users 0, 1, 2 of features come first
LENGTH = torch.tensor([5, 3, 4])


@pytest.fixture(params=[1, 2])
def net(request) -> SASRec:
    torch.manual_seed(0)
    net = SASRec(20, dim=8, layers=request.param, heads=2, max_length=6, num_users=3, user_width=4)
    net.set_user_features(torch.randn(3, 4))
    for parameter in net.parameters():  # biases and norms are not 0 and 1 for ever
        torch.nn.init.normal_(parameter, std=0.5)
    return net.eval()


@torch.no_grad()
def test_sasrec_append_equals_forward(net):
    states, cache = net(ITEMS), net.init_cache(3, 5)
    for t in range(5):
        rows = (t < LENGTH).nonzero().squeeze(1)
        state = net.append(cache, ITEMS[rows, t], torch.full_like(rows, t), rows)
        assert torch.allclose(state, states[rows, t], atol=1e-6)


@torch.no_grad()
def test_sasrec_cache_holds_histories_of_any_length_and_needs_no_clearing(net):
    states, cache = net(ITEMS), net.init_cache(3, 5)
    position = torch.tensor([0, 2, 1])  # user 1 ends first, then the others, and all begin anew
    for row in range(3):
        for t in range(int(position[row])):
            net.append(cache, ITEMS[[row], t], torch.tensor([t]), torch.tensor([row]))
    for _ in range(9):
        state = net.append(cache, ITEMS.gather(1, position[:, None]).squeeze(1), position)
        assert torch.allclose(state, states[torch.arange(3), position], atol=1e-6)
        position = (position + 1) % LENGTH
