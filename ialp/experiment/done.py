"""done.json, the last file that a run writes."""

import json
from datetime import datetime
from typing import Any

from lightning import Trainer

from ialp.experiment.resume import ResumeCheckpoint
from ialp.experiment.stages import Stage
from ialp.files import write_atomically
from ialp.runs.folder import DONE
from ialp.runs.provenance import code_version, versions


def write_done(stage: Stage, trainer: Trainer, model: Any, seconds: float) -> None:
    """Write done.json into the run's folder.

    Args:
        stage: The run.
        trainer: With which it was made.
        model: Whose `results()`, if it has any, are written down.
        seconds: Of this attempt; those of earlier ones are added.
    """
    log = stage.log
    callbacks: list[Any] = trainer.callbacks  # type: ignore[attr-defined]
    resume = next((each for each in callbacks if isinstance(each, ResumeCheckpoint)), None)
    done = {
        "stage": stage.name,
        "seed": stage.seed,
        "fingerprint": stage.fingerprint,
        "config": stage.config,
        "upstream": {key: str(each.folder) for key, each in stage.upstream.items()},
        "data": {"name": log.name, "items": log.catalogue.num_items, "fingerprint": log.fingerprint} if log else None,
        "metrics": {name: float(value) for name, value in trainer.callback_metrics.items()},
        "results": model.results() if hasattr(model, "results") else {},
        "seconds": round(seconds + (resume.seconds if resume else 0), 1),
        "resumed": resume.resumed if resume else 0,
        "processes": trainer.world_size,
        "finished": datetime.now().astimezone().isoformat(timespec="seconds"),
        "versions": versions(),
        "code": code_version(),
    }
    write_atomically(stage.folder / DONE, json.dumps(done, indent=2, default=str) + "\n")
