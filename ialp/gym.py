"""The simulated users as Gymnasium environments: a single one and a vector of them, over one `BatchEnv`.

    import gymnasium
    import ialp.gym                                    # registers the ids below

    env = gymnasium.make("ialp/LFM-v0", run="runs/lfm_reward/0-1a2b3c4d")
    envs = gymnasium.make_vec("ialp/LFM-v0", num_envs=256, autoreset_mode="SameStep")

`gymnasium.make("ialp.gym:ialp/LFM-v0")` does both in one line. Without `run`, it is the newest finished run of
`configs/lfm_reward.yaml` below `runs_dir`. ialp/Coat-v0 and ialp/Industry-v0 are likewise; ialp/World-v0 takes any
reward run and has no default.
"""

from typing import Any

import numpy as np
import torch

from ialp.data.log import Log
from ialp.envs.batch_env import Feedback
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


class Users:
    """B users of a world with observations and actions as numpy arrays; the part that both environments share.

    Args:
        world: How the users respond and when they leave.
        log: Gives the first items, and the users' features where there are any.
        num_users: B.
        test: First items of the test sequences, user u always the u-th; else of training sequences, drawn by seed.
        first_user: Number of the first of them.

    Attributes:
        core: The `BatchEnv`.
        observation_space: Of one user: `history` (T,) of items, right-padded with 0; `length` () items in it; where
            users are known by features, `user` (F,), and the history has recommendations only.
        action_space: Of one user: action a recommends item a + 1.
    """

    def __init__(self, world: World, log: Log, num_users: int, test: bool, first_user: int) -> None:
        first_items = (log.test if test else log.train).first_items()
        self.core = world.env(first_items, num_users, evaluation=test, first_user=first_user)
        self.features = log.user_features.numpy()
        self.skipped = int(len(self.features) > 0)  # such a history begins with its user
        longest = world.horizon + 1 - self.skipped
        described: dict[str, spaces.Space] = {
            "history": spaces.Box(0, self.core.num_items, (longest,), np.int64),
            "length": spaces.Discrete(longest + 1),
        }
        if self.skipped:
            lowest, highest = float(self.features.min()), float(self.features.max())
            described["user"] = spaces.Box(lowest, highest, self.features.shape[1:], np.float32)
        self.observation_space = spaces.Dict(described)
        self.action_space = spaces.Discrete(self.core.num_items)

    def observe(self) -> Observation:
        """Arrays (B, …) of the observation space, which the caller may change."""
        items = self.core.items.cpu().numpy()
        seen = {
            "history": items[:, self.skipped : self.core.horizon + 1].copy(),
            "length": (self.core.length - self.skipped).cpu().numpy(),
        }
        if self.skipped:
            seen["user"] = self.features[items[:, 0] - self.core.num_items - 1]
        return seen

    def mask(self) -> np.ndarray:
        """(B, N) int8, 1 for the actions whose items are not yet in the episode."""
        allowed = allowed_items(self.core.items, self.core.length, self.core.num_items + 1)
        return allowed[:, 1:].cpu().numpy().astype(np.int8)

    def step(self, actions: Any) -> Feedback:
        """Actions (B,) from 0; those of users whose episode is over are ignored.

        Raises:
            ValueError: Actions of another shape or type, or out of range.
        """
        actions = np.asarray(actions)
        if actions.shape != (self.core.num_users,) or not np.issubdtype(actions.dtype, np.integer):
            raise ValueError(
                f"actions must be ({self.core.num_users},) whole numbers, got {actions.dtype} {actions.shape}"
            )
        going_on = ~self.core.done.cpu().numpy()
        if (bad := going_on & ((actions < 0) | (actions >= self.core.num_items))).any():
            raise ValueError(f"action {actions[bad][0]} is none: actions go from 0 to {self.core.num_items - 1}")
        items = np.where(going_on, actions.astype(np.int64) + 1, 0)
        return self.core.step(torch.from_numpy(items).to(self.core.device))


class UserEnv(gymnasium.Env[Any, Any]):
    """One user; in the test world the test users, one after another.

    `reset(seed=s)` begins the first episode of user `first_user` of that seed, every further `reset()` the next one.
    `step(action)` recommends item `action` + 1; a repeat is legal.

    Args:
        world: How users respond and when they leave.
        log: Gives the first items, and the users' features where there are any.
        test: Play the test world instead of the training world.
        first_user: Number of the user; in the test world that of the first one.
    """

    metadata: dict[str, Any] = {"render_modes": []}  # noqa: RUF012 - Gymnasium's own form

    def __init__(self, world: World, log: Log, test: bool = False, first_user: int = 0) -> None:
        self.users = Users(world, log, 1, test, first_user)
        self.observation_space, self.action_space = self.users.observation_space, self.users.action_space
        self.test, self.first_user = test, first_user
        self._episodes = 0

    @override
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        super().reset(seed=seed)
        if seed is not None:
            self._episodes = 0
        if self.test or self._episodes == 0:
            self.users.core.restart(self.np_random_seed, self.first_user + self._episodes * self.test)
        else:
            self.users.core.reset()
        self._episodes += 1
        return self._observe()

    @override
    def step(self, action: int) -> tuple[Observation, float, bool, bool, Info]:
        if self._episodes == 0 or bool(self.users.core.done):
            raise ResetNeeded("the episode is over, or none has begun: call reset()")
        reward, terminated, truncated = self.users.step(np.asarray(action)[None])
        observation, info = self._observe()
        return observation, float(reward), bool(terminated), bool(truncated), info

    def _observe(self) -> tuple[Observation, Info]:
        observation = {name: value[0] for name, value in self.users.observe().items()}
        return observation, {"action_mask": self.users.mask()[0]}


class UserVectorEnv(VectorEnv[Any, Any, np.ndarray]):
    """B users at once; user u does what `UserEnv(first_user=u)` would do with the same seed, whatever B is.

    In the test world user u always begins with the u-th test sequence's item: as many users as there are test sequences
    and one episode each are what `ialp evaluate` plays. A `reset` with a seed begins all users' first episodes, one
    without their next ones, or those of `options["reset_mask"]`, (B,) bool.

    Args:
        world: How users respond and when they leave.
        log: Gives the first items, and the users' features where there are any.
        num_envs: B.
        autoreset_mode: An episode that is over is followed by the next with the next step, which ignores the user's
            action ("NextStep"), in the same step, the final observation being in `info["final_obs"]` ("SameStep"), or
            by `reset(options={"reset_mask": …})` before the next step ("Disabled").
        test: Play the test world instead of the training world.
        first_user: Number of the first user.
    """

    def __init__(
        self,
        world: World,
        log: Log,
        num_envs: int = 1,
        autoreset_mode: AutoresetMode | str = AutoresetMode.NEXT_STEP,
        test: bool = False,
        first_user: int = 0,
    ) -> None:
        self.users = Users(world, log, num_envs, test, first_user)
        self.num_envs, self.first_user = num_envs, first_user
        self.autoreset_mode = AutoresetMode(autoreset_mode)
        self.metadata = {"render_modes": [], "autoreset_mode": self.autoreset_mode}
        self.single_observation_space = self.users.observation_space
        self.single_action_space = self.users.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._begun = False

    @override
    def reset(self, *, seed: int | None = None, options: Info | None = None) -> tuple[Observation, Info]:
        super().reset(seed=seed)
        mask = (options or {}).get("reset_mask")
        if mask is not None:
            self._check_mask(mask, seed)
        if seed is not None or not self._begun:
            self.users.core.restart(self.np_random_seed or 0, self.first_user)
            self._begun = True
        else:
            self.users.core.reset(None if mask is None else torch.from_numpy(mask).to(self.users.core.device))
        return self.users.observe(), self._info()

    @override
    def step(self, actions: np.ndarray) -> tuple[Observation, np.ndarray, np.ndarray, np.ndarray, Info]:
        core, mode = self.users.core, self.autoreset_mode
        over, info = core.done, {}
        if not self._begun or (mode is AutoresetMode.DISABLED and bool(over.any())):
            raise ResetNeeded("an episode is over, or none has begun: call reset(options={'reset_mask': …}) or reset()")
        feedback = self.users.step(actions)
        if mode is AutoresetMode.SAME_STEP and feedback.done.any():
            info = self._final(feedback.done.cpu().numpy())
            core.reset(feedback.done)
        elif mode is AutoresetMode.NEXT_STEP and over.any():
            core.reset(over)
        reward, terminated, truncated = (each.cpu().numpy() for each in feedback)
        return self.users.observe(), reward.astype(np.float64), terminated, truncated, {**info, **self._info()}

    def _info(self) -> Info:
        return {"action_mask": self.users.mask(), "_action_mask": np.ones(self.num_envs, dtype=bool)}

    def _final(self, done: np.ndarray) -> Info:
        """Last observation and mask of the users whose episode is over, (B,) bool, as `SyncVectorEnv` has them."""
        seen, observations = self.users.observe(), np.full(self.num_envs, None, dtype=object)
        for user in done.nonzero()[0]:
            observations[user] = {name: value[user] for name, value in seen.items()}
        mask = self.users.mask() * done[:, None]
        return {
            "final_obs": observations,
            "_final_obs": done,
            "final_info": {"action_mask": mask, "_action_mask": done.copy()},
            "_final_info": done.copy(),
        }

    def _check_mask(self, mask: Any, seed: int | None) -> None:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.shape != (self.num_envs,):
            raise ValueError(f"options['reset_mask'] must be a numpy array of ({self.num_envs},) bool, got {mask!r}")
        if not mask.any():
            raise ValueError("options['reset_mask'] names nobody: at least one entry must be True")
        if seed is not None:
            raise ValueError("a seed begins all users anew: leave out options['reset_mask']")


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
