import copy

import pytest
import torch

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl import A2C, ConstantAlpha, GatedAlpha, LinearAlpha
from ialp.rl.schemes import FineTune, Frozen, PolicySet, Scratch, load_policy, save_scheme
from ialp.types import Transition

NET = {"num_items": 30, "dim": 8, "layers": 1, "heads": 2, "max_length": 8}
ITEMS = torch.tensor([[3, 7, 2, 0, 0], [9, 1, 0, 0, 0], [4, 0, 0, 0, 0]])
LENGTH = torch.tensor([3, 2, 1])


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
    assert torch.equal(frozen.probabilities(ITEMS, LENGTH), both.probabilities(ITEMS, LENGTH))


def test_policy_set_at_one_acts_exactly_as_its_learner():
    both = built(PolicySet(ConstantAlpha(1.0)))
    alone = Scratch()
    alone.build(None, both.learner)
    assert torch.equal(alone.probabilities(ITEMS, LENGTH), both.probabilities(ITEMS, LENGTH))


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.1, 0.5, 0.999, 1.0])
def test_mixture_is_the_weighted_sum_and_sums_to_one(alpha):
    both = built(PolicySet(ConstantAlpha(alpha)))
    at_0, at_1 = built(PolicySet(ConstantAlpha(0.0))), built(PolicySet(ConstantAlpha(1.0)))
    mixture = both.probabilities(ITEMS, LENGTH)
    expected = (1 - alpha) * at_0.probabilities(ITEMS, LENGTH) + alpha * at_1.probabilities(ITEMS, LENGTH)
    assert torch.allclose(mixture, expected, atol=1e-6)
    assert torch.allclose(mixture.sum(1), torch.ones(3), atol=1e-6)
    shown = torch.zeros_like(mixture).scatter(1, ITEMS, 1.0).bool()
    assert not mixture[shown].any()


def test_policy_set_trains_the_learner_and_only_the_learner():
    both = built(PolicySet(ConstantAlpha(0.1)))
    before = copy.deepcopy(both.frozen.state_dict())
    optimizer = torch.optim.SGD([p for p in both.parameters() if p.requires_grad], lr=0.1)
    loss, _ = A2C().loss(both, transitions())
    loss.backward()
    assert gradient(both.learner) > 0 and float(both.learner.actor.weight.grad.abs().sum()) > 0
    assert all(torch.isfinite(p.grad).all() for p in both.learner.parameters() if p.grad is not None)
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in both.frozen.state_dict().items())


def test_at_alpha_zero_the_new_actor_has_no_gradient():
    both = built(PolicySet(ConstantAlpha(0.0)))
    loss, _ = A2C(entropy_weight=0.0).loss(both, transitions())
    loss.backward()
    grad = both.learner.actor.weight.grad
    assert grad is None or not grad.any()


def test_what_the_learner_starts_from():
    start = theta()
    new_actor = built(PolicySet(learner_start="new_actor"), start).learner
    everything = built(PolicySet(learner_start="pretrained"), start).learner
    nothing = built(PolicySet(learner_start="random"), start).learner
    embedding = start.encoder.item_embedding.weight
    assert torch.equal(new_actor.encoder.item_embedding.weight, embedding)
    assert not torch.equal(new_actor.actor.weight, start.actor.weight)
    assert torch.equal(everything.actor.weight, start.actor.weight)
    assert not torch.equal(nothing.encoder.item_embedding.weight, embedding)


def test_alpha_follows_its_schedule():
    both = built(PolicySet(LinearAlpha(0.1, 100)))
    assert both.advance(50)["alpha"] == pytest.approx(0.55)
    assert float(both.alpha) == pytest.approx(0.55)


def test_users_at_once_act_as_each_alone():
    both = built(PolicySet(ConstantAlpha(0.4)))
    together = both.probabilities(ITEMS, LENGTH)
    alone = torch.cat([both.probabilities(ITEMS[i : i + 1], LENGTH[i : i + 1]) for i in range(3)])
    assert torch.allclose(together, alone, atol=1e-6)


@pytest.mark.parametrize("scheme", [Scratch, FineTune, Frozen, lambda: PolicySet(ConstantAlpha(0.3))])
def test_a_saved_policy_acts_as_the_scheme_did(scheme, tmp_path):
    acting = built(scheme())
    save_scheme(acting, tmp_path, "abc")
    loaded = load_policy(tmp_path, "abc")
    assert torch.allclose(loaded.probabilities(ITEMS, LENGTH), acting.probabilities(ITEMS, LENGTH), atol=1e-6)


def test_a_policy_of_another_catalogue_is_refused(tmp_path):
    save_scheme(built(FineTune()), tmp_path, "abc")
    with pytest.raises(UserError, match="another catalogue"):
        load_policy(tmp_path, "xyz")
    with pytest.raises(UserError, match=r"policy/config\.json is missing"):
        load_policy(tmp_path / "nowhere")


def test_a_gate_lets_theta_and_phi_serve_their_users_alone():
    gated = built(PolicySet(GatedAlpha(one_in=3, start=0.4)))
    user, mixture = torch.tensor([0, 7, 5]), gated.probabilities(ITEMS, LENGTH)
    acting = gated.behaviour(mixture, gated.allowed(ITEMS, LENGTH), ITEMS, LENGTH, user)
    for row, alpha in enumerate((0.0, 1.0, 0.4)):
        alone = built(PolicySet(ConstantAlpha(alpha))).probabilities(ITEMS, LENGTH)
        assert torch.allclose(acting[row], alone[row], atol=1e-6)
    assert torch.equal(mixture, gated.probabilities(ITEMS, LENGTH))  # what is measured is the mixture, for all
    assert built(PolicySet(LinearAlpha())).behaviour(mixture, mixture > 0, ITEMS, LENGTH, user) is mixture


def test_a_gate_moves_with_what_the_scheme_hears_and_is_kept_with_its_weights():
    gated, again = built(PolicySet(GatedAlpha(rise=100))), built(PolicySet(GatedAlpha(rise=100)))
    gated.hear(torch.arange(2).repeat(20), torch.tensor([1.0, 2.0]).repeat(20))
    logs = gated.advance(30)
    expected = {"alpha": 0.4, "gate_frozen_return": 1.0, "gate_learner_return": 2.0, "gate_p": 0.0}
    assert logs == pytest.approx(expected) and float(gated.alpha) == pytest.approx(0.4)
    again.load_state_dict(gated.state_dict())
    assert again.advance(60) == gated.advance(60) != logs
    assert not any("schedule" in name for name in built(PolicySet()).state_dict())
