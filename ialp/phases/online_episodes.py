"""Online adaptation on-policy: users play whole episodes between updates."""

from typing import Any

import torch
from torch import Tensor
from typing_extensions import override

from ialp.datamodules import OnPolicyDataModule
from ialp.distributed import sum_over_ranks, weight_of_rank
from ialp.phases.online_adapt import OnlineAdapt
from ialp.rl.exploration import UNIFORMS
from ialp.rl.incremental import IncrementalEncoder
from ialp.rng import stream, uniforms
from ialp.types import History, Transition


class OnlineEpisodes(OnlineAdapt):
    """`OnlineAdapt` from whole episodes: every user plays one, and each is then learnt from once.

    Arguments are those of `OnlineAdapt`; data comes from `OnPolicyDataModule`.
    """

    data_class = OnPolicyDataModule
    whole_episodes = True

    @override
    @torch.no_grad()
    def collect(self) -> None:
        """Lines 5 to 13 of Algorithm 2 to the end of every user's episode."""
        env = self.data.env
        rewards, terminated = self.play()  # (B, T), (B,)
        lengths = env.length - 1
        self.data.buffer.add(env.items, lengths, rewards * self.data.reward_scale, terminated)
        self.environment_steps += int(sum_over_ranks(lengths.sum()))
        self.episodes.add(rewards.sum(1), lengths)
        self.scheme.on_episode_end(env.user, rewards.sum(1))
        self.algorithm.on_rollout(self.scheme)

    def play(self) -> tuple[Tensor, Tensor]:
        """Rewards (B, T) of one episode of every user, 0 past its end, and who left before the horizon, (B,)."""
        env, seed = self.data.env, stream(torch.initial_seed(), "exploration")
        encoder = IncrementalEncoder(self.scheme.mixture(), env.num_users, env.horizon + 1)
        env.reset()
        rewards, terminated = [], torch.zeros_like(env.done)
        while len(active := (~env.done).nonzero().squeeze(1)):
            history = History(env.items[active], env.length[active], user=env.user[active])  # s_t
            uniform = uniforms(seed, env.user[active], env.episode[active], history.length, UNIFORMS)
            parts = encoder.states(history, active)
            action = torch.zeros_like(env.length)  # 0, the padding id: no action
            action[active] = self.scheme.act(history, self.exploration, uniform, parts)  # a_t
            feedback = env.step(action)  # r_t, s_{t+1}
            rewards.append(feedback.reward)
            terminated |= feedback.terminated
        return torch.stack(rewards, dim=1), terminated

    @override
    def weight_of(self, batch: Transition) -> float:
        return weight_of_rank(len(batch.length))  # minibatches of whole episodes differ in size

    @override
    def on_train_batch_end(self, *_: Any) -> None:
        super().on_train_batch_end()
        limit = self.data.max_environment_steps
        if limit and self.environment_steps >= limit:
            self.trainer.should_stop = True
