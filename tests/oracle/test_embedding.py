"""A judge on sentence embeddings, with a small model of the test's own."""

from pathlib import Path

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import EmbeddingOracle, LexicalOracle, Questions, load_judge

pytest.importorskip("sentence_transformers", reason="the extra `embedding` is not installed")


@pytest.fixture(scope="module")
def model(tmp_path_factory, catalogue) -> str:
    """Static embeddings of the catalogue's words, at random."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer, models, pre_tokenizers

    words = sorted({word for text in catalogue.texts for word in text.replace(";", " ").split()})
    tokenizer = Tokenizer(models.WordLevel({word: place for place, word in enumerate(["?", *words])}, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    weights = torch.randn(len(words) + 1, 16, generator=torch.Generator().manual_seed(0))
    folder = tmp_path_factory.mktemp("static") / "model"
    SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_weights=weights.numpy())]).save(str(folder))
    return str(folder)


def asked(catalogue, template) -> Questions:
    texts = catalogue.texts
    return Questions(
        template, [texts[1:4], [], texts[7:8]], [texts[4:7], texts[10:13], [texts[8], texts[20], texts[9]]]
    )


def test_embedding_oracle_scores_are_mean_cosines(model, catalogue, template):
    from sentence_transformers import SentenceTransformer

    judge = EmbeddingOracle(model, none_threshold=0.1, scale=5.0)
    judge.prepare(catalogue)
    questions = asked(catalogue, template)
    vectors = SentenceTransformer(model)
    for row, (history, offered) in enumerate(zip(questions.history, questions.candidates, strict=True)):
        mine = judge.scores(questions)[row]
        if not history:
            assert mine.tolist() == [0.0] * 3
            continue
        cosines = torch.nn.functional.cosine_similarity(
            torch.tensor(vectors.encode(offered))[:, None], torch.tensor(vectors.encode(history))[None], dim=2
        )
        assert torch.allclose(mine, cosines.mean(1), atol=1e-5)
    answers = judge.log_probabilities(questions)
    expected = torch.cat([judge.scores(questions), torch.full((3, 1), 0.1)], dim=1) * 5
    assert torch.allclose(answers, expected.log_softmax(1), atol=1e-5)


def test_embedding_oracle_it_is_tuned_saved_and_loaded(model, catalogue, template, tmp_path):
    judge = EmbeddingOracle(model, scale=3.0)
    judge.prepare(catalogue)
    tuner = judge.tuner(None)
    with torch.no_grad():
        tuner.none_logit.fill_(2.0)
    tuner.save(tmp_path / "oracle")
    tuned = judge.tuned(tmp_path)
    tuned.prepare(catalogue)
    assert (tuned.model, tuned.device) == (model, judge.device)
    assert tuned.none_threshold * tuned.scale == pytest.approx(2.0) and tuned.scale == pytest.approx(3.0)
    assert tuned.fingerprint != judge.fingerprint
    with pytest.raises(UserError, match="tuned for EmbeddingOracle, not for LexicalOracle"):
        LexicalOracle().tuned(tmp_path)


def test_embedding_oracle_fingerprint_covers_every_file(model, catalogue, tmp_path):
    import shutil

    copy = Path(shutil.copytree(model, tmp_path / "copy"))
    first, second = EmbeddingOracle(model), EmbeddingOracle(str(copy))
    for judge in (first, second):
        judge.prepare(catalogue)
    assert first.fingerprint == second.fingerprint
    nested = copy / "1_Pooling"
    nested.mkdir()
    (nested / "config.json").write_text("{}")
    changed = EmbeddingOracle(str(copy))
    changed.catalogue = catalogue
    assert changed.fingerprint != first.fingerprint


def test_embedding_oracle_mistakes_are_named(catalogue, tmp_path, monkeypatch):
    (tmp_path / "modules.json").write_text("no json")
    judge = load_judge({"class_path": "ialp.oracle.EmbeddingOracle", "init_args": {"model": str(tmp_path)}})
    with pytest.raises(UserError, match="no sentence-transformers model loads from it"):
        judge.prepare(catalogue)
    monkeypatch.setitem(__import__("sys").modules, "sentence_transformers", None)
    with pytest.raises(UserError, match=r"pip install 'ialp\[embedding\]'"):
        EmbeddingOracle("x").prepare(catalogue)
