import pytest
import torch

from ialp.errors import UserError
from ialp.rl import Categorical, EpsilonGreedy, Greedy, Reinforce
from ialp.rl.algorithms.returns import returns_to_go
from ialp.rl.schemes import Scratch
from tests.helpers.cases import EPISODES, PI, Q, constant_scheme, transition

TO_GO = torch.tensor([0.5 + 0.5 * 0.1, 0.1, 0.2 + 0.5 * 0.3 + 0.25 * 0.4, 0.3 + 0.5 * 0.4, 0.4])  # γ = 0.5


def test_returns_to_go_equal_hand_computed_numbers_and_stop_at_the_end_of_each_episode():
    assert torch.allclose(returns_to_go(EPISODES, 0.5), TO_GO, atol=1e-6)
    assert torch.allclose(returns_to_go(EPISODES, 0.0), EPISODES.reward, atol=1e-6)
    assert torch.allclose(returns_to_go(EPISODES, 1.0), torch.tensor([0.6, 0.1, 0.9, 0.7, 0.4]), atol=1e-6)


@pytest.mark.parametrize("baseline", ["state", "none"])
def test_reinforce_loss_equals_hand_computed_numbers(baseline):
    loss, logs = Reinforce(0.5, baseline, entropy_weight=0.1, critic_weight=2.0).loss(constant_scheme(), EPISODES)
    value = float((PI * Q).sum()) if baseline == "state" else 0.0
    taken = PI[torch.tensor([2, 3, 1, 3, 2]) - 1].log()  # the actions: 2, 3 and 1, 3, 2
    actor = -float((taken * (TO_GO - value)).mean())
    critic = float((TO_GO - value).square().mean()) if baseline == "state" else 0.0
    entropy = -float((PI * PI.log()).sum())
    assert float(logs["actor_loss"]) == pytest.approx(actor, abs=1e-5)
    assert float(loss.detach()) == pytest.approx(actor + 2 * critic - 0.1 * entropy, abs=1e-4)
    assert ("critic_loss" in logs) == (baseline == "state")


def test_reinforce_baseline_takes_no_part_in_the_gradient_of_the_actor():
    scheme = constant_scheme()
    Reinforce(0.5, entropy_weight=0.0, critic_weight=0.0).loss(scheme, EPISODES)[0].backward()
    assert not scheme.learner.critic.bias.grad.any()
    scheme.zero_grad()
    Reinforce(0.5, entropy_weight=0.0).loss(scheme, EPISODES)[0].backward()
    # ∂(G − V)²/∂Q(a) = −2·mean(G − V)·π(a)
    expected = -2 * float((TO_GO - (PI * Q).sum()).mean()) * PI
    assert torch.allclose(scheme.learner.critic.bias.grad[1:], expected, atol=1e-5)


def test_reinforce_without_a_baseline_does_not_train_the_critic():
    scheme = constant_scheme()
    Reinforce(baseline="none").setup(scheme)
    assert not any(parameter.requires_grad for parameter in scheme.learner.critic.parameters())


def test_reinforce_needs_whole_episodes():
    with pytest.raises(UserError, match="OnPolicyDataModule"):
        Reinforce().loss(constant_scheme(), transition())


@pytest.mark.parametrize(
    ("exploration", "whole_episodes", "key"),
    [
        (Categorical(), True, None),
        (Categorical(), False, "data.class_path"),
        (Categorical(0.5), True, "model.init_args.exploration Categorical"),
        (EpsilonGreedy(), True, "model.init_args.exploration EpsilonGreedy"),
        (Greedy(), True, "model.init_args.exploration Greedy"),
    ],
)
def test_reinforce_refuses_what_its_policy_did_not_draw(exploration, whole_episodes, key):
    reason = Reinforce().refusal(Scratch(), exploration, whole_episodes)
    assert reason is None if key is None else key in reason and "\n" not in reason
