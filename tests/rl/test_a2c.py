import pytest
import torch

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl import A2C, Greedy
from ialp.rl.schemes import Scratch
from ialp.types import History, Transition
from tests.helpers.cases import EPISODES, PI, Q, constant_scheme, one_by_one, transition


@pytest.mark.parametrize(
    ("baseline", "terminated", "truncated", "target"),
    [("state", False, False, 0.5 + 0.9 * 4), ("state", True, False, 0.5), ("state", False, True, 0.5 + 0.9 * 4)],
)
def test_a2c_loss_equals_hand_computed_numbers(baseline, terminated, truncated, target):
    algorithm = A2C(gamma=0.9, baseline=baseline, entropy_weight=0.1, bootstrap="max")
    loss, logs = algorithm.loss(constant_scheme(), transition(terminated, truncated))
    value = float((PI * Q).sum())  # 0.5 + 0.6 + 0.8
    actor = -float(PI[1].log()) * (target - value)
    critic = (target - 2.0) ** 2
    entropy = -float((PI * PI.log()).sum())
    assert float(logs["actor_loss"]) == pytest.approx(actor, abs=1e-5)
    assert float(logs["critic_loss"]) == pytest.approx(critic, abs=1e-4)
    assert float(logs["entropy"]) == pytest.approx(entropy, abs=1e-5)
    assert float(loss.detach()) == pytest.approx(actor + critic - 0.1 * entropy, abs=1e-4)


def test_a2c_baseline_action_is_the_papers_literal_advantage():
    _, logs = A2C(gamma=0.9, baseline="action", bootstrap="max").loss(constant_scheme(), transition())
    assert float(logs["advantage"]) == pytest.approx(0.5 + 0.9 * 4 - 2.0, abs=1e-5)


def test_a2c_next_state_masks_the_action_too():
    scheme = constant_scheme()
    scheme.repeats = False  # after 1 and 2 only item 3 is left, with Q = 4; at s, items 2 and 3
    _, logs = A2C(gamma=0.5, bootstrap="max").loss(scheme, transition())
    value = (0.3 * 2 + 0.2 * 4) / 0.5
    assert float(logs["advantage"]) == pytest.approx(0.5 + 0.5 * 4 - value, abs=1e-5)


@pytest.mark.parametrize("bootstrap", ["max", "policy"])
def test_a2c_bootstrap_is_the_value_of_the_next_state(bootstrap):
    torch.manual_seed(0)
    scheme = Scratch()
    scheme.build(None, ActorCritic(num_items=6, dim=8, layers=1, heads=2, max_length=5))
    for parameter in scheme.learner.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    _, logs = A2C(gamma=0.5, baseline="action", bootstrap=bootstrap).loss(scheme, transition())
    learner = scheme.learner
    before, after = (learner.state(History(torch.tensor([[1, 2]]), torch.tensor([length]))) for length in (1, 2))
    left = [3, 4, 5, 6]  # the state's item and the action were shown
    q = learner.critic(after)[0, left]
    following = q.max() if bootstrap == "max" else (learner.actor(after)[0, left].softmax(0) * q).sum()
    expected = 0.5 + 0.5 * float(following) - float(learner.critic(before)[0, 2])
    assert float(logs["advantage"]) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("bootstrap", ["max", "policy"])
@pytest.mark.parametrize("baseline", ["state", "action"])
def test_a2c_whole_episodes_give_the_loss_of_their_transitions_one_by_one(bootstrap, baseline):
    torch.manual_seed(0)
    scheme = Scratch()
    scheme.build(None, ActorCritic(num_items=6, dim=8, layers=2, heads=2, max_length=5))
    for parameter in scheme.learner.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    algorithm = A2C(gamma=0.9, baseline=baseline, bootstrap=bootstrap)
    losses, gradients = [], []
    for batch in (EPISODES, one_by_one(EPISODES)):
        scheme.zero_grad()
        loss, _ = algorithm.loss(scheme, batch)
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(torch.cat([parameter.grad.flatten() for parameter in scheme.parameters()]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert torch.allclose(*gradients, atol=1e-5)
    singles = [algorithm.loss(scheme, alone(one_by_one(EPISODES), index))[0] for index in range(5)]
    assert losses[0] == pytest.approx(float(torch.stack(singles).mean().detach()), abs=1e-6)


def alone(batch: Transition, index: int) -> Transition:
    here = slice(index, index + 1)
    flags = batch.terminated[here], batch.truncated[here]
    return Transition(batch.items[here], batch.length[here], batch.reward[here], *flags)


def test_a2c_trace_equals_hand_computed_lambda_returns():
    # Everything follows with 1.9 = Σ π·Q. γ = 0.5, λ = 0.5. First episode, from its end: y = 0.1, since the user left;
    # 0.5 + 0.5·(0.5·1.9 + 0.5·0.1) = 1. Second: 0.4 + 0.5·1.9 = 1.35, cut; 0.3 + 0.5·(0.95 + 0.675) = 1.1125;
    # 0.2 + 0.5·(0.95 + 0.55625) = 0.953125.
    algorithm = A2C(gamma=0.5, bootstrap="policy", trace=0.5)
    expected = torch.tensor([1.0, 0.1, 0.953125, 1.1125, 1.35])
    following = torch.full((5,), float((PI * Q).sum()))
    assert torch.allclose(algorithm.target(EPISODES, following), expected, atol=1e-6)
    _, logs = algorithm.loss(constant_scheme(), EPISODES)
    assert float(logs["advantage"]) == pytest.approx(float(expected.mean()) - 1.9, abs=1e-5)


def test_a2c_trace_needs_whole_episodes():
    with pytest.raises(UserError, match="OnPolicyDataModule"):
        A2C(trace=0.9).loss(constant_scheme(), transition())


def test_a2c_gradient_does_not_flow_through_target_value_or_advantage():
    scheme = constant_scheme()
    loss, _ = A2C(gamma=0.9, entropy_weight=0.0, critic_weight=0.0).loss(scheme, transition())
    loss.backward()
    assert scheme.learner.critic.bias.grad is None or not scheme.learner.critic.bias.grad.any()


def test_a2c_trace_is_refused_on_replayed_transitions():
    assert A2C(trace=0.5).refusal(Scratch(), Greedy(), whole_episodes=True) is None
    assert "data.class_path" in A2C(trace=0.5).refusal(Scratch(), Greedy(), whole_episodes=False)
