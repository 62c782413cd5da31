"""The word-overlap judge."""

import json

import pytest
import torch

from ialp.data import Catalogue
from ialp.data.text import tfidf
from ialp.errors import UserError
from ialp.oracle import LexicalOracle, LoRA, Questions


@pytest.fixture
def judge(catalogue) -> LexicalOracle:
    judge = LexicalOracle(none_threshold=0.1, scale=10.0)
    judge.prepare(catalogue)
    return judge


def ask(template, catalogue, history: list[list[int]], candidates: list[list[int]]) -> Questions:
    texts = catalogue.texts
    return Questions(
        template, [[texts[i] for i in row] for row in history], [[texts[i] for i in row] for row in candidates]
    )


def test_lexical_oracle_scores_are_the_mean_cosine(judge, template, catalogue):
    history, candidates = [[1, 2, 9], [20]], [[3, 30, 9], [21, 40, 1]]
    scores = judge.scores(ask(template, catalogue, history, candidates))
    dense = torch.from_numpy(tfidf(catalogue.texts).toarray())
    expected = torch.stack([dense[c] @ dense[h].mean(0) for h, c in zip(history, candidates, strict=True)])
    assert torch.allclose(scores, expected, atol=1e-6)


def test_lexical_oracle_candidate_of_the_same_artist_wins(judge, template, catalogue):
    log_probabilities = judge.log_probabilities(ask(template, catalogue, [[1, 2]], [[20, 30, 5, 40]]))
    assert log_probabilities.argmax(1).tolist() == [2]
    assert log_probabilities.shape == (1, 5)
    assert torch.allclose(log_probabilities.exp().sum(1), torch.ones(1))


def test_lexical_oracle_none_wins_where_nothing_matches(judge, template):
    strangers = Catalogue(["x", "y", "z"], {"title": ["alpha", "beta", "gamma"]})
    judge.prepare(strangers)
    assert judge.log_probabilities(ask(template, strangers, [[1], []], [[2, 3], [2, 3]])).argmax(1).tolist() == [2, 2]


def test_lexical_oracle_softmax_over_scores_and_threshold(judge, template, catalogue):
    questions = ask(template, catalogue, [[1, 2]], [[20, 5]])
    scores = judge.scores(questions)
    expected = torch.cat([scores * 10, torch.tensor([[1.0]])], dim=1).log_softmax(1)
    assert torch.allclose(judge.log_probabilities(questions), expected)


def test_lexical_oracle_text_from_elsewhere_is_refused(judge, template):
    with pytest.raises(ValueError, match="'moon' is not a text of the catalogue"):
        judge.scores(Questions(template, [["moon"]], [["red river; the red band"]]))


def test_lexical_oracle_tuning_finds_the_threshold(judge, template, catalogue, tmp_path):
    """Half of the questions hold a track of the artist, half nothing alike: both are to be told apart."""
    judge.none_threshold = 3.0  # says None to everything
    questions = ask(template, catalogue, [[1, 2]] * 2, [[20, 30, 5], [20, 30, 40]])
    answer = torch.tensor([2, 3])
    tuner = judge.tuner(LoRA())
    optimizer = torch.optim.Adam(tuner.parameter_groups(1e-3))
    first = tuner(questions, answer)[0].item()
    for _ in range(100):
        loss, _ = tuner(questions, answer)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < first / 2
    tuner.save(tmp_path / "oracle")
    tuned = judge.tuned(tmp_path)
    tuned.prepare(catalogue)
    assert tuned.log_probabilities(questions).argmax(1).tolist() == [2, 3]
    assert torch.allclose(tuned.log_probabilities(questions), tuner(questions, answer)[1], atol=1e-5)
    assert tuned.fingerprint != judge.fingerprint


def test_lexical_oracle_adapter_of_another_judge_is_refused(tmp_path):
    (tmp_path / "oracle").mkdir()
    (tmp_path / "oracle" / "oracle.json").write_text(json.dumps({"judge": "LocalLM"}))
    with pytest.raises(UserError, match=r"oracle\.json: tuned for LocalLM, not for LexicalOracle"):
        LexicalOracle().tuned(tmp_path)
    with pytest.raises(UserError, match=r"no oracle\.json there"):
        LexicalOracle(adapter=str(tmp_path / "elsewhere"))


def test_lexical_oracle_fingerprint_covers_catalogue_and_numbers(judge, catalogue):
    other = LexicalOracle(none_threshold=0.2, scale=10.0)
    with pytest.raises(RuntimeError, match="prepare"):
        _ = other.fingerprint
    other.prepare(catalogue)
    assert other.fingerprint != judge.fingerprint
