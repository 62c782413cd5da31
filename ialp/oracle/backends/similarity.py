"""Judges that compare a candidate's text with the history's: by words, or by sentence embeddings."""

import json
from abc import abstractmethod
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from typing_extensions import override

from ialp.data.catalogue import Catalogue
from ialp.data.text import tfidf
from ialp.errors import UserError
from ialp.oracle.backends.base import ORACLE_FILE, JudgeBackend, LoRA, Tuner, find_oracle, hash_of, save_about
from ialp.oracle.backends.loading import first_line, identity, pick_device
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

    def __init__(self, none_threshold: float, scale: float, adapter: str | None = None):
        self.none_threshold, self.scale, self.adapter = none_threshold, scale, adapter
        if adapter is not None:
            path = find_oracle(adapter) / ORACLE_FILE
            learnt = json.loads(path.read_text()) if path.is_file() else {}
            if learnt.get("judge") != type(self).__name__:
                tuned = learnt.get("judge", "another judge")
                raise UserError(f"{path}: tuned for {tuned}, not for {type(self).__name__}; tune anew")
            self.none_threshold, self.scale = learnt["none_threshold"], learnt["scale"]
        self.catalogue: Catalogue | None = None
        self._rows: dict[str, int] = {}
        self._vectors: Any = None

    @abstractmethod
    def embed(self, texts: list[str]) -> Any:
        """(I, D) vectors of the catalogue's texts, of length 1, or 0 for a text that says nothing: sparse or numpy."""

    @property
    def model_identity(self) -> str | None:
        """What tells the maker of the vectors from others of the same class."""

    @property
    @override
    def fingerprint(self) -> str:
        if self.catalogue is None:
            raise RuntimeError("call prepare(catalogue) first")
        numbers = self.none_threshold, self.scale
        texts = self.catalogue.fingerprint, self.catalogue.max_words
        return hash_of(type(self).__name__, self.model_identity, *numbers, *texts)

    @override
    def prepare(self, catalogue: Catalogue) -> None:
        if catalogue is not self.catalogue:
            self.catalogue = catalogue
            self._rows = {text: row for row, text in enumerate(catalogue.texts)}
            self._vectors = self.embed(catalogue.texts)

    def scores(self, questions: Questions) -> Tensor:
        """(B, K) mean cosine of every candidate with the items of its history; 0 for an empty history."""
        from scipy.sparse import csr_array

        batch, num_candidates = len(questions), questions.num_candidates
        counts = np.array([len(items) for items in questions.history])
        shown = self._look_up(questions.history)
        weights = np.repeat(1 / np.maximum(counts, 1), counts).astype(np.float32)
        pick = csr_array((weights, shown, np.r_[0, counts.cumsum()]), shape=(batch, self._vectors.shape[0]))
        wanted = (pick @ self._vectors)[np.repeat(np.arange(batch), num_candidates)]  # (B·K, D)
        offered = self._vectors[self._look_up(questions.candidates)]
        product = wanted.multiply(offered) if hasattr(wanted, "multiply") else wanted * offered
        return torch.from_numpy(np.asarray(product.sum(1), np.float32)).view(batch, num_candidates)

    @override
    def log_probabilities(self, questions: Questions) -> Tensor:
        return label_log_probabilities(self.scores(questions), torch.tensor(self.none_threshold), self.scale)

    @override
    def tuner(self, lora: LoRA) -> Tuner:
        return SimilarityTuner(self)

    def _look_up(self, texts: list[list[str]]) -> np.ndarray:
        try:
            return np.array([self._rows[text] for row in texts for text in row], np.int64)
        except KeyError as error:
            raise ValueError(f"{error} is not a text of the catalogue that was prepared") from None


class LexicalOracle(SimilarityJudge):
    """Scores a candidate by its mean tf-idf cosine with the items of the history.

    Arguments are those of `SimilarityJudge`.
    """

    def __init__(self, none_threshold: float = 0.02, scale: float = 20.0, adapter: str | None = None):
        super().__init__(none_threshold, scale, adapter)

    @property
    @override
    def name(self) -> str:
        return "word overlap (tf-idf)"

    @override
    def embed(self, texts: list[str]) -> Any:
        return tfidf(texts)


class EmbeddingOracle(SimilarityJudge):
    """Scores a candidate by its mean cosine with the items of the history, as a sentence-transformers model sees them.

    The catalogue is embedded once, when the judge first sees it.

    Args:
        model: A folder of sentence-transformers, or a model of the hub.
        none_threshold, scale, adapter: As of `SimilarityJudge`.
        device: "cpu", "cuda", or "auto": the GPU where there is one.
    """

    def __init__(
        self,
        model: str,
        none_threshold: float = 0.2,
        scale: float = 20.0,
        adapter: str | None = None,
        device: str = "auto",
    ):
        super().__init__(none_threshold, scale, adapter)
        self.model, self.device = model, device

    @property
    @override
    def name(self) -> str:
        return f"{self.model} (embeddings{', tuned' if self.adapter else ''})"

    @cached_property
    @override
    def model_identity(self) -> str:
        return identity(self.model)

    @override
    def embed(self, texts: list[str]) -> Any:
        try:
            from sentence_transformers import SentenceTransformer
        except ImportError:
            raise UserError("EmbeddingOracle needs sentence-transformers: pip install 'ialp[embedding]'") from None
        try:
            network = SentenceTransformer(self.model, device=pick_device(self.device))
        except Exception as error:  # the package raises whatever its parts do
            raise UserError(
                f"judge {self.model}: no sentence-transformers model loads from it ({first_line(error)}); "
                "name a folder or a model of the hub"
            ) from error
        options: dict[str, Any] = {"normalize_embeddings": True, "show_progress_bar": False}
        vectors = np.asarray(network.encode(texts, **options), np.float32)
        return vectors * np.array([bool(text) for text in texts], np.float32)[:, None]


class SimilarityTuner(Tuner):
    """Two numbers to fit: the cosine below which None is right, and the scale."""

    LR_FACTOR = 50.0  # a learning rate for a network's weights would hardly move these two

    def __init__(self, judge: SimilarityJudge):
        super().__init__()
        self.judge = judge
        self.log_scale = nn.Parameter(torch.tensor(judge.scale).log())
        self.none_logit = nn.Parameter(torch.tensor(judge.none_threshold * judge.scale))

    @override
    def forward(self, questions: Questions, answer: Tensor) -> tuple[Tensor, Tensor]:
        scale = self.log_scale.exp()
        scores = self.judge.scores(questions).to(answer.device)
        log_probabilities = label_log_probabilities(scores, self.none_logit / scale, scale)
        return nn.functional.nll_loss(log_probabilities, answer), log_probabilities

    @override
    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        return [{"params": list(self.parameters()), "lr": lr * self.LR_FACTOR, "weight_decay": 0.0}]

    @override
    def save(self, folder: Path) -> None:
        scale = self.log_scale.exp().item()
        learnt = {"judge": type(self.judge).__name__, "none_threshold": self.none_logit.item() / scale, "scale": scale}
        save_about(folder, learnt)


def label_log_probabilities(scores: Tensor, none_threshold: Tensor, scale: float | Tensor) -> Tensor:
    """(B, K + 1): softmax over scale * [scores (B, K), none_threshold]."""
    logits = torch.cat([scores, none_threshold.to(scores).expand(len(scores), 1)], dim=1) * scale
    return logits.log_softmax(1)
