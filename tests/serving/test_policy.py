"""The exportable form of a policy."""

import pytest
import torch

from ialp.nets import SASRec
from ialp.serving.policy import encode


@pytest.mark.parametrize("layers", [1, 3])
@pytest.mark.parametrize("users", [0, 5])
def test_served_policy_states_are_those_of_the_encoder(layers, users):
    """Every weight random, biases and norms too: none may be forgotten."""
    torch.manual_seed(0)
    encoder = SASRec(9, dim=16, layers=layers, heads=4, max_length=7, num_users=users, user_width=3 if users else 0)
    for parameter in encoder.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    encoder.eval().double()
    items = torch.randint(0, 10 + users, (4, 7))
    for time in (1, 4, 7):
        torch.testing.assert_close(encode(encoder, items[:, :time]), encoder(items[:, :time]))
