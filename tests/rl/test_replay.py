import torch

from ialp.rl import ReplayBuffer
from ialp.types import Transition


def batch(first: int, size: int = 3) -> Transition:
    reward = torch.arange(first, first + size).float()
    items = torch.arange(size * 4).reshape(size, 4)
    length = torch.tensor([1, 2, 3])[:size]
    never = torch.zeros(size, dtype=torch.bool)
    return Transition(items, length, reward, never, ~never, items[:, :2], length)


def test_replay_buffer_keeps_the_latest():
    buffer = ReplayBuffer(capacity=4)
    buffer.add(batch(0))
    buffer.add(batch(3))
    assert len(buffer) == 4
    assert sorted(buffer.columns["reward"].tolist()) == [2, 3, 4, 5]


def test_replay_buffer_samples_whole_transitions():
    buffer = ReplayBuffer(capacity=10)
    buffer.add(batch(0))
    drawn = buffer.sample(50)
    assert set(drawn.reward.tolist()) == {0.0, 1.0, 2.0}
    rows = drawn.reward.long()
    assert torch.equal(drawn.items, batch(0).items[rows])
    assert torch.equal(drawn.action, batch(0).action[rows])
    assert drawn.action.min() == 1  # row 0: length 1 → the second id


def test_replay_buffer_restored_draws_the_same_minibatches():
    buffer = ReplayBuffer(capacity=10, seed=3)
    buffer.add(batch(0))
    buffer.sample(5)
    copy = ReplayBuffer(capacity=10)
    copy.load_state_dict(buffer.state_dict())
    assert torch.equal(buffer.sample(20).reward, copy.sample(20).reward)
