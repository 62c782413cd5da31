"""A training cut off between two batches and gone on with, beside an unbroken one."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning import Callback, LightningDataModule, LightningModule, Trainer

from ialp.experiment.checkpoint_file import AtomicCheckpointIO, newest
from ialp.experiment.metrics_file import MetricsFile
from ialp.experiment.resume import ResumeCheckpoint
from tests.helpers.training import train

Make = Callable[[Path], tuple[LightningModule, LightningDataModule]]
"""Module and data of a run in a folder."""


class Cut(Callback):
    """Ends a run, without a warning, in its `at`th batch."""

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        if trainer.global_step == self.at:
            raise RuntimeError("cut")


def whole_and_broken(make: Make, folder: Path, at: int, epochs: int = 3, **options: Any) -> list[Any]:
    """The module after an unbroken training, and after one that was cut in batch `at` and gone on with."""
    modules = []
    for name, cut in (("whole", None), ("broken", at)):
        here = folder / name
        options |= {"plugins": [AtomicCheckpointIO()], "enable_checkpointing": True, "log_every_n_steps": 1}
        path = None
        if cut is not None:
            callbacks = [Cut(cut), ResumeCheckpoint(every_n_steps=1)]
            with pytest.raises(RuntimeError, match="cut"):
                train(*make(here), here, epochs, callbacks=callbacks, logger=MetricsFile(here), **options)
            path = newest(here / "checkpoints")
            assert path is not None
        module, data = make(here)
        callbacks = [ResumeCheckpoint()]
        train(module, data, here, epochs, ckpt_path=path, callbacks=callbacks, logger=MetricsFile(here), **options)
        modules.append(module)
    assert curves(folder / "whole") == curves(folder / "broken") != []
    assert_same(*modules)
    return modules


def curves(folder: Path) -> list[dict[str, str]]:
    """The rows of metrics.csv, without time and without how many answers came from the cache."""
    left_out = ("seconds", "asked", "cache_hits")
    with (folder / "metrics.csv").open(newline="") as file:
        return [
            {key: value for key, value in row.items() if not any(part in key for part in left_out)}
            for row in csv.DictReader(file)
        ]


def assert_same(whole: Any, broken: Any) -> None:
    """Two modules have the same weights, latest episodes and evaluations."""
    first, second = whole.state_dict(), broken.state_dict()
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value.nan_to_num(), second[name].nan_to_num()), name
    if hasattr(whole, "episodes"):
        assert list(whole.episodes.finished) == list(broken.episodes.finished) != []
        assert whole.evaluation.rows == broken.evaluation.rows != []
        assert whole.environment_steps == broken.environment_steps
