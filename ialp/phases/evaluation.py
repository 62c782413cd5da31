"""Evaluation of a policy on the test users, epoch by epoch."""

import time
from pathlib import Path
from typing import Any, Literal

import polars
import torch
from lightning import Callback, Trainer
from lightning.pytorch.trainer.states import TrainerFn
from torchmetrics import MetricCollection
from typing_extensions import override

from ialp.envs.episodes import Choose, run_episodes, sampled_from
from ialp.files import write_atomically
from ialp.metrics import AverageReward, EpisodeLength, EpisodeReturn
from ialp.recorded import Recorded
from ialp.rl.schemes import Scheme

REPORTED = (0, 1, 2)  # epochs whose figures are compared, beside the last one's


class Evaluation(Recorded, Callback):
    """Plays the test users before the first update (e = 0) and after every epoch, and writes evaluation.csv.

    At e = 0 the frozen pre-trained policy is played beside the policy that will adapt. The figures are R, Len and R_avg
    (section 5.3) by the argmax of π̂, and of the policy as it samples under `sampled_…`. It also measures the seconds
    that a step of learning takes, evaluation left out. The module is an `OnlineAdapt`.

    Args:
        sampled: when to measure the policy also as it samples: at every epoch (`always`), at e = 0, 1, 2 and the end
            (`reported`), or `never`.

    Attributes:
        rows: one per policy and evaluated epoch.
        seconds: of training so far.
    """

    def __init__(self, sampled: Literal["always", "reported", "never"] = "reported") -> None:
        self.sampled = sampled
        self.rows: list[dict[str, Any]] = []
        self.seconds = self.clock = 0.0  # the clock: when it was last looked at
        self.figures = MetricCollection(
            {"return": EpisodeReturn(), "length": EpisodeLength(), "average_reward": AverageReward()},
            compute_groups=False,
        )

    @override
    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.clock = time.perf_counter()  # a resumed run begins in the middle of an epoch
        if self.rows:
            return  # resumed: measured already
        scheme = pl_module.scheme
        if scheme.needs_pretrained:
            self.measure(trainer, "frozen", scheme.frozen(pl_module.load_pretrained().to(pl_module.device)), epoch=0)
        figures = self.measure(trainer, "adapted", scheme, epoch=0)
        for logger in trainer.loggers:  # Lightning logs nothing before the first batch, and curves begin at e = 0
            logger.log_metrics({"epoch": 0, "train/environment_steps": 0, **_named("val", figures)}, step=0)

    @override
    def on_train_epoch_start(self, trainer: Trainer, pl_module: Any) -> None:
        self.clock = time.perf_counter()

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, *_: Any) -> None:
        now = time.perf_counter()
        self.seconds, self.clock = self.seconds + now - self.clock, now
        pl_module.log("train/seconds_per_step", self.seconds / pl_module.environment_steps, batch_size=1)

    @override
    def on_validation_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        if trainer.sanity_checking:
            return
        epoch = trainer.current_epoch + 1 if trainer.state.fn == TrainerFn.FITTING else 0
        figures = self.measure(trainer, "adapted" if pl_module.trains else "frozen", pl_module.scheme, epoch)
        pl_module.log_dict(_named("val", figures), batch_size=1, sync_dist=True)

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.clock = time.perf_counter()

    @override
    def on_test_epoch_end(self, trainer: Trainer, pl_module: Any) -> None:
        figures = self.play(trainer, pl_module.scheme, sampled=True)
        pl_module.log_dict(_named("test", figures), batch_size=1, sync_dist=True)

    def measure(self, trainer: Trainer, policy: str, scheme: Scheme, epoch: int) -> dict[str, float]:
        """Plays the test users and adds a row to evaluation.csv."""
        reported = epoch in (*REPORTED, trainer.max_epochs) or trainer.should_stop
        figures = self.play(trainer, scheme, self.sampled == "always" or (self.sampled == "reported" and reported))
        module: Any = trainer.lightning_module
        row = {"policy": policy, "epoch": epoch, "environment_steps": module.environment_steps}
        self.rows.append({**row, **figures})
        if trainer.is_global_zero:
            path = Path(trainer.default_root_dir) / "evaluation.csv"
            write_atomically(path, polars.DataFrame(self.rows).write_csv())
        return figures

    def play(self, trainer: Trainer, scheme: Scheme, sampled: bool) -> dict[str, float]:
        """R, Len and R_avg of the test users: by argmax, and with `sampled` also by sampling, under `sampled_…`."""
        policies: dict[str, Choose] = {"": scheme.best}
        if sampled:
            policies["sampled_"] = sampled_from(scheme, torch.initial_seed())
        figures: dict[str, float] = {}
        device = trainer.strategy.root_device  # where the backend of several ranks adds up
        self.figures.to(device)
        for prefix, choose in policies.items():
            episodes = run_episodes(choose, trainer.datamodule.test_env)  # type: ignore[attr-defined]
            self.figures.update(episodes.returns.to(device), episodes.lengths.to(device))
            figures |= {prefix + name: float(value) for name, value in self.figures.compute().items()}
            self.figures.reset()
        return figures

    def results(self) -> dict[str, Any]:
        """The figures at e = 0, 1, 2 and the end, of the adapted and the frozen policy; None where there is none."""
        return {policy: self._at_epochs(policy) for policy in ("adapted", "frozen")}

    @override
    def state_dict(self) -> dict[str, Any]:
        return {"rows": self.rows, "seconds": self.seconds}

    @override
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self.rows, self.seconds = state_dict["rows"], state_dict["seconds"]

    def _at_epochs(self, policy: str) -> dict[str, dict[str, float]] | None:
        rows = [row for row in self.rows if row["policy"] == policy]
        if not rows:
            return None
        wanted: dict[str, Any] = {str(row["epoch"]): row for row in rows if row["epoch"] in REPORTED}
        return {**wanted, "end": rows[-1]}


def _named(prefix: str, figures: dict[str, float]) -> dict[str, float]:
    return {f"{prefix}/{name}": value for name, value in figures.items()}
