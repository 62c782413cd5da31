"""A judge that only matches words: tf-idf overlap of every candidate with the history."""

import hashlib
import json
from typing import Any

from ialp.data.text import tfidf
from ialp.oracle.backends.similarity import SimilarityJudge


class LexicalOracle(SimilarityJudge):
    """Scores a candidate by its mean tf-idf cosine with the items of the history.

    Args:
        none_threshold: None is picked when every candidate scores less, in cosine (0 to 1).
        scale: How sure the judge is; it does not change the pick.
        adapter: A run folder of OracleTuning, whose threshold and scale replace the two.
    """

    def __init__(self, none_threshold: float = 0.02, scale: float = 20.0, adapter: str | None = None):
        super().__init__(none_threshold, scale, adapter)

    @property
    def name(self) -> str:
        """What it does, for reports."""
        return "word overlap (tf-idf)"

    @property
    def fingerprint(self) -> str:
        """The idf is the catalogue's, so that it counts too."""
        if self.catalogue is None:
            raise RuntimeError("call prepare(catalogue) first")
        parts = [self.none_threshold, self.scale, self.catalogue.fingerprint, self.catalogue.max_words]
        return hashlib.sha256(json.dumps(["LexicalOracle", *parts]).encode()).hexdigest()

    def embed(self, texts: list[str]) -> Any:
        """(I, V) tf-idf."""
        return tfidf(texts)
