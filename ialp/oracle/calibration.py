"""A threshold on the probability of None, fitted on interactions whose answer is known."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ialp.errors import UserError
from ialp.oracle.backends.base import find_oracle

CALIBRATION_FILE = "calibration.json"


@dataclass
class NoneCalibration:
    """The threshold, and what it brings on the questions that it was fitted on."""

    threshold: float  # None is picked where its probability reaches it; above 1, never
    none_share: float  # of questions whose answer is None, as it was fitted for
    right: float  # share of right answers with the threshold
    right_argmax: float  # share of right answers where None is picked only as the most probable label

    def save(self, folder: Path) -> None:
        """Into the folder of a tuned judge."""
        (folder / CALIBRATION_FILE).write_text(json.dumps(asdict(self), indent=2) + "\n")

    @classmethod
    def load(cls, folder: str | Path) -> "NoneCalibration":
        """From a run folder of OracleTuning.

        Raises:
            UserError: It holds none, or it cannot be read.
        """
        path = find_oracle(folder) / CALIBRATION_FILE
        try:
            return cls(**json.loads(path.read_text()))
        except (OSError, ValueError, TypeError) as error:
            raise UserError(
                f"{path}: no calibration of None to be read ({error}); run the oracle stage anew, or set none: argmax"
            ) from None


def pick_calibrated(log_probabilities: Tensor, scores: Tensor, threshold: float) -> Tensor:
    """(B,) K where the probability of None reaches the threshold, else the candidate with the highest of `scores`.

    Both are (B, K + 1), None last.
    """
    none = log_probabilities[:, -1].exp() >= threshold
    return torch.where(none, scores.shape[1] - 1, scores[:, :-1].argmax(1))


def fit_none(with_target: Tensor, without_target: Tensor, answer: Tensor, none_share: float) -> NoneCalibration:
    """The threshold with the most right answers, if a share `none_share` of questions has None as theirs.

    with_target (n, K + 1) are log-probabilities of questions that hold the true item, at answer (n,); without_target
    (m, K + 1) those of questions that do not.
    """
    best_is_true = with_target[:, :-1].argmax(1) == answer
    none_with, none_without = with_target[:, -1].exp().double(), without_target[:, -1].exp().double()
    known = torch.cat([none_with, none_without]).unique()
    cuts = torch.cat([known, torch.tensor([1.5], dtype=known.dtype)])  # (C,), the last is never reached
    right_with = ((none_with < cuts[:, None]) & best_is_true).double().mean(1)
    right_without = (none_without >= cuts[:, None]).double().mean(1)
    right = (1 - none_share) * right_with + none_share * right_without
    best = int(right.argmax())
    # Between two observed probabilities any cut does as well; the middle errs least on new questions.
    below = cuts[best - 1] if best else cuts[best]
    threshold = float(1.5 if best == len(known) else (below + cuts[best]) / 2)
    plain_with = float((with_target.argmax(1) == answer).double().mean())
    plain_without = float((without_target.argmax(1) == without_target.shape[1] - 1).double().mean())
    plain = (1 - none_share) * plain_with + none_share * plain_without
    return NoneCalibration(threshold, none_share, float(right[best]), plain)
