import copy

import pytest
import torch

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl import A2C, ConstantAlpha, Greedy, LinearAlpha
from ialp.rl.exploration import UNIFORMS, sample_index
from ialp.rl.policy import mixed_probabilities
from ialp.rl.schemes import FineTune, Frozen, PolicySet, Scratch, load_policy, save_scheme
from ialp.types import History, Transition

NET = {"num_items": 30, "dim": 8, "layers": 1, "heads": 2, "max_length": 8}
ITEMS = torch.tensor([[3, 7, 2, 0, 0], [9, 1, 0, 0, 0], [4, 0, 0, 0, 0]])
LENGTH = torch.tensor([3, 2, 1])
HISTORY = History(ITEMS, LENGTH)


def theta() -> ActorCritic:
    torch.manual_seed(0)
    policy = ActorCritic(**NET)
    torch.nn.init.normal_(policy.actor.weight)
    return policy


def built(scheme, start=None):
    torch.manual_seed(1)
    scheme.build(start or theta(), ActorCritic(**NET))
    return scheme


def transitions() -> Transition:
    flags = torch.zeros(3, dtype=torch.bool)
    items = ITEMS.clone()
    items[torch.arange(3), LENGTH] = torch.tensor([11, 12, 13])
    return Transition(items, LENGTH, torch.tensor([1.0, 0.0, 0.5]), flags, flags)


def gradient(policy: ActorCritic) -> float:
    return sum(float(p.grad.abs().sum()) for p in policy.parameters() if p.grad is not None)


def test_policy_set_at_zero_acts_exactly_as_frozen():
    frozen, both = built(Frozen()), built(PolicySet(ConstantAlpha(0.0)))
    assert torch.equal(frozen.probabilities(HISTORY), both.probabilities(HISTORY))


def test_policy_set_at_one_acts_exactly_as_its_learner():
    both = built(PolicySet(ConstantAlpha(1.0)))
    alone = Scratch()
    alone.build(None, both.learner)
    assert torch.equal(alone.probabilities(HISTORY), both.probabilities(HISTORY))


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.1, 0.5, 0.999, 1.0])
def test_policy_set_mixture_is_the_weighted_sum_and_sums_to_one(alpha):
    both = built(PolicySet(ConstantAlpha(alpha)))
    at_0, at_1 = built(PolicySet(ConstantAlpha(0.0))), built(PolicySet(ConstantAlpha(1.0)))
    mixture = both.probabilities(HISTORY)
    expected = (1 - alpha) * at_0.probabilities(HISTORY) + alpha * at_1.probabilities(HISTORY)
    assert torch.allclose(mixture, expected, atol=1e-6)
    assert torch.allclose(mixture.sum(1), torch.ones(3), atol=1e-6)
    shown = torch.zeros_like(mixture).scatter(1, ITEMS, 1.0).bool()
    assert not mixture[shown].any()


def test_policy_set_trains_the_learner_and_only_the_learner():
    both = built(PolicySet(ConstantAlpha(0.1)))
    before = copy.deepcopy(both.theta.state_dict())
    optimizer = torch.optim.SGD([p for p in both.parameters() if p.requires_grad], lr=0.1)
    loss, _ = A2C().loss(both, transitions())
    loss.backward()
    assert gradient(both.learner) > 0 and float(both.learner.actor.weight.grad.abs().sum()) > 0
    assert all(torch.isfinite(p.grad).all() for p in both.learner.parameters() if p.grad is not None)
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in both.theta.state_dict().items())


def test_policy_set_at_zero_gives_the_actor_no_gradient():
    both = built(PolicySet(ConstantAlpha(0.0)))
    loss, _ = A2C(entropy_weight=0.0).loss(both, transitions())
    loss.backward()
    grad = both.learner.actor.weight.grad
    assert grad is None or not grad.any()


def test_policy_set_learner_starts_as_asked():
    start = theta()
    new_actor = built(PolicySet(learner_start="new_actor"), start).learner
    everything = built(PolicySet(learner_start="pretrained"), start).learner
    nothing = built(PolicySet(learner_start="random"), start).learner
    embedding = start.encoder.item_embedding.weight
    assert torch.equal(new_actor.encoder.item_embedding.weight, embedding)
    assert not torch.equal(new_actor.actor.weight, start.actor.weight)
    assert torch.equal(everything.actor.weight, start.actor.weight)
    assert not torch.equal(nothing.encoder.item_embedding.weight, embedding)


def test_policy_set_alpha_follows_its_schedule():
    both = built(PolicySet(LinearAlpha(0.1, 100)))
    assert both.on_environment_steps(50)["alpha"] == pytest.approx(0.55)
    assert float(both.alpha) == pytest.approx(0.55)


def test_scheme_probabilities_do_not_depend_on_the_batch():
    both = built(PolicySet(ConstantAlpha(0.4)))
    together = both.probabilities(HISTORY)
    alone = torch.cat([both.probabilities(HISTORY.select(torch.tensor([i]))) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("scheme", [Scratch, FineTune, Frozen, lambda: PolicySet(ConstantAlpha(0.3))])
def test_saved_policy_acts_as_the_scheme_did(scheme, tmp_path):
    acting = built(scheme())
    save_scheme(acting, tmp_path, "abc")
    loaded = load_policy(tmp_path, "abc")
    assert torch.allclose(loaded.probabilities(HISTORY), acting.probabilities(HISTORY), atol=1e-6)


def test_load_policy_refuses_another_catalogue(tmp_path):
    save_scheme(built(FineTune()), tmp_path, "abc")
    with pytest.raises(UserError, match="another catalogue"):
        load_policy(tmp_path, "xyz")
    with pytest.raises(UserError, match=r"policy/config\.json is missing"):
        load_policy(tmp_path / "nowhere")


def test_scheme_shared_rows_give_what_rows_of_their_own_give():
    both = built(PolicySet(ConstantAlpha(0.4)))
    row, length = torch.tensor([0, 0, 1]), torch.tensor([1, 3, 2])
    shared, own = History(ITEMS, length, row), History(ITEMS[row], length)
    assert torch.equal(both.mask(shared), both.mask(own))
    assert torch.allclose(both.probabilities(shared), both.probabilities(own), atol=1e-6)


def test_scheme_acts_by_exploration_and_best_is_the_argmax():
    both = built(PolicySet(ConstantAlpha(0.4)))
    best = both.probabilities(HISTORY).argmax(1)
    assert torch.equal(both.best(HISTORY), best)
    assert torch.equal(both.act(HISTORY, Greedy(), torch.zeros(3, UNIFORMS)), best)
    uniforms = torch.tensor([[0.1, 0.0], [0.5, 0.0], [0.9, 0.0]])
    sampled = both.sample(HISTORY, uniforms)
    assert torch.equal(sampled, sample_index(both.probabilities(HISTORY), uniforms[:, 0]))


def test_policy_set_parts_sum_to_the_mixture():
    """What acting puts together from encoded states is what the loss differentiates."""
    both = built(PolicySet(ConstantAlpha(0.4)))
    parts = [(weight, policy, policy.state(HISTORY)) for weight, policy in both.mixture().values()]
    mixed = mixed_probabilities(parts, both.mask(HISTORY))
    assert torch.allclose(mixed, both.probabilities(HISTORY), atol=1e-6)
