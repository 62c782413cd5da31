"""A run that was cut off goes on as if nothing had happened."""

import os
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import Checkpoint
from torch import distributed
from torch.utils.data import IterableDataset

from ialp.errors import UserError
from ialp.experiment.building import CHILD
from ialp.experiment.metrics_file import MetricsFile
from ialp.experiment.signals import StopRequest
from ialp.rng import restore_rng_state, rng_state
from ialp.runs.folder import LAST, checkpoints


class ResumeCheckpoint(Checkpoint):
    """Writes checkpoints from which a run goes on exactly: its figures are those of a run that nobody cut off.

    Between two batches nothing is half done. There, every `every_n_steps` updates and every `every_minutes` minutes, it
    saves what Lightning does (weights, optimiser, callbacks, progress) and what it does not: where the data is, as the
    data set's `state_dict` has it, or how many batches of the epoch are over, and all global generators, of every rank.
    SIGTERM and Ctrl-C save once more and end the run. Added to every `ialp fit`; name it among `trainer.callbacks` to
    change its arguments.

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
        self.seconds, self.resumed = 0.0, 0  # that all attempts have taken, and how many were resumed
        self._began = self._saved_at = time.monotonic()
        self._saved_step = 0
        self._state: dict[str, Any] | None = None  # of the checkpoint that the run goes on from
        self._to_restore = False
        self._saving: dict[str, Any] | None = None  # what is being written, if this callback does it
        self._epoch_chance: dict[str, Any] | None = None

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Look in before every batch."""
        self._began = self._saved_at = time.monotonic()
        self._saved_step = trainer.global_step
        epoch_loop = trainer.fit_loop.epoch_loop
        # Lightning has no hook between two batches but the one that its profiler goes by.
        epoch_loop._on_before_fetch = lambda: self._between_batches(trainer)  # type: ignore[method-assign]
        fetcher = trainer.fit_loop._data_fetcher
        if self._to_restore and fetcher and epoch_loop._should_check_val_fx(fetcher):
            epoch_loop._batches_that_stepped -= 1  # a validation is due here and done: skipping it counts a step
        if not trainer.fast_dev_run:  # type: ignore[attr-defined]
            self.stop.listen()

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last checkpoint: what comes now need not train again."""
        self.stop.ignore()
        self._save(trainer, LAST, finished=True)

    def on_fit_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """What was logged and counted before the cut belongs to the run."""
        if self._state is None:
            return
        for name, value in self._state["metrics"].items():
            trainer.callback_metrics.setdefault(name, torch.tensor(value, dtype=torch.float64))
        if self._state["finished"]:
            self._load_data(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Signals end the process again."""
        self.stop.ignore()

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Take what `ResumeCheckpoint` has left in a checkpoint; other checkpoints have nothing of it.

        Raises:
            UserError: It is of another number of processes.
        """
        self._state = state = checkpoint.get("resume")
        if state is None:
            return
        if len(state["ranks"]) != trainer.world_size:
            raise UserError(
                f"the checkpoint is of {len(state['ranks'])} processes and cannot go on in {trainer.world_size}: "
                f"set trainer.devices and num_nodes as they were, or --resume false to start anew"
            )
        self.seconds, self.resumed = state["seconds"], state["resumed"] + 1
        self._to_restore = not state["finished"]
        trainer.should_stop = state["finished"]
        for logger in trainer.loggers:
            if isinstance(logger, MetricsFile) and trainer.is_global_zero:
                logger.experiment.rewind(state["rows"])

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Add what Lightning leaves out; not to checkpoints of others, which are written in the midst of things."""
        if self._saving is None:
            return
        dataset = _dataset(trainer)
        own = {
            "chance": rng_state(),
            "epoch_chance": self._epoch_chance,
            "data": dataset.state_dict() if hasattr(dataset, "state_dict") else None,
        }
        files = [logger for logger in trainer.loggers if isinstance(logger, MetricsFile)]
        checkpoint["resume"] = {
            **self._saving,
            "ranks": _of_all_ranks(trainer, own),
            "rows": files[0].experiment.rows if files and trainer.is_global_zero else 0,
            "metrics": {key: float(value) for key, value in trainer.callback_metrics.items()},
            "seconds": self.seconds + time.monotonic() - self._began,
            "resumed": self.resumed,
        }

    def _between_batches(self, trainer: Trainer) -> None:
        batches = trainer.fit_loop.epoch_loop.batch_progress.current.ready
        if self._to_restore:
            self._to_restore = False
            self._go_on(trainer, batches)
            return
        if batches == 0:
            self._epoch_chance = rng_state()
        stop = self._any_rank(trainer, self.stop.number is not None or (CHILD in os.environ and self.stop.orphaned()))
        due = trainer.global_step - self._saved_step >= self.every_n_steps
        late = self._any_rank(trainer, time.monotonic() - self._saved_at >= 60 * self.every_minutes)
        if (due or late or stop) and trainer.global_step > self._saved_step:
            self._save(trainer, f"step-{trainer.global_step:09}.ckpt", finished=False)
        if stop:
            self._say_stopped(trainer)
            self.stop.raise_()

    def _go_on(self, trainer: Trainer, batches: int) -> None:
        """Bring the data to where it was: an iterable one knows, of others the epoch's batches are passed over."""
        assert self._state is not None
        own, dataset = self._state["ranks"][trainer.global_rank], _dataset(trainer)
        self._epoch_chance = own["epoch_chance"]
        if not (isinstance(dataset, IterableDataset) and hasattr(dataset, "load_state_dict")):
            restore_rng_state(own["epoch_chance"])
            for _ in range(batches):
                next(trainer.fit_loop._data_fetcher.iterator)  # type: ignore[union-attr, arg-type]
        self._load_data(trainer)
        restore_rng_state(own["chance"])

    def _load_data(self, trainer: Trainer) -> None:
        assert self._state is not None
        if (data := self._state["ranks"][trainer.global_rank]["data"]) is not None:
            _dataset(trainer).load_state_dict(data)

    def _save(self, trainer: Trainer, name: str, finished: bool) -> None:
        if trainer.fast_dev_run:  # type: ignore[attr-defined]
            return
        for logger in trainer.loggers:
            logger.save()
        folder = Path(trainer.default_root_dir) / "checkpoints"
        try:
            self._saving = {"finished": finished}
            trainer.save_checkpoint(folder / name)
        except UserError as error:
            good = next(iter(checkpoints(folder)), None)
            way = f"make room: the same command goes on from {good}, the last good one" if good else "make room"
            raise UserError(f"{error}; {way}") from error
        finally:
            self._saving = None
        if trainer.is_global_zero:
            for old in checkpoints(folder)[1 if finished else self.keep :]:
                old.unlink()
        self._saved_step, self._saved_at = trainer.global_step, time.monotonic()

    @staticmethod
    def _any_rank(trainer: Trainer, decision: bool) -> bool:
        """All ranks do the same."""
        return decision if trainer.world_size == 1 else trainer.strategy.reduce_boolean_decision(decision, all=False)

    def _say_stopped(self, trainer: Trainer) -> None:
        if trainer.is_global_zero:
            path = next(iter(checkpoints(Path(trainer.default_root_dir) / "checkpoints")), None)
            kept = f"the same command goes on from {path}" if path else "before its first step"
            print(f"ialp: stopped: {kept}", file=sys.stderr, flush=True)


def _dataset(trainer: Trainer) -> Any:
    return getattr(trainer.train_dataloader, "dataset", None)


def _of_all_ranks(trainer: Trainer, own: dict[str, Any]) -> list[dict[str, Any]]:
    """What each rank has, on every rank."""
    if trainer.world_size == 1:
        return [own]
    parts: list[Any] = [None] * trainer.world_size
    distributed.all_gather_object(parts, own)  # pickled between the processes of this run, never from a file
    return parts
