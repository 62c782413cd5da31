"""What a judge of one's own gets from its base class: a fingerprint, and a check of its answers."""

import importlib.util
import math
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import JudgeBackend, LoRA, Oracle, Questions, load_judge
from ialp.oracle.backends.base import Untuned, checked

SOURCE = '''
"""Judges."""

from dataclasses import dataclass

import torch

from ialp.oracle import JudgeBackend, Questions


@dataclass
class Taste:
    colour: str = "red"


class Fixed(JudgeBackend):
    """Picks the first.

    Args:
        none: score of None.
        words: whatever.
        taste: of colours.
    """

    def __init__(self, none: float = 0.5, words: list[str] | None = None, taste: Taste | None = None) -> None:
        self.none, self.words, self.taste = none, words, taste

    def log_probabilities(self, questions: Questions) -> torch.Tensor:
        scores = [1.0] + [0.0] * (questions.num_candidates - 1) + [self.none]
        return torch.tensor([scores] * len(questions)).log_softmax(1)


class Other(Fixed):
    """Another."""
'''


def load(folder: Path, source: str = SOURCE) -> ModuleType:
    """The judges of a file, read anew."""
    path = folder / "own_judges.py"
    path.write_text(source)
    spec = importlib.util.spec_from_file_location("own_judges", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["own_judges"] = module
    sys.dont_write_bytecode, before = True, sys.dont_write_bytecode
    try:
        spec.loader.exec_module(module)
    finally:
        sys.dont_write_bytecode = before
    return module


@pytest.fixture
def judges(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setitem(sys.modules, "own_judges", None)  # put back after the test
    return load(tmp_path)


def test_judge_fingerprint_changes_with_class_and_arguments(judges):
    different = [
        judges.Fixed(),
        judges.Fixed(none=0.6),
        judges.Fixed(words=["a"]),
        judges.Fixed(words=["a", "b"]),
        judges.Fixed(taste=judges.Taste()),
        judges.Fixed(taste=judges.Taste("blue")),
        judges.Other(),
    ]
    assert len({judge.fingerprint for judge in different}) == len(different)


def test_judge_same_judge_has_one_fingerprint_however_it_is_written(judges, tmp_path):
    same = [
        judges.Fixed(),
        judges.Fixed(0.5),
        judges.Fixed(none=0.5, words=None),
        load_judge({"class_path": "own_judges.Fixed"}),
        load_judge({"class_path": "own_judges.Fixed", "init_args": {"none": 0.5}}),
        load(tmp_path).Fixed(),
    ]
    assert len({judge.fingerprint for judge in same}) == 1


def test_judge_fingerprint_changes_with_the_file(judges, tmp_path):
    before = judges.Fixed().fingerprint
    assert load(tmp_path, SOURCE + "\n").Fixed().fingerprint != before
    assert load(tmp_path).Fixed().fingerprint == before


def test_judge_file_edited_while_its_judge_answers_changes_nothing(judges, tmp_path, catalogue, template):
    oracle = Oracle(judges.Fixed(), None, template, catalogue)
    history, length, candidates = torch.tensor([[1, 2]]), torch.tensor([2]), torch.tensor([[5, 6, 7]])
    oracle.judge(history, length, candidates)
    (tmp_path / "own_judges.py").write_text(SOURCE + "# edited\n")
    oracle.judge(history, length, candidates)
    assert (oracle.asked, oracle.hits) == (1, 1)


def test_judge_argument_without_a_value_of_its_own_is_refused(judges):
    for argument in (object(), print_nothing, [object()]):
        with pytest.raises(UserError, match=r"judge Fixed: arguments .* do not tell one judge from another; define"):
            _ = judges.Fixed(words=argument).fingerprint


def print_nothing() -> None:
    """A function is known by its address alone."""


def test_judge_class_without_a_file_is_refused():
    space: dict = {"__name__": "nowhere"}
    exec(SOURCE, space)
    with pytest.raises(UserError, match="judge Fixed: its source is not in a file; define `fingerprint`"):
        _ = space["Fixed"]().fingerprint


def test_judge_such_a_judge_is_built_from_yaml(judges):
    arguments = {"none": 2, "words": ["x"], "taste": {"colour": "green"}}
    judge = load_judge({"class_path": "own_judges.Other", "init_args": arguments})
    assert type(judge) is judges.Other
    assert (judge.none, judge.words, judge.taste) == (2.0, ["x"], judges.Taste("green"))
    with pytest.raises(UserError, match="noen"):
        load_judge({"class_path": "own_judges.Other", "init_args": {"noen": 2}})
    with pytest.raises(UserError, match="subclass of JudgeBackend"):
        load_judge({"class_path": "own_judges.Taste"})


def test_judge_what_needs_no_writing_is_there(judges, tmp_path, template):
    judge = judges.Fixed()
    assert judge.name == "Fixed" and judge.tuned(tmp_path) is judge
    assert judge.label_mass is None
    questions = Questions(template, [["a"]] * 2, [["b", "c"]] * 2)
    [(rows, answers)] = judge.stream(questions)
    assert rows == [0, 1] and torch.equal(answers, judge.log_probabilities(questions))
    tuner = judge.tuner(LoRA())
    assert isinstance(tuner, Untuned) and not list(tuner.parameters())
    loss, answers = tuner(questions, torch.tensor([0, 2]))
    assert float(loss) == pytest.approx(-float(answers[0, 0] + answers[1, 2]) / 2)


HALF = math.log(0.5)


@pytest.mark.parametrize(
    ("answers", "said"),
    [
        (torch.full((2, 2), HALF), r"\(2, 2\), not \(2, 3\): a row per question, None's column last"),
        (torch.full((1, 3), HALF), r"\(1, 3\), not \(2, 3\)"),
        (torch.full((2, 3), HALF), r"add up to 1\.5, not 1; end in log_softmax"),
        (torch.tensor([[HALF, HALF, -math.inf], [math.nan, HALF, HALF]]), "add up to nan, not 1"),
        (torch.tensor([[HALF, HALF, math.inf]] * 2), "add up to inf, not 1"),
        ([[HALF, HALF, -9.0]] * 2, r"a list, not a torch\.Tensor"),
    ],
)
def test_judge_answers_that_are_none_are_refused(judges, answers, said):
    with pytest.raises(UserError, match=f"judge Fixed: log_probabilities gave .*{said}"):
        checked(judges.Fixed(), answers, rows=2, labels=3)


def test_judge_answers_come_as_float32_on_the_cpu_without_a_gradient(judges):
    answers = torch.tensor([[HALF, HALF, -math.inf]], dtype=torch.float64, requires_grad=True)
    found = checked(judges.Fixed(), answers, rows=1, labels=3)
    assert found.dtype == torch.float32 and not found.requires_grad


def test_judge_oracle_stores_no_answer_that_is_none(catalogue, template):
    class Unnormalised(JudgeBackend):
        fingerprint = "unnormalised"

        def log_probabilities(self, questions: Questions) -> torch.Tensor:
            return torch.zeros(len(questions), questions.num_candidates + 1)

    oracle = Oracle(Unnormalised(), None, template, catalogue)
    with pytest.raises(UserError, match=r"judge Unnormalised: log_probabilities gave .* add up to 4, not 1"):
        oracle.judge(torch.tensor([[1, 2]]), torch.tensor([2]), torch.tensor([[5, 6, 7]]))
    assert len(oracle.cache) == 0 and oracle.asked == 0
