"""What Weights & Biases is told of a run beside its curves: settings, what the curves run along, the final table."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

from ialp.experiment.stages import Stage
from ialp.files import write_atomically
from ialp.report.summary import final_rows
from ialp.runs.data import FIGURES, RunData

ID = "WANDB_RUN_ID"
STEPS = "train/environment_steps"
COLUMNS: list[Any] = ["policy", "at", "environment_steps", *FIGURES]


def begin(loggers: Iterable[Logger], stage: Stage, resumed: bool) -> None:
    """Log the run's settings, under the id that it had if it is resumed; online, curves run along environment steps."""
    known = stage.folder / "wandb_id.txt"
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        resumes = resumed and known.is_file() and ID not in os.environ  # an id in the config comes first of all
        if resumes:
            os.environ[ID] = known.read_text().strip()
        run = logger.experiment
        if resumes:
            del os.environ[ID]
        write_atomically(known, f"{run.id}\n")
        settings = {key: stage.config.get(key) for key in ("model", "data", "trainer")}
        run.config.update({"stage": stage.name, "seed": stage.seed, "settings": settings}, allow_val_change=True)
        if stage.online:
            for curves in ("train/*", "val/*"):
                run.define_metric(curves, step_metric=STEPS)


def end(loggers: Iterable[Logger], folder: Path) -> None:
    """Log the table that the run prints at its end (`final`), and close what was logged to."""
    for logger in loggers:
        if not isinstance(logger, WandbLogger):
            continue
        if rows := [[row[name] for name in COLUMNS] for row in final_rows(RunData(folder))]:
            import wandb

            logger.experiment.log({"final": wandb.Table(columns=COLUMNS, data=rows)})
        logger.experiment.finish()
