"""The simulated users as Gymnasium environments: a vector of them over one `BatchEnv`, and a single one.

    import gymnasium
    import ialp.gym                                    # registers the ids below

    env = gymnasium.make("ialp/LFM-v0", run="runs/lfm_reward/0-1a2b3c4d")
    envs = gymnasium.make_vec("ialp/LFM-v0", num_envs=256)

`gymnasium.make("ialp.gym:ialp/LFM-v0")` does both in one line. Without `run`, it is the newest finished run of
`configs/lfm_reward.yaml` below `runs_dir`. ialp/Coat-v0 and ialp/Industry-v0 are likewise; ialp/World-v0 takes any
reward run and has no default.
"""

from typing import Any

import numpy as np
import torch

from ialp.data.log import Log
from ialp.envs.world import World
from ialp.masking import allowed_items
from ialp.runs.open import open_world

try:
    import gymnasium
except ModuleNotFoundError as error:
    raise ModuleNotFoundError("ialp.gym needs Gymnasium: pip install 'ialp[gym]'", name=error.name) from None
from gymnasium import spaces
from gymnasium.error import ResetNeeded
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from typing_extensions import override

WORLDS = {"Coat": "coat", "LFM": "lfm", "Industry": "industry", "World": None}

Observation = dict[str, np.ndarray]
Info = dict[str, Any]


class UserVectorEnv(VectorEnv[Any, Any, np.ndarray]):
    """B users at once; user u does what `UserEnv(first_user=u)` would do with the same seed, whatever B is.

    In the test world user u always begins with the u-th test sequence's item: as many users as there are test sequences
    and one episode each are what `ialp evaluate` plays. A `reset` with a seed begins all users' first episodes, one
    without their next ones. An episode that is over is followed by the next with the next step, which ignores the
    user's action and has reward 0 (Gymnasium's `AutoresetMode.NEXT_STEP`).

    Args:
        world: How the users respond and when they leave.
        log: Gives the first items, and the users' features where there are any.
        num_envs: B.
        test: Play the test world instead of the training world.
        first_user: Number of the first user.

    Attributes:
        single_observation_space: `history` (T,) of items, right-padded with 0; `length` () items in it; where users are
            known by features, `user` (F,), and the history has recommendations only.
        single_action_space: Action a recommends item a + 1.
        core: The `BatchEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": [], "autoreset_mode": AutoresetMode.NEXT_STEP}  # noqa: RUF012

    def __init__(self, world: World, log: Log, num_envs: int = 1, test: bool = False, first_user: int = 0) -> None:
        self.num_envs, self.first_user = num_envs, first_user
        first_items = (log.test if test else log.train).first_items()
        self.core = world.env(first_items, num_envs, evaluation=test, first_user=first_user)
        self._features = log.user_features.numpy()
        self._skipped = int(len(self._features) > 0)  # such a history begins with its user
        longest = world.horizon + 1 - self._skipped
        described: dict[str, spaces.Space] = {
            "history": spaces.Box(0, self.core.num_items, (longest,), np.int64),
            "length": spaces.Discrete(longest + 1),
        }
        if self._skipped:
            lowest, highest = float(self._features.min()), float(self._features.max())
            described["user"] = spaces.Box(lowest, highest, self._features.shape[1:], np.float32)
        self.single_observation_space = spaces.Dict(described)
        self.single_action_space = spaces.Discrete(self.core.num_items)
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._begun = False

    @override
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        super().reset(seed=seed)
        if seed is not None or not self._begun:
            self.core.restart(self.np_random_seed or 0, self.first_user)
        else:
            self.core.reset()
        self._begun = True
        return self.observe()

    @override
    def step(self, actions: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, Info]:
        if not self._begun:
            raise ResetNeeded("no episode has begun: call reset()")
        over = self.core.done
        feedback = self.core.step(self._items(np.asarray(actions)))
        if over.any():
            self.core.reset(over)
        reward, terminated, truncated = (each.cpu().numpy() for each in feedback)
        observation, info = self.observe()
        return observation, reward.astype(np.float64), terminated, truncated, info

    def observe(self) -> tuple[Observation, Info]:
        """Observations of all users, and `action_mask` (B, N) int8, 1 for items not yet in the episode."""
        items = self.core.items.cpu().numpy()
        seen = {
            "history": items[:, self._skipped : self.core.horizon + 1].copy(),
            "length": (self.core.length - self._skipped).cpu().numpy(),
        }
        if self._skipped:
            seen["user"] = self._features[items[:, 0] - self.core.num_items - 1]
        allowed = allowed_items(self.core.items, self.core.length, self.core.num_items + 1)[:, 1:]
        mask = allowed.cpu().numpy().astype(np.int8)
        return seen, {"action_mask": mask, "_action_mask": np.ones(self.num_envs, dtype=bool)}

    def _items(self, actions: np.ndarray) -> torch.Tensor:
        """Actions (B,) from 0 → items (B,); 0 for users whose episode is over."""
        going_on = ~self.core.done.cpu().numpy()
        if actions.shape != going_on.shape or not np.issubdtype(actions.dtype, np.integer):
            raise ValueError(f"actions must be ({self.num_envs},) whole numbers, got {actions.dtype} {actions.shape}")
        if (bad := going_on & ((actions < 0) | (actions >= self.core.num_items))).any():
            raise ValueError(f"action {actions[bad][0]} is none: actions go from 0 to {self.core.num_items - 1}")
        return torch.from_numpy(np.where(going_on, actions.astype(np.int64) + 1, 0)).to(self.core.device)


class UserEnv(gymnasium.Env[Any, Any]):
    """One user; in the test world the test users, one after another.

    `reset(seed=s)` begins the first episode of user `first_user` of that seed, every further `reset()` the next one.
    `step(action)` recommends item `action` + 1; a repeat is legal. The arguments are those of `UserVectorEnv`.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012

    def __init__(self, world: World, log: Log, test: bool = False, first_user: int = 0) -> None:
        self.users = UserVectorEnv(world, log, test=test, first_user=first_user)
        self.observation_space = self.users.single_observation_space
        self.action_space = self.users.single_action_space
        self.test, self._episodes = test, 0

    @override
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        super().reset(seed=seed)
        if seed is not None or not self._episodes:
            self._episodes = 0
            self.users.reset(seed=self.np_random_seed)
        elif self.test:
            self.users.core.restart(0, self.users.first_user + self._episodes)
        else:
            self.users.core.reset()
        self._episodes += 1
        return self._first_of(*self.users.observe())

    @override
    def step(self, action: int) -> tuple[Observation, float, bool, bool, Info]:
        if bool(self.users.core.done):
            raise ResetNeeded("the episode is over: call reset()")
        observation, reward, terminated, truncated, info = self.users.step(np.asarray(action)[None])
        seen, info = self._first_of(observation, info)
        return seen, float(reward[0]), bool(terminated[0]), bool(truncated[0]), info

    def _first_of(self, observation: Observation, info: Info) -> tuple[Observation, Info]:
        return {name: value[0] for name, value in observation.items()}, {"action_mask": info["action_mask"][0]}


def make_env(name: str | None, run: str | None = None, runs_dir: str = "runs", **kwargs: Any) -> UserEnv:
    """Entry point of `gymnasium.make`; `kwargs` are the other arguments of `UserEnv`."""
    return UserEnv(*open_world(name, run, runs_dir), **kwargs)


def make_vector_env(name: str | None, run: str | None = None, runs_dir: str = "runs", **kwargs: Any) -> UserVectorEnv:
    """Entry point of `gymnasium.make_vec`; `kwargs` are the other arguments of `UserVectorEnv`."""
    return UserVectorEnv(*open_world(name, run, runs_dir), **kwargs)


for _id, _name in WORLDS.items():
    gymnasium.register(
        f"ialp/{_id}-v0",
        entry_point=f"{__name__}:make_env",
        vector_entry_point=f"{__name__}:make_vector_env",
        kwargs={"name": _name},
    )
