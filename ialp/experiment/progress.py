"""Progress in plain lines, for logs and pipes; a terminal gets Lightning's rich bar."""

import time
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override


class PlainProgress(Callback):
    """Prints where the run is, at most once in `seconds`.

    Args:
        seconds: Least time between two lines.
        name: Of the run, which starts each line.
    """

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
