"""What a run gives Lightning's Trainer besides what the config says: folder, checkpoints, metrics.csv, progress."""

import sys
from collections.abc import Iterator, Mapping
from typing import Any

import torch
import torch.utils.deterministic
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.accelerators import CPUAccelerator
from lightning.pytorch.callbacks import Callback, ProgressBar, RichProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger

from ialp.experiment.checkpoint_file import AtomicCheckpointIO
from ialp.experiment.metrics_file import MetricsFile
from ialp.experiment.progress import PlainProgress
from ialp.experiment.resume import ResumeCheckpoint
from ialp.experiment.same_run import SameRun
from ialp.experiment.stages import Stage


def trainer_parts(stage: Stage, command: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments of the Trainer that a run sets.

    Args:
        stage: the run.
        command: fit, validate, test or predict.
        given: the config's `trainer`, instantiated.
    """
    callbacks = [*_as_list(given.get("callbacks")), *_own_callbacks(stage, command, given)]
    # What other commands write lies in a folder of its own: a finished run stays as it is.
    folder = stage.folder if command == "fit" else stage.folder / command
    return {
        "default_root_dir": str(folder),
        "logger": _loggers(stage, given.get("logger")) if command == "fit" else False,
        "enable_progress_bar": any(isinstance(each, ProgressBar) for each in callbacks),
        "callbacks": callbacks,
        "deterministic": _deterministic(given),
        "plugins": _plugins(_as_list(given.get("plugins"))),
    }


def _own_callbacks(stage: Stage, command: str, given: Mapping[str, Any]) -> Iterator[Callback]:
    yield SameRun(stage)
    named = _as_list(given.get("callbacks"))
    wanted = given.get("enable_checkpointing") is not False and command == "fit"
    if wanted and not any(isinstance(each, ResumeCheckpoint) for each in named):
        yield ResumeCheckpoint()
    if given.get("enable_progress_bar") is not False and not any(isinstance(each, ProgressBar) for each in named):
        yield RichProgressBar() if sys.stdout.isatty() else PlainProgress(name=stage.name)


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


def _loggers(stage: Stage, given: Any) -> Any:
    """metrics.csv in the run's folder, beside whatever logger the config names."""
    if given is False:
        return False
    chosen = [each for each in _as_list(given) if isinstance(each, Logger)]
    if any(isinstance(each, CSVLogger) for each in chosen):
        return chosen
    return [MetricsFile(stage.folder), *chosen]  # first: its folder is the run's


def _plugins(given: list[Any]) -> list[Any]:
    """Whoever writes a checkpoint, it is whole or absent."""
    return given if any(isinstance(each, CheckpointIO) for each in given) else [*given, AtomicCheckpointIO()]


def _as_list(value: Any) -> list[Any]:
    return [] if value is None else list(value) if isinstance(value, (list, tuple)) else [value]
