import pytest
import torch

from ialp.nets import DeepFM


@pytest.fixture
def net() -> DeepFM:
    torch.manual_seed(0)
    net = DeepFM(num_items=5, num_users=3, user_width=2, item_width=4, dim=3, hidden=[6], dropout=0.5)
    for weight in net.parameters():
        torch.nn.init.normal_(weight, std=0.5)
    net.start_from(torch.rand(3, 2), torch.cat([torch.zeros(1, 4), torch.rand(5, 4)]), mean=3.0)
    return net.eval()


def histories(*users: int) -> torch.Tensor:
    """(B, 3): the user's token, then an item or none."""
    return torch.tensor([[6 + user, user + 1, 0] for user in users])


def test_deepfm_rate_is_linear_plus_pairwise_plus_deep_part(net):
    user, item = 1, 4
    fields = [
        net.user.weight[user],
        net.item.weight[item],
        net.of_user.weight @ net.user_features[user],
        net.of_item.weight @ net.item_features[item],
    ]
    linear = sum(field[0] for field in fields)
    vectors = [field[1:] for field in fields]
    pairs = sum(vectors[i] @ vectors[j] for i in range(4) for j in range(i))
    deep = net.deep(torch.cat(vectors)).squeeze()
    rated = net.rate(torch.tensor([user]), torch.tensor([item]))
    assert torch.allclose(rated, 3.0 + linear + pairs + deep, atol=1e-5)


def test_deepfm_starts_at_the_mean_rating():
    net = DeepFM(num_items=5, num_users=3, user_width=2, item_width=4)
    net.start_from(torch.rand(3, 2), torch.rand(6, 4), mean=2.5)
    rated = net.eval().rate(torch.tensor([0, 1, 2]), torch.tensor([1, 2, 5]))
    assert (rated - 2.5).abs().max() < 0.5


def test_deepfm_ratings_stay_in_bounds_and_depend_on_the_user_alone(net):
    items = histories(0, 2)
    table = net.table()
    assert table.shape == (3, 6) and table.min() >= 1 and table.max() <= 5
    assert torch.equal(net(items, torch.tensor([2, 1])), table[[0, 2]])
    item = torch.tensor([4, 2])
    expected = table[[0, 2], item]
    assert torch.equal(net.activation(net.score_item(items, torch.tensor([2, 1]), item)), expected)
    states = net.states(items)[:, 1]
    assert torch.allclose(net.activation(net.score(states, item.unsqueeze(1))).squeeze(1), expected, atol=1e-6)


def test_deepfm_table_is_made_anew_after_training(net):
    before = net.table()
    net.train()
    with torch.no_grad():
        net.mean += 1.0
    assert not torch.equal(net.eval().table(), before)


def test_deepfm_gradients_reach_every_part(net):
    net.train()
    net.rate(torch.tensor([0, 1]), torch.tensor([1, 2])).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in net.parameters())
