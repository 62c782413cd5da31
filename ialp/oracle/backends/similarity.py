"""Judges that compare a candidate's text with the history's, without a language model's reading."""

import json
from abc import abstractmethod
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor, nn

from ialp.data.catalogue import Catalogue
from ialp.errors import UserError
from ialp.oracle.backends.base import ORACLE_FILE, JudgeBackend, LoRA, Tuner, find_oracle
from ialp.oracle.questions import Questions


class SimilarityJudge(JudgeBackend):
    """Scores a candidate by its mean cosine with the items of the history.

    The log-probabilities are a softmax over scale * score of the candidates and scale * none_threshold for None.
    A subclass says what an item's vector is, in `embed`.

    Args:
        none_threshold: None is picked when every candidate scores less, in cosine (-1 to 1).
        scale: How sure the judge is; it does not change the pick.
        adapter: A run folder of OracleTuning, whose threshold and scale replace the two.
    """

    reads_prompts = False

    def __init__(self, none_threshold: float, scale: float, adapter: str | None = None):
        self.none_threshold = none_threshold
        self.scale = scale
        self.adapter = adapter
        if adapter is not None:
            self.none_threshold, self.scale = read_calibration(find_oracle(adapter), type(self).__name__)
        self.catalogue: Catalogue | None = None
        self._rows: dict[str, int] = {}
        self._vectors: Any = csr_array((0, 0))

    @abstractmethod
    def embed(self, texts: list[str]) -> Any:
        """(I, D) vectors of the catalogue's texts, of length 1, or 0 for a text that says nothing: sparse or numpy."""

    def prepare(self, catalogue: Catalogue) -> None:
        """Embed the catalogue's texts."""
        if catalogue is not self.catalogue:
            self.catalogue = catalogue
            self._rows = {text: row for row, text in enumerate(catalogue.texts)}
            self._vectors = self.embed(catalogue.texts)

    def scores(self, questions: Questions) -> Tensor:
        """(B, K) mean cosine of every candidate with the items of its history; 0 for an empty history."""
        batch, num_candidates = len(questions), questions.num_candidates
        counts = np.array([len(items) for items in questions.history])
        shown = self._look_up(questions.history)
        weights = np.repeat(1 / np.maximum(counts, 1), counts).astype(np.float32)
        pick = csr_array((weights, shown, np.r_[0, counts.cumsum()]), shape=(batch, self._vectors.shape[0]))
        wanted = (pick @ self._vectors)[np.repeat(np.arange(batch), num_candidates)]  # (B·K, D)
        offered = self._vectors[self._look_up(questions.candidates)]
        product = wanted.multiply(offered) if hasattr(wanted, "multiply") else wanted * offered
        return torch.from_numpy(np.asarray(product.sum(1), np.float32)).view(batch, num_candidates)

    def log_probabilities(self, questions: Questions) -> Tensor:
        """(B, K + 1) of the labels, None's last."""
        return label_log_probabilities(self.scores(questions), torch.tensor(self.none_threshold), self.scale)

    def tuner(self, lora: LoRA) -> Tuner:
        """Fits threshold and scale; there are no layers for `lora` to adapt."""
        return SimilarityTuner(self)

    def tuned(self, folder: str | Path) -> Self:
        """With the threshold and scale that a run of OracleTuning found."""
        positional, named = self._arguments
        return type(self)(*positional, **{**named, "adapter": str(folder)})

    def _look_up(self, texts: list[list[str]]) -> np.ndarray:
        try:
            return np.array([self._rows[text] for row in texts for text in row], np.int64)
        except KeyError as error:
            raise ValueError(f"{error} is not a text of the catalogue that was prepared") from None


class SimilarityTuner(Tuner):
    """Two numbers to fit: the cosine below which None is right, and the scale."""

    LR_FACTOR = 50.0  # a learning rate for a network's weights would hardly move these two

    def __init__(self, judge: SimilarityJudge):
        super().__init__()
        self.judge = judge
        self.log_scale = nn.Parameter(torch.tensor(judge.scale).log())
        self.none_logit = nn.Parameter(torch.tensor(judge.none_threshold * judge.scale))

    def forward(self, questions: Questions, answer: Tensor) -> tuple[Tensor, Tensor]:
        """Cross-entropy over the labels, and their log-probabilities (B, K + 1)."""
        scale = self.log_scale.exp()
        scores = self.judge.scores(questions).to(answer.device)
        log_probabilities = label_log_probabilities(scores, self.none_logit / scale, scale)
        return nn.functional.nll_loss(log_probabilities, answer), log_probabilities

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Both numbers, at a higher rate and without decay."""
        return [{"params": list(self.parameters()), "lr": lr * self.LR_FACTOR, "weight_decay": 0.0}]

    def save(self, folder: Path) -> None:
        """Both numbers, in oracle.json."""
        scale = self.log_scale.exp().item()
        learnt = {"judge": type(self.judge).__name__, "none_threshold": self.none_logit.item() / scale, "scale": scale}
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ORACLE_FILE).write_text(json.dumps(learnt, indent=2) + "\n")


def label_log_probabilities(scores: Tensor, none_threshold: Tensor, scale: float | Tensor) -> Tensor:
    """(B, K + 1): softmax over scale * [scores (B, K), none_threshold]."""
    logits = torch.cat([scores, none_threshold.to(scores).expand(len(scores), 1)], dim=1) * scale
    return logits.log_softmax(1)


def read_calibration(folder: Path, judge: str) -> tuple[float, float]:
    """Threshold and scale that a tuning run of a judge of this class left in `folder`.

    Raises:
        UserError: It was another judge's.
    """
    path = folder / ORACLE_FILE
    learnt = json.loads(path.read_text()) if path.is_file() else {}
    if learnt.get("judge") != judge:
        raise UserError(f"{path}: tuned for {learnt.get('judge', 'another judge')}, not for {judge}; tune anew")
    return learnt["none_threshold"], learnt["scale"]
