import importlib
import json
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from ialp.data import BuiltinLog
from ialp.data.readers import CoatLog
from ialp.envs import PatienceExit, SimilarityExit, World
from ialp.envs.episodes import run_episodes
from ialp.envs.references import figures
from ialp.errors import UserError
from ialp.nets import DeepFM
from ialp.nets.response import SequentialResponse
from tests.helpers.coat_files import write_coat

gymnasium = pytest.importorskip("gymnasium", reason="the gym extra is not installed")

from gymnasium.error import ResetNeeded  # noqa: E402
from gymnasium.utils.env_checker import check_env, data_equivalence  # noqa: E402
from gymnasium.vector import AutoresetMode, SyncVectorEnv  # noqa: E402

from ialp.gym import UserEnv, UserVectorEnv  # noqa: E402

SMALL = {"num_tracks": 60, "num_sessions": 80}


@pytest.fixture(scope="module")
def clicks():
    """Users with opinions, though nobody's, who stay for 5 to 20 of 60 items."""
    log = BuiltinLog(**SMALL).load()
    torch.manual_seed(0)
    net = SequentialResponse(log.catalogue.num_items, dim=8)
    torch.nn.init.normal_(net.bias, mean=0.5, std=2.0)
    return World(net, [PatienceExit()], 20), log


@pytest.fixture(scope="module")
def ratings(tmp_path_factory):
    """Users known by features, who leave when items are too similar or after 6 of them."""
    root = str(write_coat(tmp_path_factory.mktemp("data")))
    log = CoatLog(root).load()
    torch.manual_seed(0)
    net = DeepFM(30, 40, 4, 6)
    net.start_from(log.user_features, log.item_features, 3.0)
    torch.nn.init.normal_(net.item.weight, std=0.5)
    torch.nn.init.normal_(net.user.weight, std=0.5)
    return World(net.eval(), [SimilarityExit(2.0)], 6, 1.0), log


@pytest.fixture(params=["clicks", "ratings"])
def world(request):
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="module")
def runs(tmp_path_factory, clicks) -> Path:
    """Finished reward runs, of which the second of LFM is the newest."""
    runs = tmp_path_factory.mktemp("project") / "runs"
    described = {"class_path": "ialp.data.BuiltinLog", "init_args": SMALL}
    for name, finished in (("0-bbbbbbbb", "2026-01-02"), ("0-aaaaaaaa", "2026-01-03"), ("0-cccccccc", "2026-01-01")):
        folder = runs / "lfm_reward" / name
        clicks[0].save(folder / "world", clicks[1].catalogue.fingerprint)
        (folder / "config.yaml").write_text(yaml.safe_dump({"data": {"init_args": {"log": described}}}))
        done = {"fingerprint": name, "stage": "lfm_reward", "seed": 0, "finished": finished}
        (folder / "done.json").write_text(json.dumps(done))
    (runs / "lfm_reward" / "0-dddddddd").mkdir()  # under way
    (runs / "lfm_reward" / ".0-dddddddd.lock").touch()
    return runs


def permitted(info, generator) -> np.ndarray:
    """(B,) actions drawn from those that the masks (B, N) permit."""
    return np.array([generator.choice(row.nonzero()[0]) for row in info["action_mask"]])


class TestOneUser:
    def test_gym_passes_gymnasiums_check(self, world, runs):
        registered = gymnasium.make("ialp/LFM-v0", runs_dir=str(runs)).unwrapped
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(UserEnv(*world), skip_render_check=True)
            check_env(registered)

    def test_gym_history_by_hand(self, clicks):
        env = UserEnv(*clicks)
        seen, info = env.reset(seed=5)
        first = seen["history"][0]
        assert first in clicks[1].train.first_items() and seen["length"] == 1 and not seen["history"][1:].any()
        assert info["action_mask"].shape == (60,) and info["action_mask"].sum() == 59
        action = 0 if first != 1 else 1
        seen, reward, terminated, truncated, info = env.step(action)
        assert seen["history"][:3].tolist() == [first, action + 1, 0] and seen["length"] == 2
        assert info["action_mask"].nonzero()[0].tolist() == [
            other for other in range(60) if other + 1 not in (first, action + 1)
        ]
        history = torch.tensor([[first]])
        with torch.no_grad():
            p = clicks[0].response.score_item(history, torch.tensor([1]), torch.tensor([action + 1])).sigmoid()
        assert reward == pytest.approx(5 * float(p)) and (terminated, truncated) == (False, False)

    def test_gym_user_known_by_features_begins_with_an_empty_history(self, ratings):
        world, log = ratings
        env = UserEnv(world, log)
        seen, info = env.reset(seed=1)
        user = int(env.users.core.items[0, 0]) - 31
        assert np.array_equal(seen["user"], log.user_features[user].numpy())
        assert seen["length"] == 0 and not seen["history"].any() and info["action_mask"].all()
        seen, reward, *_ = env.step(7)
        assert seen["history"].tolist() == [8, 0, 0, 0, 0, 0] and seen["length"] == 1
        assert reward == pytest.approx(float(world.response.table()[user, 8]))
        assert env.observation_space["history"].high.max() == 30  # no id of a user among them

    def test_gym_leaving_is_told_from_being_cut(self, fixed, clicks):
        for p, steps, ends in ((1e-9, 5, (True, False)), (1 - 1e-7, 20, (False, True))):
            env = UserEnv(World(fixed([p] * 60)), clicks[1])
            env.reset(seed=0)
            for step in range(steps):
                *_, terminated, truncated, _ = env.step(step)
                assert (terminated, truncated) == (ends if step == steps - 1 else (False, False))

    def test_gym_seed_names_the_users_and_reset_goes_on_to_the_next_episode(self, clicks):
        env = UserEnv(*clicks)

        def firsts(seed: int) -> list[int]:
            return [int(env.reset(seed=seed if n == 0 else None)[0]["history"][0]) for n in range(12)]

        assert firsts(3) == firsts(3) and len(set(firsts(3))) > 3
        assert firsts(3) != firsts(4)

    def test_gym_is_random_without_a_seed(self, clicks):
        begun = {int(UserEnv(*clicks).reset()[0]["history"][0]) for _ in range(30)}
        assert len(begun) > 3

    def test_gym_in_the_test_world_the_test_users_come_one_after_another(self, world):
        env, first = UserEnv(*world, test=True), world[1].test.first_items()
        for _ in range(2):
            env.reset(seed=9)
            for user in range(len(first) + 2):
                assert env.users.core.items[0, 0] == first[user % len(first)]
                env.reset()

    def test_gym_random_agent_written_by_hand(self, world):
        env, generator = UserEnv(*world), np.random.default_rng(0)
        lengths = []
        for episode in range(5):
            seen, info = env.reset(seed=0 if episode == 0 else None)
            over = False
            while not over:
                action = generator.choice(info["action_mask"].nonzero()[0])
                seen, _, terminated, truncated, info = env.step(action)
                over = terminated or truncated
            shown = seen["history"][seen["history"] > 0]
            assert len(set(shown.tolist())) == len(shown) == seen["length"]
            lengths.append(len(shown))
        assert max(lengths) > 1


class TestManyUsers:
    def test_gym_vector_equals_sync_vector_env(self, world):
        ours = UserVectorEnv(*world, num_envs=5)
        theirs = SyncVectorEnv([lambda user=user: UserEnv(*world, first_user=user) for user in range(5)])
        assert ours.observation_space == theirs.observation_space and ours.action_space == theirs.action_space
        (seen, info), (expected, expected_info) = ours.reset(seed=3), theirs.reset(seed=[3] * 5)
        assert data_equivalence(seen, expected) and data_equivalence(info, expected_info)
        generator, ended = np.random.default_rng(0), 0
        for _ in range(60):
            actions = permitted(info, generator)
            seen, reward, terminated, truncated, info = ours.step(actions)
            expected, *numbers, expected_info = theirs.step(actions)
            assert seen in ours.observation_space and data_equivalence(seen, expected)
            assert np.allclose(reward, numbers[0], atol=1e-6) and reward.dtype == numbers[0].dtype
            assert np.array_equal(terminated, numbers[1]) and np.array_equal(truncated, numbers[2])
            assert data_equivalence(info, expected_info)
            ended += (terminated | truncated).sum()
        assert ended > 10

    def test_gym_same_seed_gives_the_same_users_however_many_there_are(self, world):
        many = UserVectorEnv(*world, num_envs=256)
        few = {number: UserVectorEnv(*world, num_envs=number) for number in (1, 7)}
        everybody, info = many.reset(seed=11)
        for number, envs in few.items():
            assert data_equivalence(envs.reset(seed=11)[0], {name: value[:number] for name, value in everybody.items()})
        generator = np.random.default_rng(0)
        for _ in range(30):
            actions = permitted(info, generator)
            everybody, reward, *ends, info = many.step(actions)
            for number, envs in few.items():
                seen, ours, *ours_ends, _ = envs.step(actions[:number])
                assert data_equivalence(seen, {name: value[:number] for name, value in everybody.items()})
                assert np.allclose(ours, reward[:number], atol=1e-6)
                assert all(np.array_equal(one, all_[:number]) for one, all_ in zip(ours_ends, ends, strict=True))

    def test_gym_test_world_is_that_of_evaluate(self, world):
        first = world[1].test.first_items()
        envs = UserVectorEnv(*world, num_envs=len(first), test=True)
        _, info = envs.reset()
        returns, lengths, present = np.zeros(len(first)), np.zeros(len(first)), np.ones(len(first), dtype=bool)
        for _ in range(world[0].horizon):
            _, reward, terminated, truncated, info = envs.step(info["action_mask"].argmax(1))
            returns, lengths = returns + reward * present, lengths + present
            present &= ~(terminated | truncated)
        assert not present.any()

        def first_allowed(history):
            items = history.items
            shown = torch.zeros(len(items), world[0].response.num_items + 50, dtype=torch.bool).scatter_(1, items, True)
            shown[:, 0] = True
            return shown.int().argmin(1)

        played = run_episodes(first_allowed, world[0].env(first, len(first), evaluation=True))
        assert np.allclose(played.returns, returns, atol=1e-4) and np.array_equal(played.lengths, lengths)
        assert figures(played)["length"] == pytest.approx(lengths.mean())

    def test_gym_returned_arrays_belong_to_the_caller(self, world):
        envs, others = (UserVectorEnv(*world, num_envs=4) for _ in range(2))
        (seen, info), _ = envs.reset(seed=0), others.reset(seed=0)
        kept = {name: value.copy() for name, value in {**seen, **info}.items()}
        for _ in range(8):
            actions = others.observe()[1]["action_mask"].argmax(1)
            later, *ours, info_later = envs.step(actions)
            expected, *theirs, _ = others.step(actions)
            assert data_equivalence(later, expected) and data_equivalence(ours, theirs)
            for value in (*later.values(), *ours, info_later["action_mask"]):
                value[:] = 1
        assert data_equivalence({**seen, **info}, kept)


class TestRefused:
    @pytest.mark.parametrize("action", [-1, 60, 10**9])
    def test_gym_action_out_of_range(self, clicks, action):
        env, envs = UserEnv(*clicks), UserVectorEnv(*clicks, num_envs=2)
        env.reset()
        envs.reset()
        with pytest.raises(ValueError, match=f"action {action} is none: actions go from 0 to 59"):
            env.step(action)
        with pytest.raises(ValueError, match=f"action {action} is none: actions go from 0 to 59"):
            envs.step(np.array([1, action]))

    @pytest.mark.parametrize("actions", [[0.5, 1.0], [1], [[1, 2]], [np.nan, 1]])
    def test_gym_actions_of_another_form(self, clicks, actions):
        envs = UserVectorEnv(*clicks, num_envs=2)
        envs.reset()
        with pytest.raises(ValueError, match=r"actions must be \(2,\) whole numbers"):
            envs.step(np.array(actions))

    def test_gym_step_before_the_beginning(self, clicks):
        with pytest.raises(ResetNeeded):
            UserEnv(*clicks).step(0)
        with pytest.raises(ResetNeeded):
            UserVectorEnv(*clicks).step(np.array([0]))

    def test_gym_step_after_the_end(self, fixed, clicks):
        env = UserEnv(World(fixed([1e-9] * 60)), clicks[1])
        env.reset()
        for action in range(5):
            env.step(action)
        with pytest.raises(ResetNeeded, match="the episode is over"):
            env.step(5)


class TestRegistered:
    def test_gym_newest_finished_run_is_taken(self, runs, monkeypatch):
        from ialp.runs.open import newest

        assert newest("lfm", str(runs)).name == "0-aaaaaaaa"
        monkeypatch.chdir(runs.parent)
        assert gymnasium.make("ialp/LFM-v0").unwrapped.users.core.num_items == 60

    def test_gym_vector_of_a_named_run(self, runs):
        run = str(runs / "lfm_reward" / "0-cccccccc")
        envs = gymnasium.make_vec("ialp/World-v0", num_envs=3, run=run)
        assert isinstance(envs, UserVectorEnv) and envs.num_envs == 3
        assert envs.metadata["autoreset_mode"] is AutoresetMode.NEXT_STEP

    def test_gym_spec_can_be_written_down(self, runs):
        spec = gymnasium.make("ialp/LFM-v0", runs_dir=str(runs), test=True).spec
        again = gymnasium.make(gymnasium.envs.registration.EnvSpec.from_json(spec.to_json()))
        assert again.unwrapped.test

    @pytest.mark.parametrize(("world", "config"), [("Coat", "coat"), ("LFM", "lfm"), ("Industry", "industry")])
    def test_gym_no_finished_run(self, tmp_path, world, config):
        with pytest.raises(UserError, match=f"ialp fit --config configs/{config}_reward.yaml"):
            gymnasium.make(f"ialp/{world}-v0", runs_dir=str(tmp_path))

    def test_gym_no_run_named(self, tmp_path):
        with pytest.raises(UserError, match="say run="):
            gymnasium.make("ialp/World-v0")
        with pytest.raises(UserError, match="no run of a reward model"):
            gymnasium.make("ialp/World-v0", run=str(tmp_path / "nowhere"))

    def test_gym_without_gymnasium_the_extra_is_named(self, monkeypatch):
        monkeypatch.setitem(sys.modules, "gymnasium", None)
        monkeypatch.delitem(sys.modules, "ialp.gym")
        with pytest.raises(ModuleNotFoundError, match=r"pip install 'ialp\[gym\]'"):
            importlib.import_module("ialp.gym")


class TestStableBaselines:
    @pytest.fixture(autouse=True)
    def require_stable_baselines(self):
        pytest.importorskip("stable_baselines3", reason="the gym extra is not installed")

    def test_gym_passes_stable_baselines_check(self, world):
        from stable_baselines3.common.env_checker import check_env

        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check_env(UserEnv(*world))

    def test_gym_ppo_runs(self, world):
        from stable_baselines3 import PPO

        model = PPO("MultiInputPolicy", UserEnv(*world), n_steps=64, batch_size=32, n_epochs=2, seed=0, device="cpu")
        model.learn(128)
        assert model.num_timesteps == 128 and len(model.ep_info_buffer) > 5
        seen, _ = model.get_env().envs[0].reset(seed=0)
        action, _ = model.predict(seen)
        assert action.shape == () and 0 <= action < world[0].response.num_items

    def test_gym_dqn_runs(self, world):
        from stable_baselines3 import DQN

        model = DQN("MultiInputPolicy", UserEnv(*world), buffer_size=500, learning_starts=50, seed=0, device="cpu")
        model.learn(200)
        assert model.num_timesteps == 200 and model.replay_buffer.size() == 200
        stored = model.replay_buffer.observations["history"]
        assert stored.shape[1:] == (1, *UserEnv(*world).observation_space["history"].shape) and stored.dtype == np.int64
        assert (model.replay_buffer.actions[:200] >= 0).all()

    def test_gym_examples_of_the_documentation(self, runs, monkeypatch, capsys):
        monkeypatch.chdir(runs.parent)
        text = Path(__file__).parents[1].joinpath("docs", "worlds.md").read_text().split("\n## Gymnasium\n")[1]
        blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
        assert len(blocks) == 3 and "20_000" in blocks[2]
        seen: dict = {}
        exec("\n".join(blocks).replace("20_000", "512"), seen)
        assert "recommendations and gave" in capsys.readouterr().out
        assert seen["envs"].num_envs == 256 and seen["model"].num_timesteps == 512
