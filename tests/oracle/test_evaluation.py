"""The figures of an evaluation, against answers written by hand."""

import pytest
import torch

from ialp.oracle.evaluation import JudgeEvaluation


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
    )


def test_evaluation_figures_are_shares_of_the_questions(evaluation):
    figures = evaluation.figures(none_threshold=0.35)
    assert figures["picked"] == 0.5  # the first and the third
    assert figures["ranked_first"] == 0.75
    assert figures["picked_calibrated"] == 0.25  # the third is None now
    assert (figures["none_with"], figures["none_without"]) == (0.25, 0.5)
    assert figures["none_precision"] == pytest.approx(2 / 3, abs=1e-4)
    assert figures["none_recall"] == 0.5
    assert figures["none_precision_calibrated"] == 0.5 and figures["none_recall_calibrated"] == 0.5
    assert figures["labels"] == {"a": 1 / 8, "b": 4 / 8, "c": 3 / 8}


def test_evaluation_calibration_error_is_the_distance_of_confidence_from_accuracy(evaluation):
    """Confidences 0.7 (right) and 0.7 (wrong), 0.5 (right), 0.6 (wrong): 2 · |0.7 - 0.5|, 0.5 and 0.6, over four."""
    assert evaluation.figures()["calibration_error"] == pytest.approx((0.4 + 0.5 + 0.6) / 4, abs=1e-3)
