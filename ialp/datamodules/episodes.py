"""On-policy rollouts of whole episodes against the simulated users."""

from collections import deque
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from ialp.data.log import LogSource
from ialp.datamodules.experience import ExperienceDataset
from ialp.datamodules.loader import ResumableLoader
from ialp.datamodules.users import ReplayDataModule, load_online_state, online_state
from ialp.distributed import sum_over_ranks, world_size
from ialp.envs import BatchEnv
from ialp.rl.stepwise import StepwisePolicy
from ialp.rl.support import CHANCES
from ialp.rng import stream, uniforms
from ialp.types import Transition

if TYPE_CHECKING:
    from ialp.phases.online_adapt import OnlineAdapt


class EpisodeRollout(ExperienceDataset):
    """Every user plays one whole episode with the policy as it stands; then each episode is learnt from once.

    Args:
        module: the phase, whose scheme and exploration act.
        env: users in the training world.
        rollouts: per epoch.
        minibatches: per rollout, each of whole episodes.
        reward_scale: multiplies the users' reward.
        seed: of the exploration and of what episodes stand together in a minibatch.
    """

    def __init__(
        self, module: "OnlineAdapt", env: BatchEnv, rollouts: int, minibatches: int, reward_scale: float, seed: int
    ) -> None:
        self.module, self.env = module, env
        self.rollouts, self.minibatches = rollouts, minibatches
        self.reward_scale, self.seed = reward_scale, stream(seed, "exploration")
        self.generator = torch.Generator().manual_seed(stream(seed, f"minibatches of {int(env.user[0])}"))
        # Return and length of the latest episodes, 20 over all ranks.
        self.finished: deque[tuple[float, float]] = deque(maxlen=max(1, 20 // world_size()))
        self.played: dict[str, Tensor] = {}  # rewards, who left, and the order in which the episodes are learnt from

    def __len__(self) -> int:
        return self.rollouts * self.minibatches

    def batch(self, place: int) -> Transition:
        """Episodes of some of the users, after a rollout where one is due."""
        part = place % self.minibatches
        if part == 0:
            rewards, terminated = self.play()
            self._record(rewards)
            order = torch.randperm(self.env.num_users, generator=self.generator)
            self.played = {"rewards": rewards, "terminated": terminated, "order": order}
        users = self.played["order"].tensor_split(self.minibatches)[part]
        return self.transitions(users, self.played["rewards"], self.played["terminated"])

    def state(self) -> dict[str, Any]:
        """The users, and the episodes that are not learnt from yet."""
        online = online_state(self.module, self.env, self.finished)
        return {**online, "played": self.played, "generator": self.generator.get_state()}

    def load_state(self, state: dict[str, Any]) -> None:
        """Goes on with the episodes that are not learnt from yet."""
        load_online_state(self.module, self.env, self.finished, state)
        self.played = {name: value.to(self.env.device) for name, value in state["played"].items()}
        self.generator.set_state(state["generator"].cpu())

    @torch.no_grad()
    def play(self) -> tuple[Tensor, Tensor]:
        """Rewards (B, horizon) of one episode of every user, 0 past its end, and whether he left, (B,)."""
        env, scheme = self.env, self.module.scheme
        policy = StepwisePolicy(scheme, env.num_users, env.horizon + 1)
        env.reset()
        rewards, terminated = [], torch.zeros_like(env.done)
        while len(active := (~env.done).nonzero().squeeze(1)):
            items, length = env.items[active], env.length[active]
            user = env.user[active]
            chance = uniforms(self.seed, user, env.episode[active], length, CHANCES)
            actions = torch.zeros_like(env.length)  # 0, the padding id: no action
            actions[active] = scheme.support.act(
                scheme, self.module.exploration, items, length, user, chance, policy, active
            )
            feedback = env.step(actions)
            rewards.append(feedback.reward)
            terminated |= feedback.terminated
        return torch.stack(rewards, dim=1), terminated

    def transitions(self, users: Tensor, rewards: Tensor, terminated: Tensor) -> Transition:
        """The episodes of some users (E,), one row each."""
        steps = self.env.length[users] - 1  # (E,) recommendations
        row, step = (torch.arange(int(steps.max()), device=steps.device) < steps.unsqueeze(1)).nonzero().unbind(1)
        last, left = step == steps[row] - 1, terminated[users][row]
        return Transition(
            items=self.env.items[users, : int(steps.max()) + 1],
            length=step + 1,
            reward=rewards[users[row], step] * self.reward_scale,
            terminated=last & left,
            truncated=last & ~left,
            row=row,
        )

    def _record(self, rewards: Tensor) -> None:
        steps = self.env.length - 1
        self.module.environment_steps += int(sum_over_ranks(steps.sum()))
        self.finished.extend(zip(rewards.sum(1).tolist(), steps.tolist(), strict=True))
        self.module.scheme.hear(self.env.user, rewards.sum(1))


class OnPolicyDataModule(ReplayDataModule):
    """Simulated users for `OnlineAdapt`, who play whole episodes between updates; nothing is replayed.

    The on-policy alternative to `ReplayDataModule`: all users play an episode to its end with one policy, at the cost
    of one item per step, and each episode is then learnt from once, its transitions together in one causal pass.

    Args:
        log: where catalogue and sessions come from.
        reward_model: folder of a finished reward run, whose users answer.
        users: users at once, over all ranks.
        rollouts_per_epoch: times that all users play an episode in an epoch.
        minibatches: gradient steps per rollout; 3 of 100 users with 30 steps each are of about 1,000 transitions.
        reward_scale: multiplies the users' reward, so that it has the scale of the judge's 0 or 1.
        test_users: users of the test world that every evaluation plays, the same for every method.
    """

    whole_episodes = True
    shared = ("users",)

    def __init__(
        self,
        log: LogSource,
        reward_model: str,
        users: int = 100,
        rollouts_per_epoch: int = 10,
        minibatches: int = 3,
        reward_scale: float = 0.2,
        test_users: int = 500,
    ) -> None:
        super().__init__(log, reward_model, users, reward_scale=reward_scale, test_users=test_users)
        self.rollouts_per_epoch, self.minibatches = rollouts_per_epoch, minibatches

    def train_dataloader(self) -> DataLoader:
        """A rollout and its minibatches, again and again."""
        assert self.trainer is not None
        self.rollout = EpisodeRollout(  # type: ignore[assignment]
            self.trainer.lightning_module,  # type: ignore[arg-type]
            self.env,
            self.rollouts_per_epoch,
            self.minibatches,
            self.reward_scale,
            torch.initial_seed(),
        )
        return ResumableLoader(self.rollout, batch_size=None)
