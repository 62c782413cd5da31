import pytest
import torch

from ialp.envs import BatchEnv, ExitRule, MaxSteps, PatienceExit, World
from ialp.envs.degeneracy import degeneracy_warnings, play, play_references
from ialp.envs.references import references, uniformly_random


class LeavesAt(ExitRule):
    """The user leaves when this item is shown."""

    def __init__(self, item: int) -> None:
        self.item = item

    def start(self, num_users, device):
        return torch.zeros(num_users, 0, device=device)

    def advance(self, memory, step):
        return memory, step.action == self.item


def shown(*rows: list[int]):
    """Everybody is shown the items of his row, one after the other."""
    table = torch.tensor(rows)
    return lambda history: table[history.user, history.length - 1]


def test_play_tells_causes_and_answers_worked_out_by_hand(fixed):
    """p = 0.5 costs 1, so that patience 3.5 is too little after the third step; the fourth step is the last."""
    net = fixed([0.5, 0.5, 0.5, 0.5, 0.9, 0.9, 0.9, 0.9, 0.9])
    rules = [PatienceExit(start=3.5), LeavesAt(9)]
    env = BatchEnv(net, torch.tensor([1]), 4, rules, horizon=4, evaluation=True)
    found = play(shown([2, 3, 4, 5], [5, 6, 7, 8], [5, 9, 6, 7], [5, 6, 7, 9]), env)
    assert found.lengths.tolist() == [3, 4, 2, 4]
    assert found.causes == {"patience": 0.25, "LeavesAt": 0.5, "horizon": 0.25}  # leaving at the horizon is leaving
    assert sorted(found.responses.tolist()) == pytest.approx([0.5] * 3 + [0.9] * 10)


def test_play_counts_the_first_of_several_rules(fixed):
    net = fixed([0.5] * 5)
    env = BatchEnv(net, torch.tensor([1]), 1, [LeavesAt(3), PatienceExit(start=2.5)], evaluation=True)
    assert play(shown([2, 3]), env).causes == {"LeavesAt": 1.0, "patience": 0.0, "horizon": 0.0}


def test_play_returns_answers_that_add_up_to_the_return(net):
    env = World(net).env(torch.tensor([3, 4, 5]), 60, evaluation=True)
    found = play(uniformly_random(30, seed=0), env)
    assert len(found.responses) == int(found.lengths.sum())
    assert 5 * float(found.responses.sum()) == pytest.approx(60 * found.figures["return"], rel=1e-5)
    assert sum(found.causes.values()) == pytest.approx(1.0)


def test_play_references_plays_what_references_measures(net):
    from ialp.data import BuiltinLog

    log = BuiltinLog(num_tracks=60, num_sessions=80).load()
    torch.manual_seed(0)
    users = type(net)(log.catalogue.num_items, dim=8)
    env = World(users, [MaxSteps(3)]).env(log.test.first_items(), 16, evaluation=True)
    played = play_references(env, log)
    assert {name: each.figures for name, each in played.items()} == references(env, log)
    assert played["greedy"].causes == {"horizon": 1.0}


@pytest.mark.parametrize(("popular", "said"), [(44.0, False), (46.0, True)])
def test_degeneracy_warnings_name_popularity_near_greedy(popular, said):
    found = degeneracy_warnings({"popularity": {"return": popular}, "greedy": {"return": 100.0}}, {})
    assert len(found) == said
    assert not said or "popularity alone gets 46% of greedy's return" in found[0]


def test_degeneracy_warnings_name_a_policy_near_the_best_reference():
    measured = {"popularity": {"return": 10.0}, "greedy": {"return": 90.0}, "text_similarity": {"return": 100.0}}
    policies = {"near/0-aa": {"return": 95.0}, "far/0-bb": {"return": 94.0}}
    [said] = degeneracy_warnings(measured, policies)
    assert said.startswith("near/0-aa gets 95% of the return of text_similarity")
