import math

import pytest
import torch

from ialp.data import Catalogue
from ialp.data.text import text_embeddings, text_neighbours, tfidf, words


def test_text_words_ignore_case_and_punctuation():
    assert words("Don't STOP (Ｌive)") == ["don", "t", "stop", "live"]


def test_text_tfidf_by_hand():
    matrix = tfidf(["", "red lamp", "red red", "!!"])  # two texts with words; columns lamp, red
    lamp, red = math.log(3 / 2) + 1, 1.0
    norm = math.hypot(lamp, red)
    expected = [[0, 0], [lamp / norm, red / norm], [0, 1], [0, 0]]
    assert torch.allclose(torch.tensor(matrix.toarray()), torch.tensor(expected, dtype=torch.float32))


@pytest.fixture
def catalogue() -> Catalogue:
    titles = ["red lamp", "red lamp shade", "green chair", "green chair leg", "red table", "!?"]
    return Catalogue([str(i) for i in range(6)], {"title": titles})


def test_text_neighbours(catalogue):
    neighbours = text_neighbours(catalogue, 3)
    assert neighbours.shape == (7, 3) and neighbours[0].tolist() == [0, 0, 0]
    assert neighbours[1:5, 0].tolist() == [2, 1, 4, 3]
    assert neighbours[1, 1] == 5  # shares "red"
    assert all(item not in row and 0 not in row for item, row in enumerate(neighbours.tolist()) if item)
    with pytest.raises(ValueError, match="neighbours"):
        text_neighbours(catalogue, 6)


def test_text_embeddings_keep_the_cosines_of_the_texts(catalogue):
    embeddings = text_embeddings(catalogue, dim=1024, seed=0)
    assert embeddings.shape == (7, 1024) and embeddings.dtype == torch.float32
    assert torch.allclose(embeddings.norm(dim=1), torch.tensor([0.0, 1, 1, 1, 1, 1, 0]))
    matrix = tfidf(catalogue.texts).toarray()
    assert torch.allclose(embeddings @ embeddings.T, torch.from_numpy(matrix @ matrix.T), atol=0.12)
    assert torch.equal(embeddings, text_embeddings(catalogue, dim=1024, seed=0))
    assert not torch.equal(embeddings, text_embeddings(catalogue, dim=1024, seed=1))
