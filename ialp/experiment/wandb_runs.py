"""What Weights & Biases is told of a run beside its curves: settings, what the curves run along, the final table."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger, WandbLogger

from ialp.experiment.stages import Stage
from ialp.files import write_atomically
from ialp.report.summary import final_rows
from ialp.runs.data import FIGURES, RunData

STEPS = "train/environment_steps"
COLUMNS: list[Any] = ["policy", "at", "environment_steps", *FIGURES]


def begin(loggers: Iterable[Logger], stage: Stage, resumed: bool) -> None:
    """Tell which run this is, by the id that it had if it is resumed; online, curves run along environment steps."""
    known = stage.folder / "wandb_id.txt"
    if resumed and known.is_file():
        for logger in _ours(loggers):
            logger._wandb_init["id"] = logger._wandb_init.get("id") or known.read_text().strip()
    for run in _runs(loggers):
        write_atomically(known, f"{run.id}\n")
        settings = {key: stage.config.get(key) for key in ("model", "data", "trainer")}
        run.config.update({"stage": stage.name, "seed": stage.seed, "settings": settings}, allow_val_change=True)
        if stage.online:
            for curves in ("train/*", "val/*"):
                run.define_metric(curves, step_metric=STEPS)


def end(loggers: Iterable[Logger], folder: Path) -> None:
    """Log the table that the run prints at its end (`final`), and close what was logged to."""
    rows = [[row[name] for name in COLUMNS] for row in final_rows(RunData(folder))]
    for run in _runs(loggers):
        if rows:
            import wandb

            run.log({"final": wandb.Table(columns=COLUMNS, data=rows)})
        run.finish()


def _ours(loggers: Iterable[Logger]) -> Iterator[WandbLogger]:
    return (logger for logger in loggers if isinstance(logger, WandbLogger))


def _runs(loggers: Iterable[Logger]) -> Iterator[Any]:
    return (logger.experiment for logger in _ours(loggers))
