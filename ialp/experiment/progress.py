"""Progress in plain lines, for logs and pipes; a terminal gets Lightning's rich bar."""

import time
from typing import Any

from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import ProgressBar
from typing_extensions import override


class PlainProgress(ProgressBar):
    """Prints where the run is, at most once in `seconds`.

    Args:
        seconds: Least time between two lines.
        name: Of the run, which starts each line.
    """

    def __init__(self, seconds: float = 20.0, name: str = "") -> None:
        super().__init__()
        self.seconds, self.name = seconds, name
        self.start = self.latest = time.monotonic()
        self.enabled = True

    @override
    def disable(self) -> None:  # on ranks other than the first
        self.enabled = False

    @override
    def enable(self) -> None:
        self.enabled = True

    @override
    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.start = self.latest = time.monotonic()

    @override
    def on_train_batch_end(self, trainer: Trainer, pl_module: LightningModule, *_: Any) -> None:
        now = time.monotonic()
        if self.enabled and now - self.latest >= self.seconds:
            self.latest = now
            print(self.line(trainer, pl_module, now - self.start), flush=True)

    def line(self, trainer: Trainer, pl_module: LightningModule, elapsed: float) -> str:
        """Epoch, share of its batches, what the module shows in its bar, and the time since the start."""
        epochs = f" of {trainer.max_epochs}" if trainer.max_epochs and trainer.max_epochs > 0 else ""
        shown = self.get_metrics(trainer, pl_module)
        figures = "".join(f", {key} {value:.3g}" for key, value in shown.items() if isinstance(value, float))
        batch = f"batch {trainer.fit_loop.batch_idx + 1} of {self.total_train_batches}"
        return f"  {self.name}: epoch {trainer.current_epoch + 1}{epochs}, {batch}{figures} ({elapsed:.0f} s)"
