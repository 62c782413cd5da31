"""The built-in judge: its size and loading, its tokenizer, its training questions and its hand-written start."""

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ialp.oracle.builtin import MODEL_FOLDER
from ialp.oracle.prompt import LABELS
from tools.builtin_judge.circuit import build_model
from tools.builtin_judge.questions import draw_question, draw_template
from tools.builtin_judge.tokens import label_ids, mark_ids
from tools.builtin_judge.train import Batch, batches, chunk


@pytest.fixture(scope="module")
def tokenizer():
    return AutoTokenizer.from_pretrained(MODEL_FOLDER)


def right_answers(model, tokenizer, number: int) -> float:
    """Share of generated questions, with the whole instruction, that the model answers right."""
    rng, labels, right = random.Random(1234), label_ids(tokenizer), 0
    for _ in range(number):
        question = draw_question(rng)
        prompt = tokenizer(draw_template(rng).render(question.history, question.candidates), return_tensors="pt")
        with torch.no_grad():
            logits = model(input_ids=prompt["input_ids"], logits_to_keep=1).logits[0, -1, labels]
        right += int(logits.argmax()) == question.answer
    return right / number


def test_builtin_judge_committed_model_is_small_and_judges(tokenizer):
    model = AutoModelForCausalLM.from_pretrained(MODEL_FOLDER)
    assert model.config.model_type == "mistral" and model.dtype == torch.float32
    assert sum(weight.numel() for weight in model.parameters()) <= 3_000_000
    assert sum(path.stat().st_size for path in Path(MODEL_FOLDER).iterdir()) <= 12_000_000
    assert right_answers(model, tokenizer, 40) > 0.6


def test_builtin_judge_hand_written_start_already_judges(tokenizer):
    assert right_answers(build_model(tokenizer, seed=0), tokenizer, 40) > 0.4


def test_builtin_judge_every_label_is_one_token_of_its_own(tokenizer):
    prefix = draw_template(random.Random(0)).render(["x; y"], ["z"])
    ids = label_ids(tokenizer, prefix)
    assert len(set(ids)) == len(LABELS)
    assert ids == label_ids(tokenizer)


@pytest.mark.parametrize("text", ["Лето", "初音ミク", "Tū ♡｡✧|3ㄴ¥", "a\x00b", "🎵"])
def test_builtin_judge_any_text_is_tokens_without_an_unknown_one(tokenizer, text):
    ids = tokenizer.encode(text)
    assert ids and tokenizer.pad_token_id not in ids


def test_builtin_judge_case_accents_and_brackets_make_no_difference(tokenizer):
    assert tokenizer.encode(" BEYONCÉ Live") == tokenizer.encode(" beyonce live")
    assert tokenizer.encode(" (Live")[-1] == tokenizer.encode(" live")[-1]


def test_builtin_judge_questions_are_fresh_and_repeatable():
    first, again, other = (draw_question(random.Random(seed)) for seed in (7, 7, 8))
    assert first == again != other


def test_builtin_judge_true_candidate_shares_text_with_the_history():
    rng, shared, others = random.Random(3), [], []
    for _ in range(300):
        question = draw_question(rng)
        known = set(" ".join(question.history).lower().replace(";", "").split())
        for index, text in enumerate(question.candidates):
            overlap = len(known & set(text.lower().replace(";", "").split()))
            (shared if index == question.answer else others).append(overlap)
    assert sum(shared) / len(shared) > 2 * sum(others) / len(others)


def test_builtin_judge_batches_know_where_candidates_end(tokenizer):
    stream = batches(tokenizer, random.Random(0), full_share=0.5)
    batch = next(stream)
    assert isinstance(batch, Batch) and batch.tokens.numel() <= 4000
    marks = mark_ids(tokenizer)[1]
    for row in range(len(batch.tokens)):
        for candidate in range(int(batch.number[row])):
            assert int(batch.tokens[row, batch.ends[row, candidate]]) in marks[candidate + 1]
    assert (batch.answer <= batch.number).all()


def test_builtin_judge_chunks_hold_every_index_once():
    lengths = [random.Random(0).randint(50, 900) for _ in range(100)]
    chunks = chunk(lengths)
    assert sorted(index for part in chunks for index in part) == list(range(100))
    assert all(len(part) * max(lengths[index] for index in part) <= 4000 for part in chunks)
