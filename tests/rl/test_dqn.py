import copy

import pytest
import torch

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl import A2C, DQN, Greedy
from ialp.rl.schemes import FineTune, PolicySet, Scratch, load_policy, save_scheme
from ialp.types import History, Transition
from tests.helpers.cases import EPISODES, Q, constant_scheme, one_by_one, transition

DELAYED = torch.tensor([3.0, 8.0, 1.0])  # Q⁻ of items 1, 2, 3, where Q is 1, 2, 4


def prepared(repeats: bool = True, **arguments) -> tuple[Scratch, DQN]:
    scheme, algorithm = constant_scheme(), DQN(**arguments)
    scheme.repeats = repeats
    algorithm.setup(scheme)
    with torch.no_grad():
        algorithm.target.critic.bias[1:] = DELAYED
    return scheme, algorithm


@pytest.mark.parametrize(
    ("double_q", "terminated", "truncated", "target"),
    [
        (False, False, False, 0.5 + 0.9 * 8),  # the largest Q⁻
        (True, False, False, 0.5 + 0.9 * 1),  # Q says item 3, Q⁻ what it is worth
        (True, True, False, 0.5),
        (True, False, True, 0.5 + 0.9 * 1),
    ],
)
def test_dqn_loss_equals_hand_computed_numbers(double_q, terminated, truncated, target):
    scheme, algorithm = prepared(gamma=0.9, double_q=double_q)
    loss, logs = algorithm.loss(scheme, transition(terminated, truncated))
    assert float(logs["target"]) == pytest.approx(target, abs=1e-5)
    assert float(loss.detach()) == pytest.approx((target - 2.0) ** 2, abs=1e-4)


@pytest.mark.parametrize("double_q", [False, True])
def test_dqn_shown_items_are_no_actions_at_the_next_state(double_q):
    scheme, algorithm = prepared(repeats=False, gamma=0.5, double_q=double_q)  # after 1 and 2 only item 3 is left
    _, logs = algorithm.loss(scheme, transition())
    assert float(logs["target"]) == pytest.approx(0.5 + 0.5 * 1.0, abs=1e-6)


def test_dqn_target_is_finite_where_the_user_left_with_everything_shown():
    scheme, algorithm = prepared(repeats=False)
    flags = torch.tensor([True]), torch.tensor([False])
    batch = Transition(torch.tensor([[1, 2, 3, 0]]), torch.tensor([2]), torch.tensor([0.5]), *flags)
    assert float(algorithm.loss(scheme, batch)[1]["target"]) == 0.5


def test_dqn_gradient_reaches_q_of_the_action_alone():
    scheme, algorithm = prepared(gamma=0.9, double_q=False)
    algorithm.loss(scheme, transition())[0].backward()
    # ∂(y − Q)²/∂Q(2) = −2·(y − 2)
    expected = torch.tensor([0.0, 0.0, -2 * (0.5 + 0.9 * 8 - 2.0), 0.0])
    assert torch.allclose(scheme.learner.critic.bias.grad, expected, atol=1e-4)
    assert all(parameter.grad is None for parameter in algorithm.target.parameters())
    assert all(parameter.grad is None for parameter in scheme.learner.actor.parameters())


def learner_moved(algorithm: DQN, scheme: Scratch, updates: int) -> torch.Tensor:
    algorithm.on_update(scheme, updates)
    return algorithm.target.critic.bias[1:]


def test_dqn_target_is_copied_every_so_many_updates():
    scheme, algorithm = prepared(target_every=3)
    assert torch.equal(learner_moved(algorithm, scheme, 1), DELAYED)
    assert torch.equal(learner_moved(algorithm, scheme, 2), DELAYED)
    assert torch.equal(learner_moved(algorithm, scheme, 3), Q)


def test_dqn_target_follows_softly():
    scheme, algorithm = prepared(tau=0.25)
    assert torch.allclose(learner_moved(algorithm, scheme, 1), DELAYED + 0.25 * (Q - DELAYED))


def test_dqn_target_starts_as_the_learner_and_is_part_of_the_state():
    scheme, algorithm = constant_scheme(), DQN()
    algorithm.setup(scheme)
    assert torch.equal(algorithm.target.critic.bias, scheme.learner.critic.bias)
    kept = copy.deepcopy(algorithm.state_dict())
    with torch.no_grad():
        algorithm.target.critic.bias[1:] = DELAYED
    algorithm.load_state_dict(kept)
    assert torch.equal(algorithm.target.critic.bias[1:], Q)
    assert not any(parameter.requires_grad for parameter in algorithm.parameters())


@pytest.mark.parametrize("double_q", [False, True])
def test_dqn_whole_episodes_give_the_loss_of_their_transitions_one_by_one(double_q):
    torch.manual_seed(0)
    scheme, algorithm = Scratch(), DQN(double_q=double_q)
    scheme.build(None, ActorCritic(num_items=6, dim=8, layers=2, heads=2, max_length=5))
    for parameter in scheme.learner.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    algorithm.setup(scheme)
    for parameter in algorithm.target.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    losses = [float(algorithm.loss(scheme, batch)[0].detach()) for batch in (EPISODES, one_by_one(EPISODES))]
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)


def test_dqn_policy_is_the_softmax_of_q_wherever_it_acts(tmp_path):
    scheme, _ = prepared(repeats=False, temperature=2.0)
    history = History(torch.tensor([[1, 0]]), torch.tensor([1]))
    expected = torch.tensor([[0.0, 0.0, *(Q[1:] / 2).softmax(0).tolist()]])  # padding, what was shown, items 2 and 3
    assert torch.allclose(scheme.probabilities(history), expected, atol=1e-6)
    save_scheme(scheme, tmp_path, "abc")
    assert torch.allclose(load_policy(tmp_path, "abc").probabilities(history), expected, atol=1e-6)


def test_dqn_refuses_a_mixture_of_policies():
    assert "model.init_args.scheme PolicySet" in DQN().refusal(PolicySet(), Greedy(), whole_episodes=False)
    for scheme in (Scratch(), FineTune()):
        assert DQN().refusal(scheme, Greedy(), whole_episodes=False) is None


def test_a2c_does_not_go_on_from_a_policy_of_q():
    scheme, _ = prepared()
    DQN().setup(scheme)
    with pytest.raises(UserError, match="acts by its Q"):
        A2C().setup(scheme)


@pytest.mark.parametrize("arguments", [{"target_every": 0}, {"tau": 1.5}, {"temperature": 0.0}])
def test_dqn_refuses_senseless_arguments(arguments):
    with pytest.raises(UserError, match="DQN takes"):
        DQN(**arguments)
