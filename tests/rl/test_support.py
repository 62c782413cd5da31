"""What a loss over some of the items is worth beside the loss over all of them."""

import pytest
import torch
from ialp.rl.columns import ALL
from torch.nn.functional import cosine_similarity

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl import (
    A2C,
    DQN,
    Categorical,
    ConstantAlpha,
    Exploration,
    FullSoftmax,
    GatedAlpha,
    Greedy,
    Reinforce,
    SampledSoftmax,
)
from ialp.rl.schemes import FineTune, LLMOnline, PolicySet, Scratch
from ialp.types import Transition
from tests.helpers.cases import EPISODES

NUM_ITEMS = 1000
SCHEMES = {"Scratch": Scratch, "FineTune": FineTune, "PolicySet": lambda: PolicySet(ConstantAlpha(0.4), "random")}
ALGORITHMS = {
    "A2C": A2C(),
    "A2C(policy)": A2C(bootstrap="policy"),
    "DQN": DQN(),
    "DQN(single)": DQN(double_q=False),
    "Reinforce": Reinforce(),
}


def policy(seed: int, num_items: int = NUM_ITEMS) -> ActorCritic:
    torch.manual_seed(seed)
    made = ActorCritic(num_items, dim=16, layers=1, max_length=8)
    torch.nn.init.normal_(made.actor.weight, std=0.5)  # the best of 1,000 items has about 8 % of the probability
    torch.nn.init.normal_(made.critic.weight, std=0.1)
    return made


def build(kind: str = "PolicySet", num_items: int = NUM_ITEMS):
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
    action = torch.multinomial(scheme.probabilities(items, length), 1, generator=generator)
    items.scatter_(1, length.unsqueeze(1), action)
    ended = torch.rand(count, generator=generator) < 0.2
    return Transition(items, length, torch.rand(count, generator=generator), ended, torch.zeros_like(ended))


def gradient(scheme, algorithm, batch, support, update: int = 0) -> tuple[float, torch.Tensor]:
    """The loss of a batch and its gradient, flat."""
    support.begin(0, update)
    scheme.support = support
    scheme.zero_grad()
    loss, _ = algorithm.loss(scheme, batch)
    loss.backward()
    moved = [parameter for parameter in scheme.parameters() if parameter.requires_grad]
    flat = [torch.zeros_like(each).flatten() if each.grad is None else each.grad.flatten() for each in moved]
    return float(loss.detach()), torch.cat(flat)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("kind", SCHEMES)
def test_a_sample_of_all_items_gives_the_exact_loss_and_gradient(kind, algorithm):
    scheme, method = build(kind), ALGORITHMS[algorithm]
    if kind == "PolicySet" and algorithm.startswith("DQN"):
        return  # refused
    method.prepare(scheme)
    batch = EPISODES if algorithm == "Reinforce" else transitions(scheme)
    exact, slope = gradient(scheme, method, batch, FullSoftmax())
    loss, approximate = gradient(scheme, method, batch, SampledSoftmax(5 * NUM_ITEMS))
    assert loss == pytest.approx(exact, abs=1e-6)
    assert torch.allclose(approximate, slope, atol=1e-6)


def test_the_sampled_gradient_comes_closer_with_every_item_and_is_hardly_biased():
    scheme = build()
    batch, algorithm, draws = transitions(scheme), A2C(bootstrap="policy"), 16
    _, exact = gradient(scheme, algorithm, batch, FullSoftmax())
    errors, cosines, biases = [], [], []
    for items in (64, 256, 512):
        drawn = torch.stack(
            [gradient(scheme, algorithm, batch, SampledSoftmax(items), update)[1] for update in range(draws)]
        )
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


def test_values_of_a_sample_are_right_on_average():
    scheme = build()
    batch = transitions(scheme)
    log_pi = scheme.log_probabilities(batch.items, batch.length).detach()
    q = scheme.learner.critic(scheme.learner.state(batch.items, batch.length)).detach()
    exact = torch.stack([(log_pi.exp() * q).sum(1), log_pi.gather(1, batch.action.unsqueeze(1)).squeeze(1)])
    support, found = SampledSoftmax(256), []
    for update in range(64):
        support.begin(0, update)
        over = support.columns(batch, NUM_ITEMS)
        some = over.log_pi(scheme, batch.items, batch.length).detach()
        state = scheme.learner.state(batch.items, batch.length).detach()
        value = over.expectation(some.exp(), over.q(scheme.learner.critic, state).detach())
        found.append(torch.stack([value, over.of(some, batch.action)]))
        assert torch.allclose(over.expectation(some.exp(), torch.ones_like(some)), torch.ones(64), atol=1e-5)
    values = torch.stack(found)  # (updates, 2, B)
    single = (values - exact).square().mean((0, 2)).sqrt()  # of V and of log π̂(a|s)
    average = (values.mean(0) - exact).square().mean(1).sqrt()
    assert (single < torch.tensor([0.1, 0.3])).all()
    assert (average < single / 4).all()  # an eighth if nothing but noise


def test_the_largest_q_of_a_sample_is_never_above_the_largest_of_all():
    scheme = build("Scratch")
    batch = transitions(scheme)
    over = SampledSoftmax(100).columns(batch, NUM_ITEMS)
    state = scheme.learner.state(batch.items, batch.length)
    largest = []
    for columns in (over, ALL):
        mask = columns.allowed(scheme, batch.items, batch.length)
        largest.append(columns.q(scheme.learner.critic, state).masked_fill(~mask, -torch.inf).amax(1))
    assert (largest[0] <= largest[1] + 1e-6).all() and (largest[0] < largest[1] - 1e-3).any()


@pytest.mark.parametrize("repeats", [False, True])
def test_the_mask_of_a_sample_is_that_of_all_items(repeats):
    scheme = build()
    scheme.repeats = repeats
    batch = transitions(scheme)
    over = SampledSoftmax(100).columns(batch, NUM_ITEMS)
    for length in (batch.length, batch.length + 1):
        every = scheme.allowed(batch.items, length)
        assert torch.equal(over.allowed(scheme, batch.items, length), every[:, over.ids])
        log_pi = over.log_pi(scheme, batch.items, length)
        assert torch.equal(log_pi > -torch.inf, every[:, over.ids])


def test_a_sample_has_the_batchs_items_once_and_stands_for_the_catalogue():
    scheme = build()
    batch = transitions(scheme)
    support, totals = SampledSoftmax(100), []
    for update in range(50):
        support.begin(0, update)
        over = support.columns(batch, NUM_ITEMS)
        own = batch.items.unique()[1:]
        assert torch.isin(own, over.ids).all() and len(over.ids.unique()) == len(over.ids)
        assert (over.weight[torch.isin(over.ids, own)] == 1).all()
        assert int(over.ids.min()) >= 1 and int(over.ids.max()) <= NUM_ITEMS
        totals.append(float(over.weight.sum()))
    assert sum(totals) / 50 == pytest.approx(NUM_ITEMS, rel=0.02)


def test_users_of_a_history_are_no_items():
    batch = Transition(torch.tensor([[12, 3, 4, 0]]), *[torch.tensor([2])] * 4)
    assert SampledSoftmax(10).columns(batch, 10).ids.tolist() == list(range(1, 11))


def test_a_sample_depends_on_seed_and_update_alone():
    batch = transitions(build())

    def drawn(seed: int, update: int) -> list[int]:
        support = SampledSoftmax(50)
        support.begin(seed, update)
        return support.columns(batch, NUM_ITEMS).ids.tolist()

    assert drawn(0, 7) == drawn(0, 7)
    assert len({tuple(drawn(seed, update)) for seed in (0, 1) for update in (0, 1)}) == 4


class Selects(Categorical):
    """Overrides `select`, so that the `act` it inherits is not its own."""

    def select(self, probabilities, mask, uniforms):
        return probabilities.argmin(1)


class Bare(Exploration):
    def select(self, probabilities, mask, uniforms):
        return probabilities.argmax(1)


class OldScheme(Scratch):
    def log_probabilities(self, items, length, state=None, row=None):
        return super().log_probabilities(items, length, state, row)


@pytest.mark.parametrize(
    ("scheme", "exploration", "why"),
    [
        (Scratch(), Greedy(), None),
        (PolicySet(), Categorical(2.0), None),
        (Scratch(), Selects(), "Selects selects from"),
        (Scratch(), Bare(), "Bare selects from"),
        (PolicySet(GatedAlpha()), Categorical(), "one policy of a set alone"),
        (LLMOnline({"class_path": "ialp.oracle.LexicalOracle"}), Categorical(), "a judge acts"),
        (OldScheme(), Categorical(), "takes `over`"),
    ],
)
def test_what_reads_all_probabilities_is_refused(scheme, exploration, why):
    reason = SampledSoftmax().refusal(scheme, exploration)
    assert FullSoftmax().refusal(scheme, exploration) is None
    assert reason is None if why is None else why in reason and "\n" not in reason


def test_a_sample_of_nothing_is_refused():
    with pytest.raises(UserError, match="at least 1"):
        SampledSoftmax(0)
