"""A callback that ends a run in the midst of it, once, so that it has to be resumed."""

from typing import Any, ClassVar

from lightning import Callback, LightningModule, Trainer


class CutOffError(RuntimeError):
    """The run was cut off, as intended."""


class CutOnce(Callback):
    """Raises `CutOffError` before the gradient step number `at`, while `armed`.

    Args:
        at: gradient steps that are done by then.
    """

    armed: ClassVar[bool] = False

    def __init__(self, at: int) -> None:
        self.at = at

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:
        """Ends the run where it is due."""
        if self.armed and trainer.global_step == self.at:
            raise CutOffError
