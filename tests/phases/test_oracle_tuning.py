"""A judge is tuned, saved, reported on, and loaded by the next stage."""

import json
from pathlib import Path

import pytest
import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import ModelCheckpoint

from ialp.data import Catalogue, Interactions, Log, LogSource
from ialp.datamodules.prompts import PromptDataModule, PromptFormat
from ialp.oracle import JudgeBackend, LexicalOracle, LocalLM, LoRA, Oracle
from ialp.phases.oracle_tuning import OracleTuning
from tests.oracle.conftest import COLOURS, THINGS, save_tiny_model


class ColourLog(LogSource):
    """Every sequence stays with one colour."""

    def load(self) -> Log:
        titles = [f"{colour} {thing}" for colour in COLOURS for thing in THINGS]
        catalogue = Catalogue([f"t{i}" for i in range(len(titles))], {"title": titles})
        generator = torch.Generator().manual_seed(0)
        rows = [torch.randperm(6, generator=generator)[:4] + 6 * (n % 8) + 1 for n in range(80)]
        parts = (Interactions.from_sequences([row.tolist() for row in part]) for part in (rows[:56], rows[56:]))
        return Log("colours", catalogue, *parts)


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    return save_tiny_model(tmp_path_factory.mktemp("model"), ColourLog().load().catalogue.texts, initializer_range=0.1)


def fit(judge: JudgeBackend, folder: Path, epochs: int = 1, **arguments) -> OracleTuning:
    seed_everything(0)
    sizes = {"interactions": 32, "validation": 8, "held_out": 24, "candidates": 3, "batch_size": 16}
    data = PromptDataModule(ColourLog(), **sizes, prompt=PromptFormat(max_history=3))
    module = OracleTuning(judge, LoRA(rank=4, dropout=0.0), **arguments)
    keep = ModelCheckpoint(folder / "checkpoints", save_last=True)
    trainer = Trainer(
        max_epochs=epochs,
        default_root_dir=folder,
        logger=False,
        callbacks=[keep],
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )
    trainer.fit(module, data)
    return module


def test_oracle_tuning_language_model_learns_and_the_next_stage_loads_it(model, tmp_path, capsys):
    module = fit(LocalLM(model), tmp_path, epochs=2, lr=3e-2)
    results = module.results()
    assert results["after"]["label_mass"] > 3 * results["before"]["label_mass"]  # it begins to answer in the format
    tuned = LocalLM(model).tuned(tmp_path)
    held, _ = module.trainer.datamodule.held_out_questions()
    with torch.no_grad():
        expected = module.tuner.eval()(held.questions, held.answer)[1]
    assert torch.allclose(tuned.log_probabilities(held.questions), expected, atol=1e-4)
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["questions"] == 24 and report["after"] == results["after"]
    printed = capsys.readouterr().out
    assert "chance" in printed and "word overlap" in printed and "label wins, after" in printed


def test_oracle_tuning_checkpoints_hold_adapters_alone(model, tmp_path):
    module = fit(LocalLM(model), tmp_path)
    checkpoint = torch.load(tmp_path / "checkpoints" / "last.ckpt", weights_only=True)
    trained = {name for name, parameter in module.named_parameters() if parameter.requires_grad}
    assert checkpoint["state_dict"].keys() == trained
    assert all("lora" in name for name in trained)


def test_oracle_tuning_loads_from_its_checkpoint(model, tmp_path):
    trained = fit(LocalLM(model), tmp_path, lr=3e-2)
    module = OracleTuning.load_from_checkpoint(tmp_path / "checkpoints" / "last.ckpt")
    wanted = {name for name, each in trained.named_parameters() if each.requires_grad}
    kept, again = trained.state_dict(), module.state_dict()
    assert wanted and all(torch.equal(kept[name], again[name]) for name in wanted)
    assert (tmp_path / "config.yaml").is_file()


def test_oracle_tuning_run_resumes_from_its_checkpoint(model, tmp_path):
    data = fit(LocalLM(model), tmp_path / "half", epochs=1).trainer.datamodule
    module = OracleTuning(LocalLM(model), LoRA(rank=4, dropout=0.0))
    trainer = Trainer(
        max_epochs=2,
        default_root_dir=tmp_path / "rest",
        logger=False,
        accelerator="cpu",
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    trainer.fit(module, data, ckpt_path=tmp_path / "half" / "checkpoints" / "last.ckpt", weights_only=True)
    assert trainer.current_epoch == 2 and trainer.global_step == 4


def test_oracle_tuning_word_overlap_fits_its_threshold(tmp_path):
    module = fit(LexicalOracle(none_threshold=0.9), tmp_path, epochs=20)
    results = module.results()
    assert results["before"]["picked"] < 0.1 and results["before"]["none_with"] > 0.9  # None to everything
    assert results["after"]["picked"] > 0.9 and results["after"]["none_without"] > 0.9
    assert results["after"]["label_mass"] is None
    assert LexicalOracle().tuned(tmp_path).none_threshold < 0.9


def test_oracle_tuning_figures_are_shares_of_known_questions(tmp_path):
    """A judge that always says the first label."""
    from ialp.oracle.evaluation import evaluate

    class First(LexicalOracle):
        def log_probabilities(self, questions):
            return torch.tensor([[0.0] + [-9.0] * questions.num_candidates]).repeat(len(questions), 1)

    data = PromptDataModule(ColourLog(), held_out=24, candidates=3, prompt=PromptFormat(max_history=3))
    data.setup()
    held, bare = data.held_out_questions()
    figures = evaluate(Oracle(First(), None, data.template, data.log.catalogue), held, bare).figures()
    first = float((held.answer == 0).float().mean())
    assert figures["picked"] == figures["ranked_first"] == pytest.approx(first, abs=1e-4)
    assert figures["labels"] == {"a": 1.0, "b": 0.0, "c": 0.0, "d": 0.0}
    assert figures["none_with"] == figures["none_without"] == 0.0


class Counting(LexicalOracle):
    """Counts the questions that it answers; as a user's judge does, it leaves its tuner as it comes."""

    def __init__(self):
        super().__init__()
        self.answered = 0

    def log_probabilities(self, questions):
        self.answered += len(questions)
        return super().log_probabilities(questions)

    def tuner(self, lora):
        return JudgeBackend.tuner(self, lora)

    def tuned(self, folder):
        return self


def test_oracle_tuning_stage_that_is_repeated_asks_for_no_answer_twice(tmp_path):
    first, second = Counting(), Counting()
    results = [fit(each, tmp_path / "run", cache=str(tmp_path / "cache.sqlite")).results() for each in (first, second)]
    assert first.answered >= 2 * 24 + 2  # the examination and the calibration
    assert second.answered == 0
    assert results[0] == results[1]
