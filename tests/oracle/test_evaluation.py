"""The figures of an evaluation, against answers written by hand."""

import pytest
import torch

from ialp.datamodules.prompts import draw_others_by
from ialp.diagnostics.oracle_report import OracleReport, paired_interval, wilson
from ialp.oracle import JudgementCache, Oracle, Questions
from ialp.oracle.evaluation import JudgeEvaluation, answers_permuted, calibration_error, reliability
from tests.oracle.test_oracle import LongestText


def log(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).log()


@pytest.fixture
def evaluation() -> JudgeEvaluation:
    """Two candidates; the true one is the first, the first, the second, the second."""
    return JudgeEvaluation(
        judge="by hand",
        answer=torch.tensor([0, 0, 1, 1]),
        with_target=log([0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.1, 0.5, 0.4], [0.1, 0.3, 0.6]),
        without_target=log([0.1, 0.1, 0.8], [0.2, 0.5, 0.3], [0.3, 0.5, 0.2], [0.2, 0.2, 0.6]),
        none_threshold=0.35,
        popular=(
            log([0.7, 0.2, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.8, 0.1, 0.1]),
            torch.tensor([0, 0, 0, 1]),
        ),
        permuted=log(*[[0.7, 0.2, 0.1]] * 8),
        none_share=0.2,
        cost={"asked": 100, "cached": 0, "seconds": 2.0, "judgements_per_second": 50.0, "tokens": 40_000},
    )


def test_evaluation_shares_by_hand(evaluation):
    figures = evaluation.figures()
    assert figures["picked"] == 0.5  # the first and the third
    assert figures["ranked_first"] == 0.75
    assert figures["picked_calibrated"] == 0.25  # the third is None now
    assert (figures["none_with"], figures["none_without"]) == (0.25, 0.5)
    assert figures["none_precision"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["none_recall"] == 0.5
    assert figures["none_precision_calibrated"] == 0.5 and figures["none_recall_calibrated"] == 0.5
    assert figures["picked_popular"] == 0.5 and figures["ranked_first_popular"] == 0.5
    assert figures["order_sensitivity"] == pytest.approx(7 / 8)  # only the first question keeps its answer
    assert figures["labels"] == {"a": 1 / 8, "b": 4 / 8, "c": 3 / 8}
    assert evaluation.ranks().tolist() == [0.75, 0.25]


def test_evaluation_equals_are_ranked_as_they_are_picked(evaluation):
    level = JudgeEvaluation(**{**evaluation.__dict__, "with_target": log(*[[0.4, 0.4, 0.2]] * 4)})
    assert level.ranks().tolist() == [0.5, 0.5]  # the first shown of two equals is the pick
    assert level.ranks()[0] == level.figures()["ranked_first"]


def test_evaluation_confidence_takes_questions_without_the_item_in_their_share(evaluation):
    confidence, right = evaluation.confidence()
    assert len(confidence) == 5  # one in five
    assert confidence.tolist() == pytest.approx([0.7, 0.7, 0.5, 0.6, 0.8])
    assert right.tolist() == [True, False, True, False, True]


def test_evaluation_calibration_error_by_hand():
    confidence, right = torch.tensor([0.95, 0.85, 0.85, 0.15]), torch.tensor([True, True, False, False])
    believed, happened, count = reliability(confidence, right)
    assert believed.tolist() == pytest.approx([0.15, 0.85, 0.95])
    assert happened.tolist() == [0.0, 0.5, 1.0] and count.tolist() == [1, 2, 1]
    assert calibration_error(confidence, right) == pytest.approx((0.15 + 2 * 0.35 + 0.05) / 4)


def test_evaluation_it_agrees_with_torchmetrics():
    from torchmetrics.functional.classification import multiclass_calibration_error

    generator = torch.Generator().manual_seed(0)
    probabilities = torch.rand(200, 4, generator=generator).softmax(1)
    truth = torch.randint(4, (200,), generator=generator)
    best = probabilities.max(1)
    expected = multiclass_calibration_error(probabilities, truth, num_classes=4, n_bins=10)
    assert calibration_error(best.values, best.indices == truth) == pytest.approx(float(expected), abs=1e-5)


def test_evaluation_turned_answers_come_back_in_the_first_order(catalogue, template):
    """A judge that goes by the texts alone gives the same answers in any order; one that goes by place does not."""
    texts = catalogue.texts
    asked = Questions(template, [texts[:3]] * 20, [texts[5:10]] * 20)
    oracle = Oracle(LongestText(), JudgementCache(), template, catalogue)
    assert torch.allclose(answers_permuted(oracle, asked, seed=3), oracle.answers(asked), atol=1e-5)
    shown = oracle.backend.shown
    assert shown[0] == texts[5:10] or shown[-1] == texts[5:10]
    assert any(row != texts[5:10] for row in shown)


def test_evaluation_others_by_popularity():
    weights = torch.tensor([0, 0, 5, 5, 1, 1, 0, 100])
    taken = torch.tensor([[7, 0], [2, 99]])  # 99 stands for a user
    generator = torch.Generator().manual_seed(0)
    drawn = torch.cat([draw_others_by(weights, taken, 2, generator) for _ in range(200)])
    first, second = drawn[::2], drawn[1::2]
    assert not (first == 7).any() and not (second == 2).any() and not (drawn == 0).any() and not (drawn == 6).any()
    assert (second == 7).any(1).float().mean() > 0.95
    assert (drawn[:, 0] != drawn[:, 1]).all()


def test_evaluation_intervals():
    right = torch.tensor([True] * 60 + [False] * 40)
    assert wilson(right) == pytest.approx([0.502, 0.691], abs=1e-3)  # the textbook's
    found = paired_interval(torch.tensor([1.0, 0.0] * 50))
    assert found["mean"] == 0.5 and found["low"] == pytest.approx(0.4, abs=0.02)
    assert paired_interval(torch.zeros(5)) == {"mean": 0.0, "low": 0.0, "high": 0.0}


def test_evaluation_report_has_its_costs_and_its_lead(evaluation, tmp_path):
    from ialp.diagnostics.oracle_view import draw_oracle

    floor = JudgeEvaluation(**{**evaluation.__dict__, "with_target": evaluation.with_target.flip(0), "judge": "floor"})
    report = OracleReport("hand", 7, evaluation, floor, price=2.0)
    numbers = report.numbers()
    assert numbers["judge"]["cost"]["tokens_per_judgement"] == 400
    assert numbers["judge"]["cost"]["price_per_1000"] == pytest.approx(0.8)
    assert numbers["picked_minus_floor"]["mean"] == 0.25 - float(
        (floor.picks(floor.with_target, True) == floor.answer).float().mean()
    )
    assert draw_oracle(report, numbers, tmp_path / "oracle.png").stat().st_size > 10_000
