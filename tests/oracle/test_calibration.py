"""The threshold for None, against cases worked out by hand."""

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle.calibration import NoneCalibration, fit_none, pick_calibrated


def answers(*rows: list[float]) -> torch.Tensor:
    return torch.tensor(rows).log()


HELD = answers([0.7, 0.2, 0.1], [0.4, 0.1, 0.5], [0.3, 0.4, 0.3])  # the true item is the first: right, right, wrong
BARE = answers([0.2, 0.2, 0.6], [0.3, 0.1, 0.6], [0.55, 0.4, 0.05])
TRUE = torch.tensor([0, 0, 0])


def test_none_calibration_threshold_lies_between_what_should_be_told_apart():
    fitted = fit_none(HELD, BARE, TRUE, none_share=0.5)
    assert 0.5 < fitted.threshold < 0.6  # None for two of the three without, for none of those with the item
    assert fitted.right == pytest.approx(0.5 * 2 / 3 + 0.5 * 2 / 3)
    assert fitted.right_argmax == pytest.approx(0.5 * 1 / 3 + 0.5 * 2 / 3)


def test_none_calibration_judge_whose_none_means_nothing_never_says_it():
    upside_down = fit_none(answers([0.4, 0.1, 0.5]), answers([0.7, 0.2, 0.1]), TRUE[:1], none_share=0.1)
    assert upside_down.threshold > 1
    assert upside_down.right == pytest.approx(0.9)


def test_none_calibration_none_always_where_nearly_all_questions_have_no_answer():
    fitted = fit_none(HELD, BARE, TRUE, none_share=0.99)
    assert fitted.threshold <= 0.05 + 1e-6
    assert (pick_calibrated(BARE, BARE, fitted.threshold) == 2).all()


def test_none_calibration_below_the_threshold_the_best_candidate_is_picked():
    assert pick_calibrated(HELD, HELD, 0.55).tolist() == [0, 0, 1]
    assert pick_calibrated(HELD, HELD, 0.45).tolist() == [0, 2, 1]


def test_none_calibration_it_is_saved_and_read(tmp_path):
    (tmp_path / "oracle").mkdir()
    (tmp_path / "oracle" / "oracle.json").write_text("{}")
    with pytest.raises(UserError, match=r"calibration\.json: no calibration of None"):
        NoneCalibration.load(tmp_path)
    fitted = fit_none(HELD, BARE, TRUE, 0.1)
    fitted.save(tmp_path / "oracle")
    assert NoneCalibration.load(tmp_path) == fitted
