import pytest
import torch

from ialp.data import BuiltinLog
from ialp.envs import BatchEnv, World
from ialp.envs.calibration import calibrate, play, random_episodes
from ialp.envs.episodes import run_episodes
from ialp.envs.references import figures, references, textually_similar, uniformly_random
from ialp.nets.response import SequentialResponse
from ialp.types import History


@pytest.fixture(scope="module")
def log():
    return BuiltinLog(num_tracks=200, num_sessions=400).load()


@pytest.fixture
def users(log) -> SequentialResponse:
    torch.manual_seed(0)
    return SequentialResponse(log.catalogue.num_items, dim=16)


def test_calibrate_brings_the_random_policy_into_range(log, users):
    users.bias.data += 1.5  # far too easy to please
    first = log.test.first_items()
    found = calibrate(World(users), first)
    assert found["average_reward"] == pytest.approx(0.4, abs=0.001) and 5.0 <= found["length"] <= 5.5
    assert float(users.intercept) == pytest.approx(found["intercept"], abs=1e-5)
    env = BatchEnv(users, first, 500)
    played = figures(run_episodes(uniformly_random(env.num_items, seed=1), env))
    assert 0.3 <= played["average_reward"] <= 0.5 and 5.0 <= played["length"] <= 5.5


@torch.no_grad()
def test_calibration_play_equals_batch_env(log, users):
    first = log.test.first_items()
    items = random_episodes(World(users), first, 40)
    env = BatchEnv(users, items[:, 0], 40, evaluation=True)
    episodes = run_episodes(lambda history: items[history.user, history.length], env)
    states = users.states(items[:, :-1])
    p = users.score(states.flatten(0, 1), items[:, 1:].reshape(-1, 1)).view(40, 20).sigmoid()
    reward, length = play(World(users), items, p)
    assert length == pytest.approx(float(episodes.lengths.float().mean()))
    assert 5 * reward == pytest.approx(float(episodes.returns.sum() / episodes.lengths.sum()), rel=1e-5)


def test_random_episodes_never_repeat():
    items = random_episodes(World(SequentialResponse(25, dim=8)), torch.tensor([2, 4]), num_users=250)
    assert items.shape == (250, 21) and items.min() == 1 and items.max() == 25
    assert all(len(set(row)) == 21 for row in items.tolist())


def test_references_never_repeat_and_greedy_is_best(log, users):
    first = log.test.first_items()[:30]
    calibrate(World(users), first)
    env = BatchEnv(users, first, 30, evaluation=True)
    measured = references(env, log)
    assert list(measured) == ["random", "popularity", "text_similarity", "greedy"]
    best = max(measured, key=lambda name: measured[name]["average_reward"])
    assert best == "greedy"
    for found in measured.values():
        assert found["return"] == pytest.approx(found["length"] * found["average_reward"], rel=1e-5)
    assert references(env, log) == measured


def test_textually_similar_takes_the_best_neighbour_not_yet_shown():
    neighbours = torch.tensor([[0, 0, 0], [2, 3, 4], [1, 3, 4], [4, 2, 1], [3, 1, 2]])
    items, length = torch.tensor([[2, 1, 0], [3, 4, 1], [4, 0, 0]]), torch.tensor([2, 3, 1])
    assert textually_similar(neighbours)(History(items, length)).tolist() == [3, 2, 3]
