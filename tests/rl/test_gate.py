import pytest
import torch
from scipy import stats

from ialp.errors import UserError
from ialp.rl import GatedAlpha

USERS = torch.arange(20)


def gate(**arguments) -> GatedAlpha:
    return GatedAlpha(
        **{"one_in": 10, "confidence": 0.9, "start": 0.2, "rise": 100, "fall": 50, "least": 20} | arguments
    )


def returns(mean: float, seed: int, count: int = 30) -> torch.Tensor:
    return mean + 2 * torch.randn(count, generator=torch.Generator().manual_seed(seed))


def let_hear(alpha: GatedAlpha, frozen: torch.Tensor, learner: torch.Tensor) -> GatedAlpha:
    alpha.hear(torch.full((len(frozen),), 10), frozen)
    alpha.hear(torch.full((len(learner),), 1), learner)
    return alpha


def test_each_group_is_one_user_in_so_many():
    alone = gate().alone(torch.arange(50))
    assert (alone == 0).nonzero().flatten().tolist() == [0, 10, 20, 30, 40]
    assert (alone == 1).nonzero().flatten().tolist() == [1, 11, 21, 31, 41]
    halves = torch.cat([gate().alone(users) for users in torch.arange(50).split(25)])  # as two processes see them
    assert torch.equal(alone, halves)


def test_alpha_rises_with_a_better_learner_by_the_steps_taken():
    alpha = let_hear(gate(), returns(5.0, 0), returns(8.0, 1))
    assert [alpha(steps) for steps in (10, 10, 40, 1000)] == pytest.approx([0.3, 0.3, 0.6, 1.0])


def test_alpha_falls_with_a_worse_learner_down_to_its_start():
    alpha = let_hear(gate(), returns(5.0, 0), returns(8.0, 1))
    alpha(60)
    let_hear(alpha, returns(5.0, 2, 100), returns(3.0, 3, 100))  # the windows hold 100: the old ones are gone
    assert [alpha(steps) for steps in (70, 80, 1000)] == pytest.approx([0.6, 0.4, 0.2])


def test_as_good_is_not_enough_to_rise():
    alpha = let_hear(gate(), returns(5.0, 0), returns(5.0, 0))
    assert alpha.p_value() == 1.0 and alpha(10) == 0.2  # nothing was taken yet
    assert alpha.p_value() == pytest.approx(0.5) and alpha(1000) == 0.2


def test_the_confidence_decides():
    heard = returns(5.0, 0), returns(5.6, 1)
    p = let_hear(gate(), *heard)
    p(1)
    assert 0.05 < p.p_value() < 0.4
    bold, careful = (let_hear(gate(confidence=c), *heard) for c in (0.6, 0.95))
    assert bold(10) > 0.2 == careful(10)


def test_the_test_is_welchs_of_the_latest_returns_of_both_groups():
    alpha = gate(window=40)
    frozen, learner = returns(5.0, 0, 70), 2 * returns(2.7, 1, 25)
    let_hear(alpha, frozen, learner)
    alpha.hear(torch.tensor([2, 9, 15]), torch.tensor([1e6, 1e6, 1e6]))  # of the mixture: no one's
    alpha(10)
    x, y = learner.double().numpy(), frozen[-40:].double().numpy()
    spread = x.var(ddof=1) / len(x) + y.var(ddof=1) / len(y)
    freedom = spread**2 / sum((v.var(ddof=1) / len(v)) ** 2 / (len(v) - 1) for v in (x, y))
    assert alpha.p_value() == pytest.approx(stats.t.sf((x.mean() - y.mean()) / spread**0.5, freedom), rel=1e-4)
    figures = alpha.figures()
    assert figures["gate_frozen_return"] == pytest.approx(y.mean(), rel=1e-5)
    assert figures["gate_learner_return"] == pytest.approx(x.mean(), rel=1e-5)
    assert figures["gate_p"] == alpha.p_value()


def test_alpha_stays_while_a_group_has_too_few_episodes():
    alpha = let_hear(gate(), returns(5.0, 0, 300), returns(9.0, 1, 19))
    assert alpha(50) == 0.2 and alpha.p_value() == 1.0
    alpha.hear(torch.tensor([11]), torch.tensor([9.0]))
    assert alpha(60) == pytest.approx(0.3)
    assert gate().figures() == {"gate_p": 1.0}


def test_returns_without_spread_are_compared_as_they_are():
    for learner, p in ((3.0, 0.0), (2.0, 1.0), (1.0, 1.0)):
        alpha = let_hear(gate(), torch.full((20,), 2.0), torch.full((20,), learner))
        alpha(1)
        assert alpha.p_value() == p


def test_a_gate_read_back_goes_on_as_the_other():
    one, other = let_hear(gate(), returns(5.0, 0), returns(8.0, 1)), gate()
    one(20)
    other.load_state_dict(one.state_dict())
    for alpha in (one, other):
        let_hear(alpha, returns(6.0, 4), returns(6.5, 5))
    assert [one(steps) for steps in range(20, 90, 10)] == [other(steps) for steps in range(20, 90, 10)]
    assert one.figures() == other.figures()


@pytest.mark.parametrize(
    "arguments", [{"one_in": 1}, {"confidence": 1.0}, {"confidence": 0.4}, {"start": 0.0}, {"rise": 0}, {"least": 101}]
)
def test_what_makes_no_gate_is_refused(arguments):
    with pytest.raises(UserError, match="GatedAlpha takes"):
        gate(**arguments)


def one_of_two(rank: int, folder: str) -> None:
    """A process that hears half of the users."""
    torch.distributed.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    alpha, users = gate(), torch.arange(20)[rank * 10 : rank * 10 + 10].repeat(30)
    alpha.hear(users, 5 + users.sin() + (users % 10 == 1))
    torch.save((alpha(30), alpha.figures()), f"{folder}/{rank}.pt")
    torch.distributed.destroy_process_group()


@pytest.mark.slow
def test_processes_pool_what_they_hear(tmp_path):
    torch.multiprocessing.start_processes(one_of_two, (str(tmp_path),), nprocs=2, start_method="fork")
    first, second = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    alone, users = gate(), torch.cat([torch.arange(10).repeat(30), torch.arange(10, 20).repeat(30)])
    alone.hear(users, 5 + users.sin() + (users % 10 == 1))
    assert first == second == (alone(30), alone.figures())
    assert alone.figures()["gate_frozen_return"] == pytest.approx(5 + float(torch.tensor([0.0, 10.0]).sin().mean()))
