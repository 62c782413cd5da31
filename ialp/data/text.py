"""Text features of a catalogue: tf-idf, its neighbours, and embeddings made from it."""

import re
import unicodedata
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from ialp.data.catalogue import Catalogue

if TYPE_CHECKING:
    from scipy.sparse import csr_array  # imported where it is used: ialp.data loads quickly

WORD = re.compile(r"\w+")
BLOCK = 512  # rows of the dense similarity matrix at a time: 9,000 items take 18 MB of it, not 320


def words(text: str) -> list[str]:
    """Words of a text, without case and punctuation."""
    return WORD.findall(unicodedata.normalize("NFKC", text).casefold())


def tfidf(texts: list[str]) -> "csr_array":
    """(I, V) float32 tf-idf of the texts, rows L2-normalised; a text without words is a row of zeros.

    idf = ln((1 + n) / (1 + df)) + 1, over the n texts that have words.
    """
    from scipy.sparse import csr_array

    counts = [Counter(words(text)) for text in texts]
    vocabulary = {word: column for column, word in enumerate(sorted(set().union(*counts)))}
    rows = np.repeat(np.arange(len(texts)), [len(count) for count in counts])
    columns = np.fromiter((vocabulary[word] for count in counts for word in count), np.int64, len(rows))
    values = np.fromiter((n for count in counts for n in count.values()), np.float64, len(rows))
    document_frequency = np.bincount(columns, minlength=len(vocabulary))
    idf = np.log((1 + sum(map(bool, counts))) / (1 + document_frequency)) + 1
    values = values * idf[columns]
    norm = np.sqrt(np.bincount(rows, values**2, minlength=len(texts)))
    shape = (len(texts), len(vocabulary))
    return csr_array(((values / norm[rows]).astype(np.float32), (rows, columns)), shape=shape)


def text_embeddings(catalogue: Catalogue, dim: int, seed: int = 0) -> Tensor:
    """(I, dim) float32: random projection of the tf-idf, rows L2-normalised; items without words are zero.

    Dot products come out as the cosines of the tf-idf, give or take 1 / sqrt(dim) (Johnson and Lindenstrauss). A
    truncated SVD of the same width keeps the words that many items share and loses the names that few do, and these
    say who made a track.
    """
    matrix = tfidf(catalogue.texts)
    word_vectors = np.random.default_rng(seed).standard_normal((matrix.shape[1], dim), np.float32)
    return torch.nn.functional.normalize(torch.from_numpy(matrix @ word_vectors), dim=1)


def text_neighbours(catalogue: Catalogue, k: int) -> Tensor:
    """(I, k) int64: the k textually most similar other items of every item, best first; row 0 is padding.

    Raises:
        ValueError: Fewer than k other items.
    """
    if not 0 < k < catalogue.num_items:
        raise ValueError(f"k is {k}: {catalogue.num_items} items have 1 … {catalogue.num_items - 1} neighbours")
    matrix = tfidf(catalogue.texts)
    neighbours = torch.zeros(catalogue.num_items + 1, k, dtype=torch.int64)
    for start in range(0, len(neighbours), BLOCK):
        similarity = torch.from_numpy((matrix[start : start + BLOCK] @ matrix.T).toarray())  # (block, I)
        similarity[:, 0] = -1
        similarity[torch.arange(len(similarity)), torch.arange(start, start + len(similarity))] = -1
        neighbours[start : start + BLOCK] = similarity.topk(k).indices
    neighbours[0] = 0
    return neighbours
