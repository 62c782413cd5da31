"""Stages that take no time, for tests of what surrounds a stage."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning import LightningDataModule, LightningModule
from torch.utils.data import DataLoader

from ialp.data import LogSource
from ialp.datamodules import ResumableLoader
from ialp.errors import UserError
from ialp.oracle import JudgeBackend


class Toy(LightningModule):
    """Learns a line.

    Args:
        width: of its input.
        base: folder of a run that it builds on.
        other: folder of another.
        fail: how it ends before its time.
        trains: whether it learns at all.
    """

    def __init__(
        self,
        width: int = 2,
        base: str | None = None,
        other: str | None = None,
        fail: str | None = None,
        trains: bool = True,
    ) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layer, self.fail, self.trains = torch.nn.Linear(width, 1), fail, trains

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.fail == "user":
            raise UserError("toy: mend me")
        if self.fail == "spent" and self.current_epoch == 1:
            raise UserError("toy: the budget is spent")
        if self.fail == "bug":
            raise RuntimeError("boom")
        if self.fail == "interrupt":
            os.kill(os.getpid(), signal.SIGINT)
        if self.fail == "terminate" and self.global_step == 2 and not Path("terminated").exists():
            Path("terminated").touch()
            os.kill(os.getpid(), signal.SIGTERM)
        if self.fail == "crash" and self.global_step == 3 and not Path("crashed").exists():
            Path("crashed").touch()
            raise RuntimeError("boom")
        if self.fail == "wait":
            Path("waiting").touch()
            for _ in range(600):
                time.sleep(0.1)
        loss = self.layer(batch).mean()
        self.log("loss", loss, on_step=True, on_epoch=True)
        return loss

    def validation_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("val", self.layer(batch).mean())
        folder = Path(self.trainer.default_root_dir)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "evaluation.csv").write_text(f"by {self.trainer.state.fn}\n")

    def test_step(self, batch: torch.Tensor, batch_idx: int) -> None:
        self.log("tested", self.layer(batch).mean())

    def predict_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        return self.layer(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), 0.1)

    def results(self) -> dict[str, Any]:
        return {"width": self.layer.in_features}


class ToyData(LightningDataModule):
    def __init__(self, log: LogSource, judge: JudgeBackend | None = None, cache: str = "here", rows: int = 4) -> None:
        super().__init__()
        self.source, self.judge, self.rows = log, judge, rows

    def train_dataloader(self) -> DataLoader:
        return ResumableLoader(torch.ones(self.rows, 2), batch_size=2)

    val_dataloader = test_dataloader = predict_dataloader = train_dataloader
