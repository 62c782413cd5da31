"""Pre-training that asks the judge one step ahead, while the updates run."""

from typing import Any

from lightning import Callback, LightningModule, Trainer
from torch import Tensor
from typing_extensions import override

from ialp.oracle.ahead import AskedAhead
from ialp.phases.pretrain import IALPPretrain


class PrefetchPretrain(IALPPretrain):
    """`IALPPretrain` whose judge works while the updates run.

    The candidates of the next step are proposed when this step's answers are stored, and the judge is asked by a thread
    of its own while this step's minibatches are learnt from. They come from weights that are `updates_per_step` updates
    older than Algorithm 1 has them. All random numbers are drawn in the main thread, in an order that does not depend
    on the judge's pace.
    """

    ahead: AskedAhead
    pending: Tensor | None = None
    """(B, K) candidates that were proposed and whose answers are not stored yet; None between questions."""

    @override
    def setup(self, stage: str) -> None:
        super().setup(stage)
        self.ahead = AskedAhead(self.data.oracle)

    @override
    def configure_callbacks(self) -> list[Callback]:
        return [EndQuestion()]

    @override
    def collect(self) -> None:
        if self.pending is None:
            self.pending = self.propose()
        if not self.ahead.asking:  # the first step, or a restored one
            self._ask()
        judgement = self.ahead.answer()
        candidates, self.pending = self.pending, None
        self.store(candidates, judgement)
        if goes_on(self.trainer, self.data.updates_per_step):
            self.pending = self.propose()
            self._ask()

    def _ask(self) -> None:
        history = self.data.histories.history
        assert self.pending is not None
        self.ahead.ask(history.items, history.length, self.pending)

    @override
    def on_fit_end(self) -> None:
        self.ahead.close()  # early stopping leaves a question; its answers are paid for, and go into the cache
        super().on_fit_end()

    @override
    def rank_state_dict(self) -> dict[str, Any]:
        pending = None if self.pending is None else self.pending.clone()
        return {**super().rank_state_dict(), "pending": pending}

    @override
    def load_rank_state_dict(self, state: dict[str, Any]) -> None:
        super().load_rank_state_dict(state)
        self.pending = state["pending"]  # asked again, which the cache may answer


class EndQuestion(Callback):
    """Ends the question under way where training ends with an exception; what has been answered is in the cache."""

    @override
    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        assert isinstance(pl_module, PrefetchPretrain)
        if hasattr(pl_module, "ahead"):
            pl_module.ahead.close(at_once=True)


def goes_on(trainer: Trainer, batches: int) -> bool:
    """Whether training takes more than `batches` further batches, by its limits of steps and epochs.

    What may end it sooner, such as early stopping or `max_time`, does not count: the answer depends on the config and
    on where training stands, so that a resumed run gives the same one.
    """
    steps = trainer.global_step + batches // trainer.accumulate_grad_batches
    if 0 <= trainer.max_steps <= steps:
        return False
    if trainer.fit_loop.epoch_loop.batch_progress.current.ready + batches < trainer.num_training_batches:
        return True
    epochs = trainer.max_epochs
    return epochs is None or epochs < 0 or trainer.current_epoch + 1 < epochs
