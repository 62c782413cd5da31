"""From ids to prompts."""

import torch

from ialp.oracle.questions import Questions, latest


def test_questions_latest_items_of_a_padded_history():
    history = torch.tensor([[1, 2, 3, 4, 5], [6, 7, 0, 0, 0], [0, 0, 0, 0, 0]])
    recent, kept = latest(history, torch.tensor([5, 2, 0]), 3)
    assert recent.tolist() == [[3, 4, 5], [6, 7, 0], [0, 0, 0]]
    assert kept.tolist() == [3, 2, 0]


def test_questions_hold_the_texts_of_the_latest_items(catalogue, template):
    history = torch.tensor([[1, 2, 3, 4, 5, 6], [7, 0, 0, 0, 0, 0]])
    questions = Questions.from_items(
        template, catalogue.texts, history, torch.tensor([6, 1]), torch.tensor([[10, 11], [12, 13]])
    )
    texts = catalogue.texts
    assert questions.history == [texts[3:7], [texts[7]]]
    assert questions.candidates == [[texts[10], texts[11]], [texts[12], texts[13]]]
    assert questions.labels == ["a", "b", "c"]
    assert questions.prompts[1] == template.render([texts[7]], [texts[12], texts[13]])


def test_questions_selected_questions_keep_their_prompts(catalogue, template):
    texts = catalogue.texts
    questions = Questions(template, [[texts[1]], [texts[2]], [texts[3]]], [[texts[4]], [texts[5]], [texts[6]]])
    prompts = questions.prompts
    assert questions.select([2, 0]).prompts == [prompts[2], prompts[0]]
    assert len(questions.select([])) == 0
