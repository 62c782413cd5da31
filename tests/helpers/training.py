"""Short trainings that print nothing."""

from pathlib import Path
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer, seed_everything

QUIET: dict[str, Any] = {
    "accelerator": "cpu",
    "logger": False,
    "enable_checkpointing": False,
    "enable_progress_bar": False,
    "enable_model_summary": False,
    "num_sanity_val_steps": 0,
}


def train(
    module: LightningModule,
    data: LightningDataModule,
    folder: Path,
    epochs: int = 2,
    seed: int = 0,
    ckpt_path: Path | None = None,
    **options: Any,
) -> Trainer:
    """Fits a module, or validates one that does not train; `options` are the Trainer's."""
    seed_everything(seed, verbose=False)
    trainer = Trainer(default_root_dir=folder, **(QUIET | {"max_epochs": epochs} | options))
    if getattr(module, "trains", True):
        trainer.fit(module, data, ckpt_path=ckpt_path)
    else:
        trainer.validate(module, data, verbose=False)
    return trainer
