"""Online adaptation (Algorithm 2)."""

import time
from pathlib import Path
from typing import Any, Literal

import polars
import torch
from lightning import Callback, LightningModule
from lightning.pytorch.trainer.states import TrainerFn
from torch import Tensor
from torchmetrics import MetricCollection

from ialp.distributed import mean_over_ranks, sum_over_ranks, weight_of_rank, world_size
from ialp.envs.episodes import argmax_of, run_episodes, sampled_from
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.metrics import AverageReward, EpisodeLength, EpisodeReturn
from ialp.nets import ActorCritic
from ialp.rl.algorithms import A2C, Algorithm
from ialp.rl.exploration import Categorical, Exploration
from ialp.rl.schemes import Frozen, Scheme, save_scheme
from ialp.rl.support import FullSoftmax, Support
from ialp.types import Transition

REPORTED = (0, 1, 2)  # epochs whose figures are compared, beside the last one's


class OnlineAdapt(LightningModule):
    """Lines 16 to 18 of Algorithm 2, the update, and the measuring; the rollout is `OnlineRollout`.

    Args:
        scheme: which policy acts and which one learns.
        algorithm: the update rule.
        exploration: how actions are drawn while learning.
        pretrained: folder of a finished pretrain run, θ; null for schemes that start from nothing.
        pretrained_temperature: divides the logits of θ. Pre-training leaves a policy whose best item is good and whose
            draws are not, since thousands of items share the probability; below 1 users are shown more of the best.
        dim: width of a policy that starts from nothing; a pre-trained one brings its own.
        layers: transformer blocks of the encoder, likewise.
        heads: attention heads, likewise.
        dropout: in the encoder, likewise.
        repeats: whether items already shown in an episode may be shown again.
        lr: learning rate of Adam.
        lr_actor: learning rate of the actor head; null for `lr`.
        evaluate_sampled: when to measure the policy also as it samples, beside its argmax: at every epoch (`always`),
            at e = 0, 1, 2 and the end (`reported`), or `never`.
        support: which items acting and learning run over; null: all of them. `SampledSoftmax` is for catalogues of more
            than about 100,000.
        max_environment_steps: ends the training once so many are taken, where an epoch has no fixed number of them;
            null: `trainer.max_epochs` alone ends it.
    """

    def __init__(
        self,
        scheme: Scheme,
        algorithm: Algorithm | None = None,
        exploration: Exploration | None = None,
        pretrained: str | None = None,
        pretrained_temperature: float = 1.0,
        dim: int = 64,
        layers: int = 2,
        heads: int = 2,
        dropout: float = 0.0,
        repeats: bool = False,
        lr: float = 1e-3,
        lr_actor: float | None = None,
        evaluate_sampled: Literal["always", "reported", "never"] = "reported",
        max_environment_steps: int | None = None,
        support: Support | None = None,
    ) -> None:
        super().__init__()
        self.scheme, self.algorithm = scheme, algorithm or A2C()
        self.exploration = exploration or Categorical()
        if pretrained_temperature <= 0:
            raise UserError(f"model.init_args.pretrained_temperature is {pretrained_temperature}: it must be above 0")
        self.pretrained, self.pretrained_temperature = pretrained, pretrained_temperature
        self.net: dict[str, Any] = {"dim": dim, "layers": layers, "heads": heads, "dropout": dropout}
        self.repeats, self.lr, self.lr_actor, self.evaluate_sampled = repeats, lr, lr_actor, evaluate_sampled
        self.max_environment_steps, self.support = max_environment_steps, support or FullSoftmax()
        self.environment_steps = 0
        self.seconds = self.clock = 0.0  # of training so far, and when it was last looked at
        self.rows: list[dict[str, Any]] = []  # one per policy and evaluated epoch
        self.figures = MetricCollection(
            {"return": EpisodeReturn(), "length": EpisodeLength(), "average_reward": AverageReward()},
            compute_groups=False,
        )

    @property
    def trains(self) -> bool:
        """False for schemes that are only evaluated."""
        return self.scheme.trains

    def setup(self, stage: str) -> None:
        """Builds θ and φ once the catalogue is known."""
        if hasattr(self.scheme, "learner"):
            return
        self.check_composition(self._data)
        theta = self.load_pretrained() if self.scheme.needs_pretrained else None
        data = self._data
        fresh = {**data.log.sizes, "max_length": data.env.items.shape[1], **self.net}
        learner = ActorCritic(**(theta.config if theta else fresh))
        learner.encoder.set_user_features(data.log.user_features)
        self.scheme.repeats, self.scheme.support = self.repeats, self.support
        self.scheme.build(theta, learner)
        if stage == "fit":
            self.scheme.meet(data.log, torch.initial_seed(), self.trainer.global_rank, self.trainer.world_size)
        self.algorithm.prepare(self.scheme)

    def check_composition(self, data: Any) -> None:
        """Whether algorithm, scheme and exploration fit together, and the DataModule.

        Raises:
            UserError: They do not; it says why, and which keys to change.
        """
        whole_episodes = getattr(data, "whole_episodes", False)
        if self.trains and (reason := self.algorithm.refusal(self.scheme, self.exploration, whole_episodes)):
            raise UserError(reason)
        if self.trains and (reason := self.support.refusal(self.scheme, self.exploration)):
            raise UserError(reason)

    def load_pretrained(self) -> ActorCritic:
        """θ, as the pretrain run left it."""
        if self.pretrained is None:
            name = type(self.scheme).__name__
            raise UserError(f"model.init_args.pretrained is not set, but {name} starts from a pre-trained policy")
        theta = ActorCritic.from_pretrained(self.pretrained, self._data.log.catalogue.fingerprint)
        reads, needed = theta.config["max_length"], self._data.env.items.shape[1]
        if reads < needed:
            raise UserError(
                f"{self.pretrained}: reads {reads} items, an episode has {needed}: pre-train a longer horizon"
            )
        theta.divide_logits(self.pretrained_temperature)
        return theta

    def on_train_start(self) -> None:
        """Measures before the first update (e = 0), the frozen iALP beside the policy that will adapt."""
        self.clock = time.perf_counter()  # a resumed run begins in the midst of an epoch
        if self.rows:
            return  # resumed: measured already
        if self.scheme.needs_pretrained:
            frozen = Frozen()
            frozen.repeats, frozen.support = self.repeats, self.support
            frozen.build(self.load_pretrained().to(self.device), None)
            self.measure("frozen", frozen, epoch=0)
        figures = {f"val/{name}": value for name, value in self.measure("adapted", self.scheme, epoch=0).items()}
        for logger in self.loggers:  # Lightning logs nothing before the first batch, and curves begin at e = 0
            logger.log_metrics({"epoch": 0, "train/environment_steps": 0, **figures}, step=0)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Moves α and the like, and says which update's chance it is."""
        self.support.begin(torch.initial_seed() + self.trainer.global_rank, self.trainer.global_step)
        logs = self.scheme.advance(self.environment_steps)
        self.log_dict({f"train/{name}": value for name, value in logs.items()}, batch_size=1)

    def training_step(self, batch: Transition, batch_idx: int) -> Tensor:
        """The update of line 14 to 16."""
        loss, logs = self.algorithm.loss(self.scheme, batch)
        # Minibatches of whole episodes have as many transitions as it happens; replayed ones are all of one size.
        weight = weight_of_rank(len(batch.length)) if self._data.whole_episodes else 1.0
        said = mean_over_ranks({name: value * weight for name, value in logs.items()})
        said["environment_steps"] = torch.tensor(float(self.environment_steps))
        said |= self._latest_episodes()
        self.log_dict({f"train/{name}": value for name, value in said.items()}, batch_size=len(batch.length))
        return loss * weight

    def _latest_episodes(self) -> dict[str, Tensor]:
        """Return and length: mean of the latest 20 training episodes, of all ranks."""
        finished = torch.tensor(list(self._data.rollout.finished)).reshape(-1, 2)
        if world_size() == 1:
            means = finished.mean(0) if len(finished) else None
        else:
            *totals, count = sum_over_ranks(*finished.sum(0), len(finished))
            means = (torch.stack(totals) / count).float() if count else None
        return {} if means is None else {"return": means[0], "length": means[1]}

    def on_train_batch_end(self, *_: Any) -> None:
        """Lets the algorithm follow, and measures what a step costs: rollout and update, evaluation left out."""
        self.algorithm.updated(self.scheme, self.trainer.global_step)
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now
        self.log("train/seconds_per_step", self.seconds / self.environment_steps, batch_size=1)
        if self.max_environment_steps and self.environment_steps >= self.max_environment_steps:
            self.trainer.should_stop = True

    def on_train_epoch_start(self) -> None:
        """The clock runs from here."""
        self.clock = time.perf_counter()

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Plays the test users with the policy as it stands."""
        if not self.trainer.sanity_checking:
            epoch = self.current_epoch + 1 if self.trainer.state.fn == TrainerFn.FITTING else 0
            figures = self.measure("adapted" if self.trains else "frozen", self.scheme, epoch)
            self.log_dict({f"val/{name}": value for name, value in figures.items()}, batch_size=1, sync_dist=True)

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """The same figures under `test/`."""
        figures = self.play(self.scheme)
        self.log_dict({f"test/{name}": value for name, value in figures.items()}, batch_size=1, sync_dist=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """One Adam over what learns; the actor head may have a rate of its own."""
        learner = self.scheme.learner
        actor = list(learner.actor.parameters())
        others = [*learner.encoder.parameters(), *learner.critic.parameters()]
        groups: list[dict[str, Any]] = [{"params": others}, {"params": actor, "lr": self.lr_actor or self.lr}]
        return torch.optim.Adam(groups, lr=self.lr, fused=True)

    def configure_callbacks(self) -> list[Callback]:
        """The exploration is a callback: its hooks anneal it, checkpoints keep its state."""
        return [self.exploration]

    def play(self, scheme: Scheme, sampled: bool = True) -> dict[str, float]:
        """R, Len and R_avg of the test users: by argmax, and with `sampled` also by sampling, under `sampled_…`."""
        played = {"": argmax_of(scheme)}
        if sampled:
            played["sampled_"] = sampled_from(scheme, torch.initial_seed())
        figures: dict[str, float] = {}
        for prefix, choose in played.items():
            episodes = run_episodes(choose, self._data.test_env)
            self.figures.update(episodes.returns, episodes.lengths)
            figures |= {prefix + name: float(value) for name, value in self.figures.compute().items()}
            self.figures.reset()
        return figures

    def measure(self, policy: str, scheme: Scheme, epoch: int) -> dict[str, float]:
        """Plays the test users and adds a row to evaluation.csv."""
        reported = epoch in (*REPORTED, self.trainer.max_epochs) or self.trainer.should_stop
        sampled = self.evaluate_sampled == "always" or (self.evaluate_sampled == "reported" and reported)
        figures = self.play(scheme, sampled)
        self.rows.append({"policy": policy, "epoch": epoch, "environment_steps": self.environment_steps, **figures})
        if self.trainer.is_global_zero:
            path = Path(self.trainer.default_root_dir) / "evaluation.csv"
            write_atomically(path, polars.DataFrame(self.rows).write_csv())
        return figures

    def results(self) -> dict[str, Any]:
        """What done.json says of the run: the figures at e = 0, 1, 2 and the end."""
        figures = {name: self._at_epochs(name) for name in ("adapted", "frozen")}
        each = self.seconds / self.environment_steps if self.environment_steps else None
        return {"evaluation": figures, "environment_steps": self.environment_steps, "seconds_per_step": each} | (
            self.scheme.results()
        )

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the count of environment steps and the rows measured so far."""
        state = {"environment_steps": self.environment_steps, "rows": self.rows, "seconds": self.seconds}
        checkpoint["online"] = state

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Goes on counting where the checkpoint stopped."""
        state = checkpoint["online"]
        self.environment_steps, self.rows = state["environment_steps"], state["rows"]
        self.seconds = state.get("seconds", 0.0)

    def predict_step(self, batch: list[Tensor], batch_idx: int) -> Tensor:
        """(B, 10) ids of the most probable next items for histories (B, T) of length (B,), best first."""
        return self.scheme.probabilities(*batch).topk(10).indices

    def on_fit_end(self) -> None:
        """Writes φ, and what else the scheme acts with, for `ialp evaluate` and later stages."""
        self._save()

    def on_validation_end(self) -> None:
        """A scheme that is only evaluated is never fitted, but read back like the others."""
        self.clock = time.perf_counter()
        if self.trainer.state.fn == TrainerFn.VALIDATING and not self.trains:
            self._save()

    def _save(self) -> None:
        if self.trainer.is_global_zero:
            save_scheme(self.scheme, Path(self.trainer.default_root_dir), self._data.log.catalogue.fingerprint)

    def _at_epochs(self, policy: str) -> dict[str, dict[str, float]] | None:
        rows = [row for row in self.rows if row["policy"] == policy]
        if not rows:
            return None
        wanted: dict[str, Any] = {str(row["epoch"]): row for row in rows if row["epoch"] in REPORTED}
        return {**wanted, "end": rows[-1]}

    @property
    def _data(self) -> Any:
        return self.trainer.datamodule  # type: ignore[attr-defined]
