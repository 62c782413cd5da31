"""Checkpoints from which a run that was cut off goes on as if nothing had happened."""

import logging
import os
import sys
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from typing_extensions import override

from ialp.datamodules import ResumableLoader
from ialp.distributed import gather_over_ranks, sum_over_ranks
from ialp.errors import UserError
from ialp.experiment.metrics_file import MetricsFile
from ialp.experiment.processes import CHILD
from ialp.experiment.signals import StopRequest
from ialp.runs.folder import LAST, checkpoints

log = logging.getLogger(__name__)


class ResumeCheckpoint(Checkpoint):
    """Writes checkpoints from which a run goes on exactly: its figures are those of a run that nobody cut off.

    Between two batches, every `every_n_steps` updates and every `every_minutes` minutes, it saves what Lightning does
    (weights, optimiser, callbacks, progress) and, of every rank, the position of the `ResumableLoader` and all global
    generators. SIGTERM and Ctrl-C save once more and end the run. Added to every `ialp fit`; name it among
    `trainer.callbacks` to change its arguments.

    Args:
        every_n_steps: Updates between two checkpoints.
        every_minutes: Minutes between two checkpoints, if that comes first.
        keep: Checkpoints kept while the run goes on. When the training is over one is left, `last.ckpt`.
        patience: Seconds that a batch may take to end after SIGTERM or Ctrl-C, before the run stops within it.
    """

    def __init__(
        self, every_n_steps: int = 500, every_minutes: float = 5.0, keep: int = 2, patience: float = 5.0
    ) -> None:
        for name, value in (("every_n_steps", every_n_steps), ("every_minutes", every_minutes), ("keep", keep)):
            if value <= 0:
                raise UserError(f"ResumeCheckpoint takes {name} above 0, not {value}")
        self.every_n_steps, self.every_minutes, self.keep = every_n_steps, every_minutes, keep
        self.stop = StopRequest(patience)
        self.seconds, self.resumed = 0.0, 0  # of all attempts before this one
        self._began = self._saved_at = time.monotonic()
        self._saved_step = 0
        self._state: dict[str, Any] | None = None  # of the checkpoint that the run goes on from
        self._finished: bool | None = None  # of the checkpoint that is being written; None: it is not ours
        self._val_batches: Any = None

    @override
    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        self._state = state = checkpoint.get("resume")  # checkpoints of others have none
        if state is None:
            return
        if len(state["ranks"]) != trainer.world_size:
            raise UserError(
                f"the checkpoint is of {len(state['ranks'])} processes and cannot go on in {trainer.world_size}: "
                f"set trainer.devices and num_nodes as they were, or --resume false to start anew"
            )
        self.seconds, self.resumed = state["seconds"], state["resumed"] + 1
        trainer.should_stop = state["finished"]
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile):
                logger.rewind(state["rows"])

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._began = self._saved_at = time.monotonic()
        self._saved_step = trainer.global_step
        loader = trainer.train_dataloader
        if isinstance(loader, ResumableLoader):
            loader.between_batches = partial(self._between_batches, trainer)
            if self._state is not None:
                loader.go_to(self._state["ranks"][trainer.global_rank])
                # Lightning would think that the batch before the cut is still to be validated, and count a step for it.
                self._val_batches, trainer.limit_val_batches = trainer.limit_val_batches, 0
        else:
            log.warning(
                "the train_dataloader is no ialp.datamodules.ResumableLoader, which takes the arguments of a "
                "DataLoader: if this run is cut off, it starts anew"
            )
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.stop.listen()

    @override
    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.stop.ignore()
        self._save(trainer, LAST, finished=True)  # what comes now need not train again

    @override
    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if self._state is None:
            return
        for name, value in self._state["metrics"].items():
            trainer.callback_metrics.setdefault(name, torch.tensor(value, dtype=torch.float64))
        if self._state["finished"] and isinstance(loader := trainer.train_dataloader, ResumableLoader):
            loader.load_dataset(self._state["ranks"][trainer.global_rank])

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        self.stop.ignore()

    @override
    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        if self._finished is None:  # another callback's, which may come in the middle of a batch
            return
        loader = trainer.train_dataloader
        files = [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]
        checkpoint["resume"] = {
            "finished": self._finished,
            "ranks": gather_over_ranks(loader.position() if isinstance(loader, ResumableLoader) else None),
            "rows": len(files[0].rows) if files else 0,
            "metrics": {key: float(value) for key, value in trainer.callback_metrics.items()},
            "seconds": self.seconds + time.monotonic() - self._began,
            "resumed": self.resumed,
        }

    def _between_batches(self, trainer: Trainer) -> None:
        if self._val_batches is not None:
            trainer.limit_val_batches, self._val_batches = self._val_batches, None
        stop = self.stop.number is not None or (CHILD in os.environ and self.stop.orphaned())
        late = time.monotonic() - self._saved_at >= 60 * self.every_minutes
        if trainer.world_size > 1:  # what one rank wants all do
            stop, late = (sum_over_ranks(stop, late) > 0).tolist()
        steps = trainer.global_step - self._saved_step
        if steps >= self.every_n_steps or (steps > 0 and (late or stop)):
            self._save(trainer, f"step-{trainer.global_step:09}.ckpt", finished=False)
        if stop:
            if trainer.is_global_zero:
                path = next(iter(checkpoints(_folder(trainer))), None)
                kept = f"the same command goes on from {path}" if path else "before its first step"
                print(f"ialp: stopped: {kept}", file=sys.stderr, flush=True)
            self.stop.raise_()

    def _save(self, trainer: Trainer, name: str, finished: bool) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        for logger in trainer.loggers:
            logger.save()
        folder, self._finished = _folder(trainer), finished
        try:
            trainer.save_checkpoint(folder / name)
        except UserError as error:
            good = next(iter(checkpoints(folder)), None)
            way = f"make room: the same command goes on from {good}, the last good one" if good else "make room"
            raise UserError(f"{error}; {way}") from error
        finally:
            self._finished = None
        if trainer.is_global_zero:
            for old in checkpoints(folder)[1 if finished else self.keep :]:
                old.unlink()
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()


def _folder(trainer: Trainer) -> Path:
    return Path(trainer.default_root_dir) / "checkpoints"
