"""A judge whose weights are spread over two processes (FSDP), on CPUs."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from ialp.datamodules.prompts import PromptDataModule, PromptFormat
from ialp.oracle import LocalLM
from tests.oracle.conftest import save_tiny_model
from tests.phases.test_oracle_tuning import ColourLog

SCRIPT = """
import sys
from lightning import Trainer, seed_everything
from lightning.pytorch.strategies import ModelParallelStrategy
from ialp.datamodules.prompts import PromptDataModule, PromptFormat
from ialp.oracle import LocalLM, LoRA
from ialp.phases.oracle_tuning import OracleTuning
from tests.phases.test_oracle_tuning import ColourLog

model, folder = sys.argv[1:]
seed_everything(0)
data = PromptDataModule(
    ColourLog(), interactions=32, validation=8, held_out=24, candidates=3, prompt=PromptFormat(max_history=3),
    batch_size=8,
)
trainer = Trainer(
    max_epochs=2, default_root_dir=folder, logger=False, accelerator="cpu", devices=2,
    strategy=ModelParallelStrategy(data_parallel_size=2, tensor_parallel_size=1),
    enable_progress_bar=False, enable_checkpointing=False, enable_model_summary=False, num_sanity_val_steps=0,
)
trainer.fit(OracleTuning(LocalLM(model), LoRA(rank=4, dropout=0.0), lr=0.01), data)
print("steps", trainer.global_step, flush=True)
"""


@pytest.mark.slow
def test_sharded_tuning_two_ranks_tune_one_judge_and_leave_one_whole_adapter(tmp_path):
    model = save_tiny_model(tmp_path / "model", ColourLog().load().catalogue.texts, initializer_range=0.1)
    script = tmp_path / "tune.py"
    script.write_text(SCRIPT)
    root = str(Path(__file__).parents[2])
    done = subprocess.run(
        [sys.executable, str(script), model, str(tmp_path / "run")],
        env={**os.environ, "PYTHONPATH": root, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert "steps 8" in done.stdout  # 32 interactions, 8 at a time, 4 of them on each of two ranks, twice
    assert json.loads((tmp_path / "run" / "oracle" / "oracle.json").read_text())["judge"] == "LocalLM"
    data = PromptDataModule(ColourLog(), held_out=24, candidates=3, prompt=PromptFormat(max_history=3))
    data.setup()
    questions = data.held_out_questions()[0].questions
    plain, tuned = (LocalLM(model, adapter).log_probabilities(questions) for adapter in (None, str(tmp_path / "run")))
    assert torch.isfinite(tuned).all() and not torch.allclose(plain, tuned, atol=1e-3)
