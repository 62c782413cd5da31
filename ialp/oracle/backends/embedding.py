"""A judge that compares meanings: a sentence embedding of every candidate with those of the history."""

import hashlib
import json
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from ialp.errors import UserError
from ialp.oracle.backends.loading import BLOCK, first_line, identity, pick_device
from ialp.oracle.backends.similarity import SimilarityJudge


class EmbeddingOracle(SimilarityJudge):
    """Scores a candidate by its mean cosine with the items of the history, as a sentence-transformers model sees them.

    The catalogue is embedded once, when the judge first sees it.

    Args:
        model: A folder of sentence-transformers, or a model of the hub.
        none_threshold: None is picked when every candidate scores less, in cosine (-1 to 1); OracleTuning fits it.
        scale: How sure the judge is; it does not change the pick.
        adapter: A run folder of OracleTuning, whose threshold and scale replace the two.
        batch_size: Texts per forward pass.
        device: "cpu", "cuda", or "auto": the GPU where there is one.
    """

    def __init__(
        self,
        model: str,
        none_threshold: float = 0.2,
        scale: float = 20.0,
        adapter: str | None = None,
        batch_size: int = 64,
        device: str = "auto",
    ):
        super().__init__(none_threshold, scale, adapter)
        self.model = model
        self.batch_size = batch_size
        self.device = device

    @property
    def name(self) -> str:
        """The model, for reports."""
        return f"{self.model} (embeddings{', tuned' if self.adapter else ''})"

    @property
    def fingerprint(self) -> str:
        """Of the model's files, the catalogue's texts, and the two numbers."""
        if self.catalogue is None:
            raise RuntimeError("call prepare(catalogue) first")
        parts = [self._identity, self.none_threshold, self.scale, self.catalogue.fingerprint, self.catalogue.max_words]
        return hashlib.sha256(json.dumps(["EmbeddingOracle", *parts]).encode()).hexdigest()

    def embed(self, texts: list[str]) -> Any:
        """(I, D) float32 embeddings of length 1; an empty text is a row of zeros.

        Raises:
            UserError: The package is missing, or no model loads.
        """
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
        options: dict[str, Any] = {
            "batch_size": self.batch_size,
            "normalize_embeddings": True,
            "show_progress_bar": False,
        }
        vectors = np.asarray(network.encode(texts, **options), np.float32)
        return vectors * np.array([bool(text) for text in texts], np.float32)[:, None]

    @cached_property
    def _identity(self) -> str:
        """A hash of the folder's files, those in its subfolders too, or of the hub's commit."""
        folder = Path(self.model)
        if not folder.is_dir():
            return identity(self.model)
        digest = hashlib.sha256()
        for path in sorted(each for each in folder.rglob("*") if each.is_file()):
            digest.update(str(path.relative_to(folder)).encode())
            with path.open("rb") as file:
                while block := file.read(BLOCK):
                    digest.update(block)
        return digest.hexdigest()
