"""Tuning of the judge on interactions of the log (paper, section 5.3), and its evaluation before and after."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torchmetrics import MeanMetric
from typing_extensions import override

from ialp.datamodules.prompts import PromptDataModule
from ialp.errors import UserError
from ialp.oracle.backends.base import ORACLE_FOLDER, JudgeBackend, LoRA, Tuner
from ialp.oracle.backends.similarity import LexicalOracle
from ialp.oracle.cache import JudgementCache
from ialp.oracle.calibration import NoneCalibration, fit_none
from ialp.oracle.config import load_judge
from ialp.oracle.evaluation import evaluate, print_evaluations
from ialp.oracle.oracle import Oracle
from ialp.oracle.questions import PromptBatch
from ialp.phases.loading import LoadableModule

REPORT_FILE = "report.json"


class OracleTuning(LoadableModule):
    """Tunes a judge on questions whose answer the log knows (paper, section 5.3), and reports what that brought.

    A `LocalLM` gets a LoRA adapter, trained with the cross-entropy of the right label at the prompt's last position;
    a `LexicalOracle` has two numbers to fit, its threshold for None and its scale. The run folder then holds
    `oracle/`, which `JudgeBackend.tuned` reads, and `report.json`.

    Args:
        judge: The judge.
        lora: Rank and reach of the adapters.
        lr: Peak learning rate, after a linear warm-up and before a cosine decay.
        weight_decay: Of AdamW.
        warmup: Share of all steps in which the learning rate rises.
        cache: File of the judgement cache, for what the judge is asked in its evaluation; null keeps it in memory.
    """

    data_class = PromptDataModule
    strict_loading = False  # checkpoints hold what was trained; the base model comes from its own files

    def __init__(
        self,
        judge: JudgeBackend,
        lora: LoRA | None = None,
        lr: float = 1e-3,
        weight_decay: float = 0.0,
        warmup: float = 0.1,
        cache: str | None = None,
    ) -> None:
        super().__init__()
        self.judge = load_judge(judge)
        self.lora = lora or LoRA()
        self.lr, self.weight_decay, self.warmup, self.cache = lr, weight_decay, warmup, cache
        self.tuner: Tuner
        self.val_picked = MeanMetric()
        self._report: dict[str, dict[str, Any]] = {}
        self._evaluated: tuple[JudgeBackend | None, Any] = None, None

    @override
    def setup(self, stage: str) -> None:
        if stage == "fit":  # before the trainable copy takes the memory
            self._evaluate("before", self.judge)
            self.judge.release()

    @override
    def configure_model(self) -> None:
        if not hasattr(self, "tuner"):
            self.judge.prepare(self.data.log.catalogue)
            self.build_nets({})
            if not any(parameter.requires_grad for parameter in self.tuner.parameters()):
                if self.trainer.world_size > 1:
                    raise UserError(f"judge {self.judge.name} learns nothing that processes could share: take one")
                self.trainer.fit_loop.max_epochs = 0  # nothing to learn: the judge is calibrated and evaluated

    @override
    def configure_optimizers(self) -> OptimizerLRSchedulerConfig | None:
        """AdamW with a linear warm-up and a cosine decay; none where the judge has nothing to learn."""
        if not any(parameter.requires_grad for parameter in self.tuner.parameters()):
            return None
        groups = self.tuner.parameter_groups(self.lr)
        optimizer = torch.optim.AdamW(groups, weight_decay=self.weight_decay)
        steps = int(self.trainer.estimated_stepping_batches)
        rise = max(round(self.warmup * steps), 1)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, rise, steps))
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    @override
    def training_step(self, batch: PromptBatch, batch_idx: int) -> Tensor:
        loss, log_probabilities = self.tuner(batch.questions, batch.answer)
        picked = (log_probabilities.argmax(1) == batch.answer).float().mean()  # None's included
        self.log_dict({"loss": loss, "picked": picked}, prog_bar=True, batch_size=len(batch.answer), sync_dist=True)
        return loss

    @override
    def validation_step(self, batch: PromptBatch, batch_idx: int) -> None:
        loss, log_probabilities = self.tuner(batch.questions, batch.answer)
        self.val_picked((log_probabilities.argmax(1) == batch.answer).float())
        self.log("val_picked", self.val_picked, prog_bar=True)
        self.log("val_loss", loss, batch_size=len(batch.answer), sync_dist=True)

    @override
    def on_fit_end(self) -> None:
        """Save what was learnt, and evaluate the judge as the next stage will load it."""
        self.restore_best()
        if not self.trainer.is_global_zero:
            return
        folder = Path(self.trainer.default_root_dir)
        self.tuner.save(folder / ORACLE_FOLDER)
        self.tuner.cpu()  # the judge takes its place
        tuned = self.judge.tuned(folder)
        batches = self.data.calibration_questions()
        with_target, without_target = (self._oracle(tuned).answers(batch.questions) for batch in batches)
        calibration = fit_none(with_target, without_target, batches[0].answer, self.data.none_share)
        calibration.save(folder / ORACLE_FOLDER)
        self._log_calibration(calibration)
        self._evaluate("after", tuned, calibration.threshold)
        if not isinstance(self.judge, LexicalOracle):
            self._evaluate("word overlap", LexicalOracle())
        questions = len(self.data.held_out_questions()[0].answer)
        print_evaluations(self._report, questions, self.data.candidates)
        about = {"questions": questions, "candidates": self.data.candidates, "seed": self.data.HELD_OUT_SEED}
        (folder / REPORT_FILE).write_text(json.dumps(about | self._report, indent=2) + "\n")
        self.record_run()

    @override
    def net_sizes(self) -> dict[str, Any]:
        return {}  # the base model brings its own

    @override
    def build_nets(self, sizes: dict[str, Any]) -> None:
        self.tuner = self.judge.tuner(self.lora)

    @override
    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep what is trained, which is all that differs from the base model."""
        super().on_save_checkpoint(checkpoint)
        trained = {name for name, parameter in self.named_parameters() if parameter.requires_grad}
        checkpoint["state_dict"] = {key: value for key, value in checkpoint["state_dict"].items() if key in trained}

    @override
    def results(self) -> dict[str, Any]:
        return self._report

    def _oracle(self, judge: JudgeBackend) -> Oracle:
        """A judge behind the cache: a stage that is repeated pays nobody twice."""
        cache = JudgementCache(Path(self.cache)) if self.cache else None
        return Oracle(judge, cache, self.data.template, self.data.log.catalogue)

    def _log_calibration(self, calibration: NoneCalibration) -> None:
        """Into metrics.csv and done.json: for a judge that learns nothing, these are the only figures of the run."""
        figures = {f"none_{name}": getattr(calibration, name) for name in ("threshold", "right", "right_argmax")}
        for logger in self.loggers:
            logger.log_metrics(figures, self.trainer.global_step)
        self.trainer.callback_metrics.update(
            {name: torch.tensor(value, dtype=torch.float64) for name, value in figures.items()}
        )

    def _evaluate(self, name: str, judge: JudgeBackend, none_threshold: float | None = None) -> None:
        if not self.trainer.is_global_zero:
            return
        if judge is not self._evaluated[0]:  # a judge that learnt nothing is not asked twice
            self._evaluated = judge, evaluate(self._oracle(judge), *self.data.held_out_questions())
        self._report[name] = self._evaluated[1].figures(none_threshold)


def warmup_cosine(step: int, rise: int, steps: int) -> float:
    """Factor of the learning rate: up to 1 in `rise` steps, then down to 0 along a cosine at `steps`."""
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min((step - rise) / max(steps - rise, 1), 1)))
