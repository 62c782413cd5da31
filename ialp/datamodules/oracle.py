"""Rollouts against the oracle (Algorithm 1)."""

from typing import TYPE_CHECKING, Any

import torch
from lightning import LightningDataModule, Trainer
from torch import Tensor
from torch.utils.data import DataLoader

from ialp.data.log import LogSource
from ialp.datamodules.experience import Rollout
from ialp.datamodules.loader import ResumableLoader
from ialp.distributed import share_of_rank
from ialp.oracle import Judging, Oracle, check_judge, open_oracle
from ialp.oracle.ahead import AskedAhead
from ialp.rl.candidates import CandidateSampler, WithNeighbours
from ialp.rl.replay import ReplayBuffer
from ialp.rng import stream, uniforms
from ialp.types import Judgement, Transition

if TYPE_CHECKING:
    from ialp.phases.pretrain import IALPPretrain


class OracleRollout(Rollout):
    """Lines 5 to 12 of Algorithm 1: propose candidates, ask, store.

    With `prefetch` the candidates of the next step are proposed when this step's answers are stored, and the judge is
    asked while the updates of this step run. They come from weights that are `updates_per_step` updates older than
    Algorithm 1 has them. All chance stays here, in an order that no judge's pace has a part in.

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
        prefetch: ask one step ahead.

    Attributes:
        pending: (B, K) candidates that were proposed and whose answers are not stored yet; None between questions.
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
        prefetch: bool = False,
    ) -> None:
        super().__init__(buffer, steps, batch_size, updates_per_step)
        self.module, self.oracle, self.sampler = module, oracle, sampler
        self.first_items, self.users, self.candidates, self.horizon = first_items, users, candidates, horizon
        self.seed = stream(seed, "first items")
        self.generator = torch.Generator().manual_seed(stream(seed, "candidates") + int(users[0]))
        self.episode = 0
        self.items = torch.zeros(len(users), horizon + 1, dtype=torch.int64)
        self.length = torch.full((len(users),), horizon + 1)  # over: the first step begins an episode
        self.pending: Tensor | None = None
        self.asked = oracle.state_dict()
        self.ahead = AskedAhead(oracle) if prefetch else None

    def step(self) -> None:
        """One question per user; with `prefetch` the next one is asked, too, if the training has a next step."""
        if self.pending is None:
            self.pending = self._propose()
        judgement = self._answer(self.pending)
        candidates, self.pending = self.pending, None
        self._store(candidates, judgement)
        if self.ahead is not None and goes_on(self.module.trainer, self.updates_per_step):
            self.pending = self._propose()
            self.ahead.ask(self.items, self.length, self.pending)

    def close(self, at_once: bool = False) -> None:
        """End a question that nobody waits for; `at_once` without its answer. It stays pending."""
        if self.ahead is not None:
            self.ahead.close(at_once)

    def _propose(self) -> Tensor:
        """(B, K) candidates for the histories as they are, or for those of a new episode."""
        if int(self.length[0]) > self.horizon:
            self._begin_episode()
        log_pi = self.module.propose(self.items, self.length)  # (B, I)
        return self.sampler.sample(log_pi, self.items, self.length, self.candidates, self.generator)

    def _answer(self, candidates: Tensor) -> Judgement:
        """The judge's picks among candidates (B, K), which it may have been asked for before."""
        if self.ahead is None:
            return self.oracle.judge(self.items, self.length, candidates)
        if not self.ahead.asking:  # the first step, or a restored one
            self.ahead.ask(self.items, self.length, candidates)
        return self.ahead.answer()

    def _store(self, candidates: Tensor, judgement: Judgement) -> None:
        """The pick among candidates (B, K), or on None a random one, is taken, and the transition kept."""
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
        self.asked = self.oracle.state_dict()  # now, while no thread asks

    def state(self) -> dict[str, Any]:
        """Histories, chance, and what is being asked: a restored rollout asks it again, which the cache may answer."""
        return {
            **super().state(),
            "items": self.items.clone(),
            "length": self.length.clone(),
            "episode": self.episode,
            "pending": None if self.pending is None else self.pending.clone(),
            "generator": self.generator.get_state(),
            "asked": self.asked,
            "latest": {name: float(value) for name, value in self.module.latest.items()},
            "counts": self.module.counts,
        }

    def load_state(self, state: dict[str, Any]) -> None:
        """The histories grow on."""
        self.close()  # the histories of a question under way must stay as they are
        super().load_state(state)
        self.items.copy_(state["items"])
        self.length.copy_(state["length"])
        self.episode, self.pending, self.asked = state["episode"], state["pending"], state["asked"]
        self.generator.set_state(state["generator"].cpu())
        self.oracle.load_state_dict(state["asked"])
        self.module.latest, self.module.counts = dict(state["latest"]), dict(state["counts"])

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
        budget: questions that the model may be asked at most, by all ranks together, each of which has an equal share;
            cached answers are not counted; null for no limit.
        prefetch: ask the judge one step ahead, while the updates run; off, as in Algorithm 1, each question is put by
            the policy that all updates before it have made.

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
        prefetch: bool = False,
    ) -> None:
        super().__init__()
        check_judge(judge)
        self.source, self.judge, self.oracle_run, self.judging = log, judge, oracle, judging or Judging()
        self.sampler = sampler or WithNeighbours()
        self.users, self.candidates, self.horizon, self.neighbours = users, candidates, horizon, neighbours
        self.steps_per_epoch, self.updates_per_step = steps_per_epoch, updates_per_step
        self.batch_size, self.replay_capacity = batch_size, replay_capacity
        self.template, self.cache, self.budget, self.prefetch = template, cache, budget, prefetch
        self.rollout: OracleRollout | None = None

    def setup(self, stage: str) -> None:
        """Loads the log, the judge and the cache."""
        if hasattr(self, "log"):
            return
        assert self.trainer is not None
        self.log = self.source.load()
        self.oracle = open_oracle(
            self.log, self.judge, self.oracle_run, self.judging, self.template, self.cache, self.budget
        )
        self.oracle.share(self.trainer.global_rank, self.trainer.world_size)
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
        if self.rollout is not None:
            self.rollout.close()
        self.rollout = OracleRollout(
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
            self.prefetch,
        )
        return ResumableLoader(self.rollout, batch_size=None)

    def finish_asking(self) -> None:
        """Waits for the answers to a question that early stopping has left without use: they are paid for."""
        if self.rollout is not None:
            self.rollout.close()

    def on_exception(self, exception: BaseException) -> None:
        """Nothing more is asked; what has arrived is in the cache."""
        if self.rollout is not None:
            self.rollout.close(at_once=True)


def goes_on(trainer: Trainer, batches: int) -> bool:
    """Whether training takes more than `batches` further batches, by its limits of steps and epochs.

    What may end it sooner, such as early stopping or `max_time`, is no part of it: the answer depends on the config and
    on where training stands, so that a resumed run gives the same one.
    """
    steps = trainer.global_step + batches // trainer.accumulate_grad_batches
    if 0 <= trainer.max_steps <= steps:
        return False
    if trainer.fit_loop.epoch_loop.batch_progress.current.ready + batches < trainer.num_training_batches:
        return True
    epochs = trainer.max_epochs
    return epochs is None or epochs < 0 or trainer.current_epoch + 1 < epochs
