"""Judges from their configuration."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

from ialp.errors import UserError
from ialp.experiment.composition import compose
from ialp.oracle import LexicalOracle, LocalLM, Questions, load_judge

CONFIGS = Path(__file__).parents[2] / "configs" / "oracles"


def test_load_judge_judge_is_built_from_class_path_and_init_args():
    judge = load_judge({"class_path": "ialp.oracle.LexicalOracle", "init_args": {"none_threshold": 0.3}})
    assert isinstance(judge, LexicalOracle) and judge.none_threshold == 0.3
    assert load_judge(judge) is judge


def test_load_judge_judge_takes_its_adapter():
    judge = load_judge({"class_path": "ialp.oracle.LocalLM", "init_args": {"batch_tokens": 900}}, adapter="runs/x")
    assert isinstance(judge, LocalLM) and (judge.adapter, judge.batch_tokens) == ("runs/x", 900)


@pytest.mark.parametrize(
    ("judge", "message"),
    [
        (None, "no judge is named"),
        (["dtype", "bfloat16"], r"judge is \['dtype', 'bfloat16'\], not class_path .* for one stage give the whole"),
        ({"class_path": "ialp.oracle.LocalML"}, "LocalML"),
        ({"class_path": "ialp.oracle.LocalLM", "init_args": {"batch": 3}}, "batch"),
        ({"class_path": "ialp.oracle.LocalLM", "init_args": {"batch_tokens": 0}}, "^judge.batch_tokens is 0"),
    ],
)
def test_load_judge_mistake_is_named(judge, message):
    with pytest.raises(UserError, match=message):
        load_judge(judge)


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("*.yaml")), ids=lambda path: path.stem)
def test_load_judge_overlays_name_a_judge(path):
    config = composed(path)
    assert list(config) == ["judge"]
    load_judge(config["judge"])


def composed(path: Path) -> dict:
    return yaml.safe_load(yaml.serialize(compose([f"--config={path}"]).tree, Dumper=yaml.SafeDumper))


def test_load_judge_papers_model(tiny_model, catalogue, template):
    """The overlay as it is, but for the weights: a random Mistral in place of 15 GB."""
    config = composed(CONFIGS / "mistral7b.yaml")["judge"]
    judge = load_judge(config)
    assert isinstance(judge, LocalLM)
    assert (judge.model, judge.dtype) == ("mistralai/Mistral-7B-v0.1", "bfloat16")
    judge = load_judge({**config, "init_args": {**config["init_args"], "model": tiny_model}})
    texts = catalogue.texts
    log_probabilities = judge.log_probabilities(Questions(template, [texts[1:3]], [texts[3:13]]))
    assert log_probabilities.shape == (1, 11)
    assert torch.allclose(log_probabilities.exp().sum(), torch.tensor(1.0))


def test_load_judge_module_imports_no_heavy_library():
    """Judges import transformers, PEFT, the client of the API or scipy when they are first asked."""
    heavy = "transformers", "peft", "openai", "scipy", "lightning"
    script = f"import sys, ialp.oracle; print(*[name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
