"""Rollouts against the oracle (Algorithm 1)."""

from typing import TYPE_CHECKING, Any

import torch
from lightning import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader

from ialp.data.log_source import LogSource
from ialp.data.ranks import share_of_budget, share_of_rank
from ialp.data.rollout import Rollout
from ialp.oracle import Judging, Oracle, open_oracle
from ialp.rl.candidates import CandidateSampler, WithNeighbours
from ialp.rl.chance import stream, uniforms
from ialp.rl.replay import ReplayBuffer
from ialp.types import Judgement, Transition

if TYPE_CHECKING:
    from ialp.phases.pretrain import IALPPretrain


class OracleRollout(Rollout):
    """Lines 5 to 12 of Algorithm 1: propose candidates, ask, store.

    Args:
        module: the phase, whose policy proposes.
        oracle: who picks one of the candidates, or none.
        sampler: which candidates it is shown.
        first_items: (S,) where sequences of the log begin.
        buffer: D_LLM.
        users: B histories grown side by side.
        candidates: K.
        horizon: recommendations per episode.
        steps: batch steps per epoch.
        batch_size: transitions per minibatch.
        updates_per_step: minibatches per batch step.
        seed: of first items, candidates, and the random candidate that follows a None.
    """

    def __init__(
        self,
        module: "IALPPretrain",
        oracle: Oracle,
        sampler: CandidateSampler,
        first_items: Tensor,
        buffer: ReplayBuffer,
        users: Tensor,
        candidates: int,
        horizon: int,
        steps: int,
        batch_size: int,
        updates_per_step: int,
        seed: int,
    ) -> None:
        super().__init__(buffer, steps, batch_size, updates_per_step)
        self.module, self.oracle, self.sampler = module, oracle, sampler
        self.first_items, self.users, self.candidates, self.horizon = first_items, users, candidates, horizon
        self.seed = stream(seed, "first items")
        self.generator = torch.Generator().manual_seed(stream(seed, "candidates") + int(users[0]))
        self.episode = 0
        self.items = torch.zeros(len(users), horizon + 1, dtype=torch.int64)
        self.length = torch.full((len(users),), horizon + 1)  # over: the first step begins an episode

    def step(self) -> None:
        """One question per user."""
        if int(self.length[0]) > self.horizon:
            self._begin_episode()
        log_pi = self.module.propose(self.items, self.length)  # (B, I)
        candidates = self.sampler.sample(log_pi, self.items, self.length, self.candidates, self.generator)
        judgement = self.oracle.judge(self.items, self.length, candidates)
        random_pick = torch.randint(self.candidates, self.length.shape, generator=self.generator)
        pick = torch.where(judgement.accepted, judgement.choice, random_pick)
        action = candidates.gather(1, pick.unsqueeze(1))  # (B, 1)
        length = self.length.clone()
        self.items.scatter_(1, length.unsqueeze(1), action)
        self.length += 1
        never = torch.zeros_like(judgement.accepted)
        cut = self.length > self.horizon
        reward = self._reward(judgement, pick)
        self.buffer.add(Transition(self.items, length, reward, never, cut, candidates, judgement.choice))
        self.module.record(judgement, action.squeeze(1))

    def state(self) -> dict[str, Any]:
        """The histories as far as they have grown, the generator, and the counts of questions."""
        return {
            **super().state(),
            "items": self.items.clone(),
            "length": self.length.clone(),
            "episode": self.episode,
            "generator": self.generator.get_state(),
            "oracle": self.oracle.state_dict(),
            "latest": {name: float(value) for name, value in self.module.latest.items()},
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """The histories grow on."""
        super().load_state(state)
        self.items, self.length, self.episode = state["items"].cpu(), state["length"].cpu(), state["episode"]
        self.generator.set_state(state["generator"].cpu())
        self.oracle.load_state_dict(state["oracle"])
        self.module.latest = dict(state["latest"])

    def _reward(self, judgement: Judgement, pick: Tensor) -> Tensor:
        """(B,) Eq. 3, or the probability that the judge gave to the candidate (B,) that became the action."""
        if self.oracle.judging.reward == "accepted":
            return judgement.accepted.float()
        return judgement.log_probabilities.gather(1, pick.unsqueeze(1)).squeeze(1).exp()

    def _begin_episode(self) -> None:
        """First items drawn from the log; all users are in step, since only the horizon ends an episode."""
        zero = torch.zeros_like(self.users)
        chance = uniforms(self.seed, self.users, zero + self.episode, zero)
        self.items.zero_()
        self.items[:, 0] = self.first_items[(chance[:, 0] * len(self.first_items)).long()]
        self.length.fill_(1)
        self.episode += 1


class OracleDataModule(LightningDataModule):
    """The judge in the loop of `IALPPretrain`.

    Args:
        log: where catalogue and sessions come from; only the training sequences are used.
        judge: the model that judges, as class_path and init_args, or an instance.
        oracle: folder of a finished oracle run, whose adapter the judge takes; null judges untuned.
        judging: how answers become picks and rewards.
        sampler: which candidates the judge is shown.
        users: histories grown side by side, over all ranks.
        candidates: K, the items to choose from.
        steps_per_epoch: batch steps per epoch; an epoch asks users · steps_per_epoch questions.
        updates_per_step: gradient steps per batch step.
        batch_size: transitions per gradient step, over all ranks.
        replay_capacity: transitions kept.
        horizon: recommendations per episode.
        neighbours: text neighbours per item that the sampler may draw from.
        template: a prompt template file of one's own.
        cache: file of the judgement cache.
        budget: questions that the model may be asked at most, over all ranks, each its share; cached answers are not
            counted; null for no limit.

    Attributes:
        shared: names of the numbers of which every rank must have an equal part.
    """

    shared = ("users", "batch_size")

    def __init__(
        self,
        log: LogSource,
        judge: Any,
        oracle: str | None = None,
        judging: Judging | None = None,
        sampler: CandidateSampler | None = None,
        users: int = 50,
        candidates: int = 10,
        steps_per_epoch: int = 20,
        updates_per_step: int = 1,
        batch_size: int = 256,
        replay_capacity: int = 50_000,
        horizon: int = 20,
        neighbours: int = 20,
        template: str | None = None,
        cache: str = "runs/judgements.sqlite",
        budget: int | None = None,
    ) -> None:
        super().__init__()
        self.source, self.judge, self.oracle_run, self.judging = log, judge, oracle, judging or Judging()
        self.sampler = sampler or WithNeighbours()
        self.users, self.candidates, self.horizon, self.neighbours = users, candidates, horizon, neighbours
        self.steps_per_epoch, self.updates_per_step = steps_per_epoch, updates_per_step
        self.batch_size, self.replay_capacity = batch_size, replay_capacity
        self.template, self.cache, self.budget = template, cache, budget

    def setup(self, stage: str) -> None:
        """Loads the log, the judge and the cache."""
        if hasattr(self, "log"):
            return
        assert self.trainer is not None
        self.log = self.source.load()
        self.oracle = open_oracle(
            self.log, self.judge, self.oracle_run, self.judging, self.template, self.cache, share_of_budget(self.budget)
        )
        popularity = self.log.train.popularity(self.log.catalogue.num_items)
        self.sampler.prepare(self.log.neighbours(self.neighbours), popularity)
        self.buffer = ReplayBuffer(self.replay_capacity, torch.initial_seed() + self.trainer.global_rank)

    @property
    def num_items(self) -> int:
        """N of the catalogue."""
        return self.log.catalogue.num_items

    def train_dataloader(self) -> DataLoader:
        """One question per user and its minibatches per batch step."""
        assert self.trainer is not None
        first, users = share_of_rank(self.trainer, self.users, "users")
        _, batch_size = share_of_rank(self.trainer, self.batch_size, "batch_size")
        rollout = OracleRollout(
            self.trainer.lightning_module,  # type: ignore[arg-type]
            self.oracle,
            self.sampler,
            self.log.train.first_items(),
            self.buffer,
            torch.arange(first, first + users),
            self.candidates,
            self.horizon,
            self.steps_per_epoch,
            batch_size,
            self.updates_per_step,
            torch.initial_seed(),
        )
        return DataLoader(rollout, batch_size=None, num_workers=0)
