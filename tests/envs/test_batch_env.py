import pytest
import torch

from ialp.envs import BatchEnv, ExitRule, PatienceExit
from ialp.nets.response import SequentialResponse

FIRST = torch.tensor([3, 5, 7, 11, 13])


def actions(env: BatchEnv, t: int) -> torch.Tensor:
    """Recommendations that depend on user and step only; 0 for users who have left."""
    return ((env.user * 7 + t * 5) % env.num_items + 1) * ~env.done


def test_batch_env_step_by_hand(fixed):
    env = BatchEnv(fixed([0.5, 0.2, 0.9]), torch.tensor([2]), num_users=2)
    assert env.items.shape == (2, 22) and env.length.tolist() == [1, 1] and env.items[:, 0].tolist() == [2, 2]
    feedback = env.step(torch.tensor([1, 3]))
    assert torch.allclose(feedback.reward, torch.tensor([2.5, 4.5]))
    assert env.items[:, :3].tolist() == [[2, 1, 0], [2, 3, 0]] and env.length.tolist() == [2, 2]
    assert not feedback.done.any()


def test_batch_env_patience_ends_the_episode_at_the_step_worked_out_by_hand(fixed):
    # Costs: p = 0 → 2 (10, 8, 6, 4, 2, 0: below 1 after step 5); 0.25 → 1.5 (after step 7: 10 - 10.5 < 1, step 6 leaves
    # exactly 1, which is not below 1); 0.5 → 1 (step 9 leaves 1, step 10 leaves 0).
    env = BatchEnv(fixed([1e-12, 0.25, 0.5]), torch.tensor([1]), num_users=3)
    ended: dict[int, int] = {}
    for t in range(1, 11):
        feedback = env.step(torch.tensor([1, 2, 3]) * ~env.done)
        assert not feedback.truncated.any()
        ended |= {int(user): t for user in feedback.terminated.nonzero()}
    assert ended == {0: 5, 1: 7, 2: 10}
    assert env.done.all()


def test_batch_env_step_costs_at_least_a_tenth_and_the_horizon_truncates(fixed):
    env = BatchEnv(fixed([1 - 1e-7, 0.9]), torch.tensor([1]), num_users=2)
    feedbacks = [env.step(torch.tensor([1, 2])) for _ in range(20)]  # left: 10 - 20·0.1 = 8 and 10 - 20·0.2 = 6
    assert not any(feedback.done.any() for feedback in feedbacks[:19])
    assert feedbacks[19].truncated.all() and not feedbacks[19].terminated.any()


def test_batch_env_terminates_rather_than_truncates_in_the_last_step(fixed):
    env = BatchEnv(fixed([1e-12, 0.9]), torch.tensor([1]), num_users=2, horizon=5)
    for _ in range(5):
        feedback = env.step(torch.tensor([1, 2]))
    assert feedback.terminated.tolist() == [True, False] and feedback.truncated.tolist() == [False, True]
    assert env.length.tolist() == [6, 6] and env.items.shape == (2, 7)


@pytest.mark.parametrize("evaluation", [False, True])
def test_batch_env_users_at_once_behave_as_each_alone(net, evaluation):
    settings = {"seed": 3, "evaluation": evaluation}
    for number in (1, 7):
        few, many = BatchEnv(net, FIRST, number, **settings), BatchEnv(net, FIRST, 256, **settings)
        for t in range(60):
            assert torch.equal(few.items, many.items[:number]) and torch.equal(few.length, many.length[:number])
            ours, theirs = few.step(actions(few, t)), many.step(actions(many, t))
            assert torch.allclose(ours.reward, theirs.reward[:number], atol=1e-6)
            assert torch.equal(ours.terminated, theirs.terminated[:number])
            assert torch.equal(ours.truncated, theirs.truncated[:number])
            few.reset(ours.done)
            many.reset(theirs.done)
        assert few.episode.min() > 2


@torch.no_grad()
def test_response_net_does_not_depend_on_the_batch(net):
    net.eval()
    length = torch.tensor([1, 2, 5, 12, 20])
    history = torch.randint(1, 31, (5, 20), generator=torch.Generator().manual_seed(0))
    history = history * (torch.arange(20) < length.unsqueeze(1))
    item = torch.tensor([4, 9, 16, 25, 30])
    together = net.activation(net.score_item(history, length, item))
    for order in (torch.tensor([4, 2, 0, 3, 1]), torch.tensor([1, 1, 4, 1])):
        assert torch.allclose(
            net.activation(net.score_item(history[order], length[order], item[order])), together[order], atol=1e-6
        )
    for user in range(5):
        alone = net.score_item(history[user : user + 1, : length[user]], length[user : user + 1], item[user : user + 1])
        assert torch.allclose(net.activation(alone), together[user : user + 1], atol=1e-6)
    assert together.std() > 0.05  # these users do differ


def test_batch_env_users_shared_by_two_processes_are_the_same_users(net):
    whole, second = BatchEnv(net, FIRST, 50), BatchEnv(net, FIRST, 20, first_user=30)
    assert torch.equal(whole.items[30:], second.items) and second.user.tolist() == list(range(30, 50))


def test_batch_env_first_items_depend_on_seed_or_are_fixed_in_evaluation(net):
    env = BatchEnv(net, FIRST, 200, seed=1)
    first = env.items[:, 0]
    assert set(first.tolist()) == set(FIRST.tolist())
    env.reset()
    assert not torch.equal(first, env.items[:, 0]) and env.episode.unique().tolist() == [1]
    assert not torch.equal(first, BatchEnv(net, FIRST, 200, seed=2).items[:, 0])
    test = BatchEnv(net, FIRST, 7, evaluation=True)
    test.reset()
    assert test.items[:, 0].tolist() == [3, 5, 7, 11, 13, 3, 5]


def test_batch_env_reset_leaves_the_others_untouched(net):
    env = BatchEnv(net, FIRST, 6)
    for t in range(3):
        env.step(actions(env, t))
    before = env.state_dict()
    mask = torch.tensor([True, False, False, True, False, False])
    env.reset(mask)
    after = env.state_dict()
    for name in ("items", "length", "user", "episode", "done"):
        assert torch.equal(before[name][~mask], after[name][~mask])
    for old, new in zip(before["rules"], after["rules"], strict=True):
        assert torch.equal(old[~mask], new[~mask])
    assert after["length"].tolist() == [1, 4, 4, 1, 4, 4] and after["episode"].tolist() == [1, 0, 0, 1, 0, 0]
    assert (after["items"][mask][:, 1:] == 0).all()
    env.reset(torch.zeros(6, dtype=torch.bool))
    assert torch.equal(env.items, after["items"])


def test_batch_env_reset_clears_the_state_of_one_user(net):
    # Patient users, so that nobody leaves, all of whose episodes begin with the same item.
    rules = [PatienceExit(start=1000.0)]
    env, fresh = BatchEnv(net, FIRST[:1], 3, rules), BatchEnv(net, FIRST[:1], 1, rules)
    for t in range(10):
        env.step(actions(env, t))
    env.reset(torch.tensor([False, True, False]))
    for t in range(8):
        chosen = actions(env, t)
        answered, alone = env.step(chosen), fresh.step(chosen[1:2])
        assert torch.allclose(answered.reward[1:2], alone.reward, atol=1e-6)
        assert torch.equal(env.items[1:2], fresh.items)
        for ours, theirs in zip(env.state_dict()["rules"], fresh.state_dict()["rules"], strict=True):
            assert torch.allclose(ours[1:2], theirs, atol=1e-4)
    assert env.length.tolist() == [19, 9, 19]


def test_batch_env_restart_equals_a_new_environment(net):
    env, new = BatchEnv(net, FIRST, 50, seed=1), BatchEnv(net, FIRST, 50, seed=2, first_user=7)
    for t in range(4):
        env.step(actions(env, t))
        env.reset(env.done)
    env.restart(2, first_user=7)
    for t in range(40):
        assert torch.equal(env.items, new.items) and torch.equal(env.episode, new.episode)
        ours, theirs = env.step(actions(env, t)), new.step(actions(new, t))
        assert torch.equal(ours.reward, theirs.reward)
        env.reset(ours.done)
        new.reset(theirs.done)


def test_batch_env_returned_tensors_do_not_change_later(net):
    env = BatchEnv(net, FIRST, 4)
    items, copy = env.items, env.items.clone()
    env.step(actions(env, 0))
    env.reset()
    assert torch.equal(items, copy)


def test_batch_env_final_state_stays_until_reset(fixed):
    env = BatchEnv(fixed([1e-12, 0.9]), torch.tensor([1]), num_users=2)
    for _ in range(5):
        env.step(torch.tensor([1, 2]))
    final = env.items[0].clone()
    assert env.done.tolist() == [True, False] and env.length[0] == 6
    feedback = env.step(torch.tensor([0, 2]))  # nothing for the one who has left
    assert torch.equal(env.items[0], final) and env.length.tolist() == [6, 7]
    assert feedback.reward[0] == 0 and not feedback.done[0]
    env.reset(env.done)
    assert env.length.tolist() == [1, 7] and not env.done.any()


def test_batch_env_continues_exactly_from_its_state_dict(net):
    env, other = BatchEnv(net, FIRST, 8, seed=4), BatchEnv(net, FIRST, 8, seed=4)

    def play(env: BatchEnv, start: int, stop: int) -> list[torch.Tensor]:
        rewards = []
        for t in range(start, stop):
            feedback = env.step(actions(env, t))
            env.reset(feedback.done)
            rewards.append(feedback.reward)
        return rewards

    play(env, 0, 8)
    saved = env.state_dict()
    assert saved["length"].max() > 1  # in the middle of episodes
    expected = play(env, 8, 40)
    other.restart(99, first_user=5)  # what it was before does not matter
    other.load_state_dict(saved)
    assert torch.equal(torch.stack(play(other, 8, 40)), torch.stack(expected))
    assert torch.equal(env.items, other.items) and torch.equal(env.episode, other.episode)


def test_batch_env_cached_responses_equal_those_of_the_whole_history(net):
    """Through partial resets, users who have left and are not reset for a while, and a restore in mid-episode."""
    net.intercept.fill_(-1.0)
    env, other = BatchEnv(net, FIRST, 8, seed=4), BatchEnv(net, FIRST, 8, seed=5)
    for t in range(60):
        if t == 37:
            other.load_state_dict(env.state_dict())
            env = other
        items, length, action, here = env.items, env.length, actions(env, t), ~env.done
        reward = env.step(action).reward
        expected = 5 * net.activation(net.score_item(items, length, action)) * here
        assert torch.allclose(reward, expected, atol=1e-6)
        if t % 3 == 0:
            env.reset(env.done & (env.user != t % 8))
    assert env.episode.min() > 1


def test_batch_env_shares_no_cache_with_others_of_the_same_net(net):
    env, alone = BatchEnv(net, FIRST, 4), BatchEnv(net, FIRST, 4)
    for t in range(6):
        BatchEnv(net, FIRST, 4, seed=9).step(actions(env, t + 1))
        assert torch.equal(env.step(actions(env, t)).reward, alone.step(actions(alone, t)).reward)


def test_batch_env_steps_when_every_episode_is_over(net):
    env = BatchEnv(net, FIRST, 3, [], horizon=1)
    assert env.step(torch.tensor([3, 4, 5])).truncated.all()
    kept = env.items.clone()
    reward, terminated, truncated = env.step(torch.zeros(3, dtype=torch.int64))
    assert not (reward.any() or terminated.any() or truncated.any()) and torch.equal(env.items, kept)
    assert reward.dtype == torch.float32 and env.done.all()


def test_batch_env_refuses_the_state_of_other_users(net, fixed):
    for other in (BatchEnv(net, FIRST, 4), BatchEnv(fixed([0.5] * 30), FIRST, 3)):
        with pytest.raises(ValueError, match="the saved users are others"):
            BatchEnv(net, FIRST, 3).load_state_dict(other.state_dict())


def test_batch_env_first_items_depend_on_user_and_episode_alone(net):
    """Drawn ahead, again and again, for users who are many episodes apart: user by user the same sequence."""
    ahead, single = BatchEnv(net, FIRST, 3, seed=6), BatchEnv(net, FIRST, 3, seed=6)
    turns = torch.arange(3) + 2
    sequences: list[list[int]] = [[], [], []]
    for t in range(300):
        mask = t % turns != 0  # every second, two of three, three of four
        ahead.reset(mask)
        for user in mask.nonzero().flatten().tolist():
            sequences[user].append(int(ahead.items[user, 0]))
    assert ahead.episode.tolist() == [150, 200, 225]
    for episode in range(1, 151):
        single.reset()
        assert single.items[:, 0].tolist() == [sequence[episode - 1] for sequence in sequences]


@pytest.mark.parametrize("action", [-1, 0, 31])
def test_batch_env_id_out_of_range_is_refused(net, action):
    env = BatchEnv(net, FIRST, 2)
    with pytest.raises(ValueError, match=f"action {action} is no item: ids go from 1 to 30"):
        env.step(torch.tensor([1, action]))
    assert env.length.tolist() == [1, 1]


@pytest.mark.parametrize("bad", [torch.tensor([1]), torch.tensor([1.0, 2.0]), torch.tensor([[1], [2]])])
def test_batch_env_actions_of_another_form_are_refused(net, bad):
    with pytest.raises(ValueError, match="actions must be"):
        BatchEnv(net, FIRST, 2).step(bad)


def test_batch_env_recommendation_after_the_end_is_refused(fixed):
    env = BatchEnv(fixed([1e-12, 0.9]), torch.tensor([1]), num_users=2)
    for _ in range(5):
        env.step(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="user 0 is over"):
        env.step(torch.tensor([1, 2]))


def test_batch_env_nan_is_refused(net):
    env = BatchEnv(net, FIRST, 2)
    with torch.no_grad():
        net.bias[4] = torch.nan
    env.step(torch.tensor([1, 2]))
    with pytest.raises(ValueError, match="NaN"):
        env.step(torch.tensor([1, 4]))


@pytest.mark.parametrize("name", ["bias", "encoder.item_embedding.weight", "intercept"])
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_batch_env_refuses_weights_that_are_not_finite(net, name, value):
    net.state_dict()[name].view(-1)[-1] = value
    with pytest.raises(ValueError, match=f"response net's {name} holds NaN or infinity"):
        BatchEnv(net, FIRST, 2)


def test_batch_env_repeats_are_legal_and_a_rule_of_ones_own_is_asked(fixed):
    class LeavesOnRepeat(ExitRule):
        def start(self, num_users, device):
            return torch.zeros(num_users, 0, device=device)

        def advance(self, memory, step):
            return memory, (step.items == step.action.unsqueeze(1)).any(1)

    env = BatchEnv(fixed([0.5, 0.5]), torch.tensor([1]), 2, exit_rules=[LeavesOnRepeat()])
    assert env.step(torch.tensor([1, 2])).terminated.tolist() == [True, False]


def test_batch_env_dropout_is_off_and_nothing_has_a_gradient():
    torch.manual_seed(0)
    net = SequentialResponse(30, dim=8, dropout=0.9).train()
    answers = []
    for _ in range(2):
        env = BatchEnv(net, FIRST, 2)
        assert not net.training
        answers.append(env.step(torch.tensor([1, 2])).reward)
    assert torch.equal(*answers) and not answers[0].requires_grad and answers[0].grad_fn is None
    assert all(memory.grad_fn is None for memory in env.state_dict()["rules"])
    net.train()
    with pytest.raises(ValueError, match="training mode"):
        env.step(torch.tensor([1, 2]))
