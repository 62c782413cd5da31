"""The gate of α: which users each policy serves alone, and what their returns do to α."""

import pytest
import torch
from scipy import stats

from ialp.errors import UserError
from ialp.nets import ActorCritic
from ialp.rl import ConstantAlpha
from ialp.rl.schemes import GatedPolicySet, PolicySet
from ialp.types import History

HISTORY = History(torch.tensor([[3, 7, 2, 0], [9, 1, 0, 0], [4, 0, 0, 0]]), torch.tensor([3, 2, 1]))


def gate(**arguments) -> GatedPolicySet:
    plain = {"one_in": 10, "confidence": 0.9, "start": 0.2, "rise": 100, "fall": 50, "least": 20}
    return GatedPolicySet(**plain | arguments)


def alpha_after(gated: GatedPolicySet, steps: int) -> float:
    logged = gated.on_environment_steps(steps)["alpha"]
    assert logged == float(gated.alpha) == pytest.approx(float(gated.gated_alpha))
    return float(gated.gated_alpha)


def returns(mean: float, seed: int, count: int = 30) -> torch.Tensor:
    return mean + 2 * torch.randn(count, generator=torch.Generator().manual_seed(seed))


def finish(gated: GatedPolicySet, frozen: torch.Tensor, learner: torch.Tensor) -> GatedPolicySet:
    """Episodes of users 10 and 1 end with these returns."""
    gated.on_episode_end(torch.full((len(frozen),), 10), frozen)
    gated.on_episode_end(torch.full((len(learner),), 1), learner)
    return gated


def test_gate_each_group_is_one_user_in_so_many():
    alone = gate().group(torch.arange(50))
    assert (alone == 0).nonzero().flatten().tolist() == [0, 10, 20, 30, 40]
    assert (alone == 1).nonzero().flatten().tolist() == [1, 11, 21, 31, 41]
    halves = torch.cat([gate().group(users) for users in torch.arange(50).split(25)])  # as two processes see them
    assert torch.equal(alone, halves)


def test_gate_alpha_rises_with_a_better_learner_by_the_steps_taken():
    gated = finish(gate(), returns(5.0, 0), returns(8.0, 1))
    assert [alpha_after(gated, steps) for steps in (10, 10, 40, 1000)] == pytest.approx([0.3, 0.3, 0.6, 1.0])


def test_gate_alpha_falls_with_a_worse_learner_down_to_its_start():
    gated = finish(gate(), returns(5.0, 0), returns(8.0, 1))
    alpha_after(gated, 60)
    finish(gated, returns(5.0, 2, 100), returns(3.0, 3, 100))  # the windows hold 100: the old ones are gone
    assert [alpha_after(gated, steps) for steps in (70, 80, 1000)] == pytest.approx([0.6, 0.4, 0.2])


def test_gate_stays_closed_for_a_learner_as_good():
    gated = finish(gate(), returns(5.0, 0), returns(5.0, 0))
    assert gated.p_value() == 1.0 and alpha_after(gated, 10) == 0.2  # nothing was taken yet
    assert gated.p_value() == pytest.approx(0.5) and alpha_after(gated, 1000) == 0.2


def test_gate_confidence_decides():
    given = returns(5.0, 0), returns(5.6, 1)
    bold, careful = (finish(gate(confidence=confidence), *given) for confidence in (0.6, 0.95))
    assert alpha_after(bold, 10) > 0.2 == alpha_after(careful, 10)
    assert 0.05 < bold.p_value() == careful.p_value() < 0.4


def test_gate_p_value_is_welchs_of_the_latest_returns_of_both_groups():
    gated = gate(window=40)
    frozen, learner = returns(5.0, 0, 70), 2 * returns(2.7, 1, 25)
    finish(gated, frozen, learner)
    gated.on_episode_end(torch.tensor([2, 9, 15]), torch.tensor([1e6, 1e6, 1e6]))  # of the mixture: no one's
    alpha_after(gated, 10)
    x, y = learner.double().numpy(), frozen[-40:].double().numpy()
    spread = x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y)
    freedom = spread**2 / sum((v.var(ddof=1) / len(v)) ** 2 / (len(v) - 1) for v in (x, y))
    assert gated.p_value() == pytest.approx(stats.t.sf((x.mean() - y.mean()) / spread**0.5, freedom), rel=1e-4)
    figures = gated.figures()
    assert figures["gate_frozen_return"] == pytest.approx(y.mean(), rel=1e-5)
    assert figures["gate_learner_return"] == pytest.approx(x.mean(), rel=1e-5)
    assert figures["gate_p"] == gated.p_value()


def test_gate_alpha_stays_while_a_group_has_too_few_episodes():
    gated = finish(gate(), returns(5.0, 0, 300), returns(9.0, 1, 19))
    assert alpha_after(gated, 50) == 0.2 and gated.p_value() == 1.0
    gated.on_episode_end(torch.tensor([11]), torch.tensor([9.0]))
    assert alpha_after(gated, 60) == pytest.approx(0.3)
    assert gate().figures() == {"gate_p": 1.0}


def test_gate_returns_without_spread_are_compared_as_they_are():
    for learner, p in ((3.0, 0.0), (2.0, 1.0), (1.0, 1.0)):
        gated = finish(gate(), torch.full((20,), 2.0), torch.full((20,), learner))
        alpha_after(gated, 1)
        assert gated.p_value() == p


def test_gate_read_back_goes_on_as_the_other():
    one, other = finish(gate(), returns(5.0, 0), returns(8.0, 1)), gate()
    alpha_after(one, 20)
    one.on_episode_end(torch.tensor([10, 1]), torch.tensor([4.0, 9.0]))  # not tested yet
    other.load_state_dict(one.state_dict())
    other.load_rank_state_dict(one.rank_state_dict())
    for gated in (one, other):
        finish(gated, returns(6.0, 4), returns(6.5, 5))
    steps = range(20, 90, 10)
    assert [alpha_after(one, step) for step in steps] == [alpha_after(other, step) for step in steps]
    assert one.figures() == other.figures()


@pytest.mark.parametrize(
    "arguments", [{"one_in": 1}, {"confidence": 1.0}, {"confidence": 0.4}, {"start": 0.0}, {"rise": 0}, {"least": 101}]
)
def test_gate_refuses_senseless_arguments(arguments):
    with pytest.raises(UserError, match="GatedPolicySet takes"):
        gate(**arguments)


def one_of_two(rank: int, folder: str) -> None:
    """A process with half of the users."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/together", rank=rank, world_size=2)
    gated, users = gate(), torch.arange(20)[rank * 10 : rank * 10 + 10].repeat(30)
    gated.on_episode_end(users, 5 + users.sin() + (users % 10 == 1))
    torch.save((alpha_after(gated, 30), gated.figures()), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_gate_pools_the_returns_of_all_processes(tmp_path):
    torch.multiprocessing.start_processes(one_of_two, (str(tmp_path),), nprocs=2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    alone, users = gate(), torch.cat([torch.arange(10).repeat(30), torch.arange(10, 20).repeat(30)])
    alone.on_episode_end(users, 5 + users.sin() + (users % 10 == 1))
    assert first == second == (alpha_after(alone, 30), alone.figures())
    assert alone.figures()["gate_frozen_return"] == pytest.approx(5 + float(torch.tensor([0.0, 10.0]).sin().mean()))


def theta() -> ActorCritic:
    torch.manual_seed(0)
    policy = ActorCritic(num_items=30, dim=8, layers=1, heads=2, max_length=8)
    torch.nn.init.normal_(policy.actor.weight)
    return policy


def built(scheme: PolicySet) -> PolicySet:
    scheme.build(theta(), ActorCritic(num_items=30, dim=8, layers=1, heads=2, max_length=8))
    with torch.no_grad():
        scheme.learner.actor.weight.mul_(-1)
    return scheme


def test_gate_lets_theta_and_phi_serve_their_users_alone():
    gated = built(gate(one_in=3, start=0.4))
    history = History(HISTORY.items, HISTORY.length, user=torch.tensor([0, 7, 5]))
    mixture = gated.probabilities(history)
    acting = gated.behaviour(mixture, gated.mask(history), history)
    for row, alpha in enumerate((0.0, 1.0, 0.4)):
        alone = built(PolicySet(ConstantAlpha(alpha))).probabilities(HISTORY)
        assert torch.allclose(acting[row], alone[row], atol=1e-6)
    assert torch.equal(mixture, gated.probabilities(history))  # what is measured is the mixture, for all
    assert not torch.allclose(acting[:2], mixture[:2], atol=1e-3)


def test_gate_logs_the_groups_and_is_kept_with_the_weights():
    gated, again = built(GatedPolicySet(rise=100)), built(GatedPolicySet(rise=100))
    gated.on_episode_end(torch.arange(2).repeat(20), torch.tensor([1.0, 2.0]).repeat(20))
    logs = gated.on_environment_steps(30)
    expected = {"alpha": 0.4, "gate_frozen_return": 1.0, "gate_learner_return": 2.0, "gate_p": 0.0}
    assert logs == pytest.approx(expected) and float(gated.alpha) == pytest.approx(0.4)
    again.load_state_dict(gated.state_dict())
    assert again.on_environment_steps(60) == gated.on_environment_steps(60) != logs
