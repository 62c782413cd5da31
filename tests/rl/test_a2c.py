import pytest
import torch

from ialp.nets import ActorCritic
from ialp.rl import A2C
from ialp.schemes import Scratch
from ialp.types import Transition

PI = torch.tensor([0.5, 0.3, 0.2])  # of items 1, 2, 3
Q = torch.tensor([1.0, 2.0, 4.0])


def constant_scheme() -> Scratch:
    """A policy whose π and Q are the biases above, whatever the state."""
    policy = ActorCritic(num_items=3, dim=4, layers=1, heads=1, max_length=5)
    for head, bias in ((policy.actor, PI.log()), (policy.critic, Q)):
        torch.nn.init.zeros_(head.weight)
        with torch.no_grad():
            head.bias[1:] = bias
    scheme = Scratch()
    scheme.build(None, policy)
    scheme.repeats = True  # nothing but padding is masked
    return scheme


def transition(terminated: bool = False, truncated: bool = False) -> Transition:
    flags = torch.tensor([terminated]), torch.tensor([truncated])
    return Transition(torch.tensor([[1, 2, 0]]), torch.tensor([1]), torch.tensor([0.5]), *flags)


@pytest.mark.parametrize(
    ("baseline", "terminated", "truncated", "target"),
    [("state", False, False, 0.5 + 0.9 * 4), ("state", True, False, 0.5), ("state", False, True, 0.5 + 0.9 * 4)],
)
def test_losses_equal_hand_computed_numbers(baseline, terminated, truncated, target):
    algorithm = A2C(gamma=0.9, baseline=baseline, entropy_weight=0.1)
    loss, logs = algorithm.loss(constant_scheme(), transition(terminated, truncated))
    value = float((PI * Q).sum())  # 0.5 + 0.6 + 0.8
    actor = -float(PI[1].log()) * (target - value)
    critic = (target - 2.0) ** 2
    entropy = -float((PI * PI.log()).sum())
    assert float(logs["actor_loss"]) == pytest.approx(actor, abs=1e-5)
    assert float(logs["critic_loss"]) == pytest.approx(critic, abs=1e-4)
    assert float(logs["entropy"]) == pytest.approx(entropy, abs=1e-5)
    assert float(loss.detach()) == pytest.approx(actor + critic - 0.1 * entropy, abs=1e-4)


def test_the_papers_literal_advantage_is_an_option():
    _, logs = A2C(gamma=0.9, baseline="action").loss(constant_scheme(), transition())
    assert float(logs["advantage"]) == pytest.approx(0.5 + 0.9 * 4 - 2.0, abs=1e-5)


def test_the_next_state_masks_the_action_too():
    scheme = constant_scheme()
    scheme.repeats = False  # after 1 and 2 only item 3 is left, with Q = 4; at s, items 2 and 3
    _, logs = A2C(gamma=0.5).loss(scheme, transition())
    value = (0.3 * 2 + 0.2 * 4) / 0.5
    assert float(logs["advantage"]) == pytest.approx(0.5 + 0.5 * 4 - value, abs=1e-5)


def test_no_gradient_flows_through_target_value_or_advantage():
    scheme = constant_scheme()
    loss, _ = A2C(gamma=0.9, entropy_weight=0.0, critic_weight=0.0).loss(scheme, transition())
    loss.backward()
    assert scheme.learner.critic.bias.grad is None or not scheme.learner.critic.bias.grad.any()
