"""What a loss over some of the items is worth beside the loss over all of them."""

import pytest
import torch
from torch.nn.functional import cosine_similarity

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl import A2C, DQN, Categorical, ConstantAlpha, Greedy, Reinforce
from ialp.rl.algorithms import Algorithm
from ialp.rl.large import SampledSoftmax
from ialp.rl.large.sampled_softmax import SampledPolicy
from ialp.rl.schemes import FineTune, PolicySet, Scheme, Scratch
from ialp.types import History, Transition
from tests.helpers.cases import EPISODES

NUM_ITEMS = 1000
SCHEMES = {"Scratch": Scratch, "FineTune": FineTune, "PolicySet": lambda: PolicySet(ConstantAlpha(0.4), "random")}
ALGORITHMS = {
    "A2C(max)": lambda: A2C(bootstrap="max"),
    "A2C": A2C,
    "DQN": DQN,
    "DQN(single)": lambda: DQN(double_q=False),
    "Reinforce": Reinforce,
}


def policy(seed: int, num_items: int = NUM_ITEMS) -> ActorCritic:
    torch.manual_seed(seed)
    made = ActorCritic(num_items, dim=16, layers=1, max_length=8)
    torch.nn.init.normal_(made.actor.weight, std=0.5)  # the best of 1,000 items has about 8 % of the probability
    torch.nn.init.normal_(made.critic.weight, std=0.1)
    return made


def build(kind: str = "PolicySet", num_items: int = NUM_ITEMS) -> Scheme:
    scheme = SCHEMES[kind]()
    scheme.build(policy(0, num_items), policy(1, num_items))
    return scheme


def transitions(scheme, count: int = 64) -> Transition:
    """Histories of one to four items, and actions that the policy draws, as in a replay buffer."""
    generator = torch.Generator().manual_seed(0)
    items = torch.zeros(count, 6, dtype=torch.int64)
    length = torch.randint(1, 5, (count,), generator=generator)
    begun = torch.arange(6) < length.unsqueeze(1)
    items[begun] = torch.randint(1, NUM_ITEMS + 1, items.shape, generator=generator)[begun]
    action = torch.multinomial(scheme.probabilities(History(items, length)), 1, generator=generator)
    items.scatter_(1, length.unsqueeze(1), action)
    ended = torch.rand(count, generator=generator) < 0.2
    return Transition(items, length, torch.rand(count, generator=generator), ended, torch.zeros_like(ended))


def sampled(items: int, algorithm: Algorithm | None = None, update: int = 0, seed: int = 0) -> SampledSoftmax:
    """A loss over the items that are drawn for this update."""
    made = SampledSoftmax(algorithm, items)
    made.seed = seed
    made.updates.fill_(update)
    return made


def gradient(scheme: Scheme, algorithm: Algorithm, batch: Transition) -> tuple[float, torch.Tensor]:
    """The loss of a batch and its gradient, flat."""
    scheme.zero_grad()
    loss, _ = algorithm.loss(scheme, batch)
    loss.backward()
    moved = [parameter for parameter in scheme.parameters() if parameter.requires_grad]
    flat = [torch.zeros_like(each).flatten() if each.grad is None else each.grad.flatten() for each in moved]
    return float(loss.detach()), torch.cat(flat)


def policy_of_sample(scheme: Scheme, batch: Transition, items: int, update: int = 0) -> SampledPolicy:
    return SampledPolicy(scheme, *sampled(items, update=update).sample(batch, NUM_ITEMS))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", SCHEMES)
def test_sampled_softmax_of_all_items_gives_the_exact_loss_and_gradient(kind, algorithm):
    scheme, method = build(kind), ALGORITHMS[algorithm]()
    if kind == "PolicySet" and algorithm.startswith("DQN"):
        return  # refused
    method.setup(scheme)
    batch = EPISODES if algorithm == "Reinforce" else transitions(scheme)
    exact, slope = gradient(scheme, method, batch)
    loss, approximate = gradient(scheme, sampled(5 * NUM_ITEMS, method), batch)
    assert loss == pytest.approx(exact, abs=1e-6)
    assert torch.allclose(approximate, slope, atol=1e-6)


def test_sampled_softmax_gradient_comes_closer_with_every_item_and_is_hardly_biased():
    scheme = build()
    batch, algorithm, draws = transitions(scheme), A2C(), 16
    _, exact = gradient(scheme, algorithm, batch)
    errors, cosines, biases = [], [], []
    for items in (64, 256, 512):
        drawn = torch.stack([gradient(scheme, sampled(items, algorithm, update), batch)[1] for update in range(draws)])
        errors.append(float((drawn - exact).norm(dim=1).mean() / exact.norm()))
        cosines.append(float(cosine_similarity(drawn, exact.unsqueeze(0)).mean()))
        biases.append(float((drawn.mean(0) - exact).norm() / exact.norm()))
    # Relative errors 0.30, 0.17, 0.11 and cosines 0.958, 0.986, 0.994 when this was written.
    assert errors[0] > errors[1] > errors[2] and all(
        e < limit for e, limit in zip(errors, (0.4, 0.22, 0.15), strict=True)
    )
    assert all(cosine > limit for cosine, limit in zip(cosines, (0.94, 0.98, 0.99), strict=True))
    # Independent errors leave a quarter in the mean of 16; what is more is bias.
    assert all(bias < error / 2.5 for bias, error in zip(biases, errors, strict=True))


def test_sampled_policy_values_are_right_on_average():
    scheme = build()
    batch = transitions(scheme)
    state = scheme.learner.state(batch.history).detach()
    log_pi, q = scheme.log_probabilities(batch.history).detach(), scheme.q(state).detach()
    exact = torch.stack([(log_pi.exp() * q).sum(1), log_pi.gather(1, batch.action.unsqueeze(1)).squeeze(1)])
    found = []
    for update in range(64):
        over = policy_of_sample(scheme, batch, 256, update)
        some = over.log_probabilities(batch.history).detach()
        value = over.expectation(some.exp(), over.q(state).detach())
        found.append(torch.stack([value, over.at(some, batch.action)]))
        assert torch.allclose(over.expectation(some.exp(), torch.ones_like(some)), torch.ones(64), atol=1e-5)
    values = torch.stack(found)  # (updates, 2, B)
    single = (values - exact).square().mean((0, 2)).sqrt()  # of V and of log π̂(a|s)
    average = (values.mean(0) - exact).square().mean(1).sqrt()
    assert (single < torch.tensor([0.1, 0.3])).all()
    assert (average < single / 4).all()  # an eighth if nothing but noise


def test_sampled_policy_largest_q_is_never_above_the_largest_of_all():
    scheme = build("Scratch")
    batch = transitions(scheme)
    state = scheme.learner.state(batch.history)
    largest = [
        policy.q(state).masked_fill(~policy.mask(batch.history), -torch.inf).amax(1)
        for policy in (policy_of_sample(scheme, batch, 100), scheme)
    ]
    assert (largest[0] <= largest[1] + 1e-6).all() and (largest[0] < largest[1] - 1e-3).any()


@pytest.mark.parametrize("repeats", [False, True])
def test_sampled_policy_mask_is_that_of_all_items(repeats):
    scheme = build()
    scheme.repeats = repeats
    batch = transitions(scheme)
    over = policy_of_sample(scheme, batch, 100)
    for history in (batch.history, batch.next_history):
        every = scheme.mask(history)
        assert torch.equal(over.mask(history), every[:, over.ids])
        log_pi = over.log_probabilities(history)
        assert torch.equal(log_pi > -torch.inf, every[:, over.ids])


def test_sample_has_the_batchs_items_once_and_stands_for_the_catalogue():
    scheme = build()
    batch = transitions(scheme)
    own, totals = batch.items.unique()[1:], []
    for update in range(50):
        ids, weight = sampled(100, update=update).sample(batch, NUM_ITEMS)
        assert torch.isin(own, ids).all() and len(ids.unique()) == len(ids)
        assert (weight[torch.isin(ids, own)] == 1).all()
        assert int(ids.min()) >= 1 and int(ids.max()) <= NUM_ITEMS
        totals.append(float(weight.sum()))
    assert sum(totals) / 50 == pytest.approx(NUM_ITEMS, rel=0.02)


def test_sample_leaves_users_of_a_history_out():
    batch = Transition(torch.tensor([[12, 3, 4, 0]]), *[torch.tensor([2])] * 4)
    assert sampled(10).sample(batch, 10)[0].tolist() == list(range(1, 11))


def test_sample_depends_on_seed_and_update_alone():
    batch = transitions(build())

    def drawn(seed: int, update: int) -> list[int]:
        return sampled(50, update=update, seed=seed).sample(batch, NUM_ITEMS)[0].tolist()

    assert drawn(0, 7) == drawn(0, 7)
    assert len({tuple(drawn(seed, update)) for seed in (0, 1) for update in (0, 1)}) == 4


def test_sampled_softmax_of_nothing_is_refused():
    with pytest.raises(UserError, match="at least 1"):
        SampledSoftmax(items=0)


def test_sampled_softmax_refuses_what_its_algorithm_refuses():
    wrapped = SampledSoftmax(DQN())
    assert "mixes" in wrapped.refusal(PolicySet(), Greedy(), whole_episodes=False)
    assert wrapped.refusal(Scratch(), Greedy(), whole_episodes=False) is None
    assert "draws otherwise" in SampledSoftmax(Reinforce()).refusal(Scratch(), Greedy(), whole_episodes=True)
    assert SampledSoftmax(Reinforce()).refusal(Scratch(), Categorical(), whole_episodes=True) is None
    assert not wrapped.trains_actor and SampledSoftmax().trains_actor


def test_sampled_softmax_passes_updates_on_and_keeps_their_number_with_the_weights():
    scheme, wrapped = build("Scratch"), SampledSoftmax(DQN(target_every=2), items=50)
    wrapped.setup(scheme)
    with torch.no_grad():
        scheme.learner.critic.bias.fill_(3.0)
    for update in (1, 2):
        assert not (wrapped.algorithm.target.critic.bias == 3.0).any()
        wrapped.on_update(scheme, update)
    assert (wrapped.algorithm.target.critic.bias == 3.0).all()
    other = SampledSoftmax(DQN(), items=50)
    other.setup(build("Scratch"))
    other.load_state_dict(wrapped.state_dict())
    batch = transitions(scheme)
    ids = [each.sample(batch, NUM_ITEMS)[0].tolist() for each in (wrapped, other)]
    assert ids[0] == ids[1]
    other.on_update(scheme, 3)
    assert other.sample(batch, NUM_ITEMS)[0].tolist() != ids[0]
