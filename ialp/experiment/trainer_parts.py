"""What a run gives Lightning's Trainer besides what the config says: folder, checkpoints, metrics.csv, progress."""

import sys
import time
from collections.abc import Mapping
from typing import Any

import torch
import torch.utils.deterministic
from lightning import LightningModule, Trainer
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar
from lightning.pytorch.loggers import Logger
from typing_extensions import override

from ialp.distributed import check_share
from ialp.errors import UserError
from ialp.experiment.checkpoint_file import AtomicCheckpointIO
from ialp.experiment.metrics_file import MetricsFile
from ialp.experiment.processes import launched
from ialp.experiment.resume import ResumeCheckpoint
from ialp.experiment.stages import Stage


def trainer_parts(stage: Stage, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the Trainer that a run sets; `given` is the config's `trainer`, instantiated."""
    callbacks = _callbacks(stage, given)
    plugins = _as_list(given.get("plugins"))
    if not any(isinstance(each, CheckpointIO) for each in plugins):
        plugins.append(AtomicCheckpointIO())
    logger = given.get("logger")
    others = [each for each in _as_list(logger) if isinstance(each, Logger)]
    return {
        "default_root_dir": str(stage.folder),
        "logger": logger is not False and [MetricsFile(stage.folder), *others],  # first: its folder is the run's
        "enable_progress_bar": any(isinstance(each, ProgressBar) for each in callbacks),
        "callbacks": callbacks,
        "deterministic": _deterministic(given),
        "plugins": plugins,
    }


def _callbacks(stage: Stage, given: Mapping[str, Any]) -> list[Callback]:
    callbacks = _as_list(given.get("callbacks"))
    if given.get("enable_checkpointing") is not False and not any(
        isinstance(each, ResumeCheckpoint) for each in callbacks
    ):
        callbacks.append(ResumeCheckpoint())
    shown = any(isinstance(each, ProgressBar | PlainProgress) for each in callbacks)
    if given.get("enable_progress_bar") is not False and not shown:
        callbacks.append(RichProgressBar() if sys.stdout.isatty() else PlainProgress(name=stage.name))
    return callbacks


def _deterministic(given: Mapping[str, Any]) -> Any:
    """The config's choice; else on for CPUs, whose threads would add gradients in any order, seed or no seed.

    With one thread it changes no figure. A GPU's kernels are slower for it, so there it is the user's choice.
    """
    if given.get("deterministic") is not None:
        return given["deterministic"]
    accelerator = given.get("accelerator") or "auto"
    by_itself = accelerator == "auto" and not torch.accelerator.is_available()
    if not (by_itself or accelerator == "cpu" or isinstance(accelerator, CPUAccelerator)):
        return None
    # Takes time, and nothing here reads memory that it has not written.
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]
    return True


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]


def check_shares(data: Any, trainer: Mapping[str, Any]) -> None:
    """Refuse a DataModule whose users or batches the processes of a trainer's config cannot share."""
    devices = trainer["devices"]
    known = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else 1  # 1: "auto"
    for name in getattr(data, "shared", ()):
        check_share(known * int(trainer["num_nodes"]), getattr(data, name), name)


def check_processes(trainer: Trainer) -> None:
    """Refuse a launcher that has started other processes than the trainer counts: each would train alone."""
    if (started := launched()) not in (1, trainer.world_size):
        raise UserError(
            f"{started} processes were started, and the trainer has {trainer.world_size}: give --trainer.strategy ddp, "
            "--trainer.devices with the processes of a node, and --trainer.num_nodes"
        )


class PlainProgress(Callback):
    """Prints where the run `name` is, at most once in `seconds`, in plain lines for logs and pipes."""

    def __init__(self, seconds: float = 20.0, name: str = "") -> None:
        self.seconds, self.name = seconds, name
        self._start = self._latest = 0.0

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._start = self._latest = time.monotonic()

    @override
    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if not trainer.is_global_zero or now - self._latest < self.seconds:
            return
        self._latest = now
        epoch = f"epoch {trainer.current_epoch + 1} of {trainer.max_epochs}"
        figures = "".join(f", {key} {float(value):.3g}" for key, value in trainer.progress_bar_metrics.items())
        done = f"batch {batch_idx + 1} of {trainer.num_training_batches}"
        print(f"  {self.name}: {epoch}, {done}{figures} ({now - self._start:.0f} s)", flush=True)
