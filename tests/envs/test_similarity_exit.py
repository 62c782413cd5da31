"""The exit of Coat: the new item is too much like one of the latest recommended."""

import pytest
import torch

from ialp.data.readers import CoatLog
from ialp.envs import BatchEnv, SimilarityExit
from ialp.envs.calibration import calibrate_exit
from ialp.envs.episodes import run_episodes
from ialp.envs.references import one_step_greedy, references
from ialp.envs.world import World
from ialp.errors import UserError
from ialp.nets import DeepFM
from tests.helpers.coat_files import write_coat

USERS = torch.tensor([21, 22, 23])


class Line(DeepFM):
    """20 items; item i is rated i / 10 + 1 by every user, so that items i and j are sqrt(3) · |i - j| / 10 apart."""

    def __init__(self) -> None:
        super().__init__(num_items=20, num_users=3, user_width=1, item_width=1)

    def rate(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
        return item / 10 + 1


def env(users: int = 1, threshold: float = 0.5, window: int = 7, horizon: int = 30) -> BatchEnv:
    """Items at most 2 apart are too near: 0.346 < 0.5 < 0.52."""
    exit_rule = SimilarityExit(threshold, window)
    return BatchEnv(Line(), USERS, users, [exit_rule], horizon, reward_scale=1.0, evaluation=True)


def play(world: BatchEnv, *actions: int) -> int | None:
    """The turn, from 0, at which the episode ends; None where it goes on."""
    for turn, action in enumerate(actions):
        feedback = world.step(torch.tensor([action]))
        if feedback.done.any():
            assert feedback.terminated.all() and not feedback.truncated.any()
            return turn
    return None


@pytest.mark.parametrize("again", [1, 2])
@pytest.mark.parametrize("turn", range(9))
def test_similarity_exit_window_by_hand(turn, again):
    # Turn 0 recommends item 1, this turn item 1 again or item 2, its only neighbour within 0.2; what lies between is
    # near nothing. The window holds the seven latest recommendations: at turn 7 those of turns 0 to 6, at turn 8 no
    # longer turn 0. At turn 0 itself nothing was recommended yet.
    before = [1, 4, 6, 8, 10, 12, 14, 16][:turn]
    assert play(env(threshold=0.2), *before, again) == (turn if 1 <= turn <= 7 else None)


@pytest.mark.parametrize(("window", "leaves"), [(1, False), (2, False), (3, True), (7, True)])
def test_similarity_exit_window_counts_recommendations(window, leaves):
    assert play(env(window=window), 1, 10, 19, 1) == (3 if leaves else None)


def test_similarity_exit_near_is_closer_than_the_threshold_not_as_close():
    distance = float(torch.cdist(Line().table().T[[1]].double(), Line().table().T[[4]].double()))
    assert play(env(threshold=distance), 1, 4) is None
    assert play(env(threshold=distance * 1.0001), 1, 4) == 1


def test_similarity_exit_first_recommendation_never_ends_an_episode_and_padding_is_near_nothing():
    for action in range(1, 21):
        assert play(env(threshold=100.0), action) is None
        assert play(env(threshold=100.0), action, 21 - action) == 1


def test_similarity_exit_thirty_steps_truncate():
    world = env(threshold=0.1)
    for turn in range(30):
        feedback = world.step(torch.tensor([turn % 20 + 1]))
    assert feedback.truncated.all() and not feedback.terminated.any()


def test_similarity_exit_user_reset_while_others_go_on_has_an_empty_window():
    world = env(users=3, threshold=0.1)
    world.step(torch.tensor([1, 2, 3]))
    feedback = world.step(torch.tensor([1, 3, 4]))
    assert feedback.terminated.tolist() == [True, False, False]
    world.reset(feedback.done)
    assert world.items[:, 0].tolist() == USERS.tolist()
    assert world.step(torch.tensor([1, 4, 5])).done.tolist() == [False, False, False]
    assert world.step(torch.tensor([2, 2, 3])).done.tolist() == [False, True, True]


def test_similarity_exit_what_would_end_an_episode_is_what_ends_it():
    generator = torch.Generator().manual_seed(0)
    world = env(users=3, threshold=0.4, window=3)
    rule = world.exit_rules[0]
    assert isinstance(rule, SimilarityExit)
    ended = 0
    for _ in range(200):
        foretold = rule.ends(world.items, world.length)
        action = torch.randint(1, 21, (3,), generator=generator)
        feedback = world.step(action)
        assert torch.equal(feedback.terminated, foretold.gather(1, action.unsqueeze(1)).squeeze(1))
        ended += int(feedback.done.sum())
        world.reset(feedback.done)
    assert 100 < ended < 500


def test_similarity_exit_window_is_saved():
    world, resumed = env(threshold=0.1), env(threshold=0.1)
    play(world, 1, 2, 3)
    resumed.load_state_dict(world.state_dict())
    assert play(resumed, 2) == 0 and play(world, 4) is None


def test_similarity_exit_continues_exactly_from_a_state_dict():
    world = env(users=3, threshold=0.2)
    generator = torch.Generator().manual_seed(1)
    actions = torch.randint(1, 21, (40, 3), generator=generator)

    def go_on(world: BatchEnv, start: int, stop: int) -> list[list[bool]]:
        left = []
        for t in range(start, stop):
            feedback = world.step(actions[t])
            world.reset(feedback.done)
            left.append(feedback.terminated.tolist())
        return left

    go_on(world, 0, 10)
    resumed = env(users=3, threshold=0.2)
    resumed.load_state_dict(world.state_dict())
    expected = go_on(world, 10, 40)
    assert go_on(resumed, 10, 40) == expected and any(map(any, expected))


def test_similarity_exit_rating_that_is_no_number_is_refused():
    class Broken(Line):
        def rate(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            return torch.where(item == 5, torch.nan, super().rate(user, item))

    with pytest.raises(ValueError, match="a predicted rating is NaN"):
        BatchEnv(Broken(), USERS, 1, [SimilarityExit()])


def test_similarity_exit_refuses_a_net_of_clicks(net):
    with pytest.raises(UserError, match="SequentialResponse has none"):
        BatchEnv(net, torch.tensor([1]), 1, [SimilarityExit()])


@pytest.fixture(scope="module")
def coat(tmp_path_factory):
    """A log, and users with a taste for it."""
    log = CoatLog(str(write_coat(tmp_path_factory.mktemp("data"), users=60))).load()
    torch.manual_seed(0)
    net = DeepFM(30, 60, 4, 6)
    net.start_from(log.user_features, log.item_features, 3.0)
    torch.nn.init.normal_(net.item.weight, std=0.5)
    torch.nn.init.normal_(net.user.weight, std=0.5)
    return log, net.eval()


@pytest.mark.parametrize("target", [4.0, 6.0])
def test_calibrate_exit_reaches_the_target_length(coat, target):
    log, net = coat
    world = World(net, [SimilarityExit()], 30, 1.0)
    found = calibrate_exit(world, log.test.first_items(), target)
    assert abs(found["length"] - target) < 0.5
    assert world.exit_rules[0].threshold == found["threshold"]
    again = World(net, [SimilarityExit(found["threshold"])], 30, 1.0).env(log.test.first_items(), 12, evaluation=True)
    assert abs(references(again, log)["random"]["length"] - target) < 2


def test_one_step_greedy_avoids_the_similarity_exit(coat):
    log, net = coat
    world = World(net, [SimilarityExit()], 10, 1.0)
    calibrate_exit(world, log.test.first_items(), 4.0)
    users = world.env(log.test.first_items(), 12, evaluation=True)
    heedless = World(net, [], 10, 1.0).env(log.test.first_items(), 12)
    plain = run_episodes(one_step_greedy(heedless), users)
    careful = run_episodes(one_step_greedy(users), users)
    assert careful.lengths.float().mean() > plain.lengths.float().mean() + 1
    assert careful.returns.mean() > plain.returns.mean()
