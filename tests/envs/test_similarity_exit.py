"""The exit of Coat: the new item is too much like one of the latest recommended."""

import pytest
import torch

from ialp.data import CoatLog
from ialp.envs import BatchEnv, SimilarityExit
from ialp.envs.calibration import calibrate_exit
from ialp.envs.references import one_step_greedy, references
from ialp.envs.world import World
from ialp.errors import UserError
from ialp.nets import DeepFM
from ialp.rl.rollout import run_episodes
from tests.coat_files import write_coat

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


@pytest.mark.parametrize("turn", range(1, 9))
def test_a_repeat_ends_the_episode_up_to_seven_turns_later_and_not_after(turn):
    # Item 1 at turn 0, then items at least 3 apart from it and from each other, then item 1 again. The window holds the
    # seven latest recommendations, so that of turn 8 those of turns 1 to 7.
    others = [4, 7, 10, 13, 16, 19, 4]  # 4 comes again only seven turns after it came: outside no window, see below
    between = others[: turn - 1]
    if turn == 8:
        assert play(env(), 1, *between) == 7  # the seventh of them repeats the first within the window
        assert play(env(window=5), 1, *between[:6], 1) is None
        return
    assert play(env(), 1, *between, 1) == turn


@pytest.mark.parametrize(("window", "leaves"), [(1, False), (2, False), (3, True), (7, True)])
def test_the_window_counts_recommendations(window, leaves):
    assert play(env(window=window), 1, 10, 19, 1) == (3 if leaves else None)


def test_eight_turns_later_a_repeat_is_outside_the_window():
    wide = env(threshold=0.1)  # only a repeat is too near
    assert play(wide, 1, 2, 3, 4, 5, 6, 7, 8, 1) is None
    assert play(env(threshold=0.1), 1, 2, 3, 4, 5, 6, 7, 1) == 7


def test_near_is_closer_than_the_threshold_not_as_close():
    distance = float(torch.cdist(Line().table().T[[1]].double(), Line().table().T[[4]].double()))
    assert play(env(threshold=distance), 1, 4) is None
    assert play(env(threshold=distance * 1.0001), 1, 4) == 1


def test_the_first_recommendation_never_ends_an_episode_and_padding_is_near_nothing():
    for action in range(1, 21):
        assert play(env(threshold=100.0), action) is None
        assert play(env(threshold=100.0), action, 21 - action) == 1


def test_thirty_steps_truncate():
    world = env(threshold=0.1)
    for turn in range(30):
        feedback = world.step(torch.tensor([turn % 20 + 1]))
    assert feedback.truncated.all() and not feedback.terminated.any()


def test_a_user_reset_while_others_go_on_has_an_empty_window():
    world = env(users=3, threshold=0.1)
    world.step(torch.tensor([1, 2, 3]))
    feedback = world.step(torch.tensor([1, 3, 4]))
    assert feedback.terminated.tolist() == [True, False, False]
    world.reset(feedback.done)
    assert world.items[:, 0].tolist() == USERS.tolist()
    assert world.step(torch.tensor([1, 4, 5])).done.tolist() == [False, False, False]
    assert world.step(torch.tensor([2, 2, 3])).done.tolist() == [False, True, True]


def test_what_would_end_an_episode_is_what_ends_it():
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


def test_a_saved_world_remembers_what_was_recommended():
    world, resumed = env(threshold=0.1), env(threshold=0.1)
    play(world, 1, 2, 3)
    resumed.load_state_dict(world.state_dict())
    assert play(resumed, 2) == 0 and play(world, 4) is None


def test_users_who_click_have_no_table_of_ratings(net):
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
def test_the_threshold_is_calibrated_to_the_length_of_random_episodes(coat, target):
    log, net = coat
    world = World(net, [SimilarityExit()], 30, 1.0)
    found = calibrate_exit(world, log.test.first_items(), target)
    assert abs(found.length - target) < 0.5
    assert world.exit_rules[0].threshold == found.threshold
    again = World(net, [SimilarityExit(found.threshold)], 30, 1.0).env(log.test.first_items(), 12, evaluation=True)
    assert abs(references(again, log)["random"]["length"] - target) < 2


def test_greedy_keeps_out_of_the_exit(coat):
    log, net = coat
    world = World(net, [SimilarityExit()], 10, 1.0)
    calibrate_exit(world, log.test.first_items(), 4.0)
    users = world.env(log.test.first_items(), 12, evaluation=True)
    plain = run_episodes(one_step_greedy(net), users)
    careful = run_episodes(one_step_greedy(net, users.exit_rules), users)
    assert careful.lengths.float().mean() > plain.lengths.float().mean() + 1
    assert careful.returns.mean() > plain.returns.mean()
