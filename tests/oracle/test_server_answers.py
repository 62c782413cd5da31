"""What is read from a server's reply, by hand."""

import math

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import ServerLM
from ialp.oracle.backends.server import Answer, read_answer

LABELS = ["a", "b", "c"]
HALF, QUARTER, EIGHTH = math.log(0.5), math.log(0.25), math.log(0.125)


def read(choice: dict) -> Answer:
    return read_answer(choice, LABELS)


def completion(**tokens: float | None) -> dict:
    return {"text": "x", "logprobs": {"top_logprobs": [tokens]}}


def chat(tokens: list[tuple[str, float]]) -> dict:
    tops = [{"token": token, "logprob": value} for token, value in tokens]
    return {"message": {"content": "a"}, "logprobs": {"content": [{**tops[0], "top_logprobs": tops}]}}


@pytest.mark.parametrize("text", ["a", " a", "a.", " a)", "a )", "a\n", "▁a", "Ġa", " a. "])
def test_server_answer_label_alone_is_a_label(text):
    assert read(completion(**{text: HALF})).mass == pytest.approx(0.5)


@pytest.mark.parametrize("text", ["", "A", "d", "ab", "a b", "a red river", "(a", "a,", "a..", "the", "a.b", "None"])
def test_server_answer_anything_else_is_none(text):
    assert read(completion(**{text: HALF})).mass == 0


def test_server_answer_probabilities_are_normalised_over_the_labels_in_both_formats():
    tokens = [(" b", HALF), (" a", QUARTER), (" c", EIGHTH), (" the", EIGHTH)]
    for choice in (completion(**dict(tokens)), chat(tokens)):
        answer = read(choice)
        assert answer.log_probabilities.exp().tolist() == pytest.approx([2 / 7, 4 / 7, 1 / 7])
        assert answer.mass == pytest.approx(0.875) and answer.missing == 0


def test_server_answer_token_with_and_without_space_is_one_label():
    choice = completion(**{" a": QUARTER, "a": EIGHTH, "a.": EIGHTH, " b": QUARTER, "c": EIGHTH, "x": EIGHTH})
    answer = read(choice)
    assert answer.log_probabilities.exp().tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7])


def test_server_answer_label_that_is_not_listed_gets_the_lowest_listed_probability():
    answer = read(completion(**{" a": HALF, " the": QUARTER, " I": EIGHTH}))
    assert answer.missing == 2 and answer.mass == pytest.approx(0.5)
    assert answer.log_probabilities.exp().tolist() == pytest.approx([4 / 6, 1 / 6, 1 / 6])


def test_server_answer_probability_of_one_and_of_zero():
    """Constrained servers give 0 for the only token that is allowed, and −9999, −∞ or null for the others."""
    for nothing in (-9999.0, -math.inf, None):
        answer = read(completion(**{" a": 0.0, " b": nothing, " the": nothing}))
        assert answer.log_probabilities.exp().tolist() == pytest.approx([1, 0, 0])
        assert torch.isfinite(answer.log_probabilities).all() and answer.mass == pytest.approx(1)


def test_server_answer_without_a_label_is_none_and_has_no_mass():
    answer = read(chat([("Surely", HALF), ("the", QUARTER)]))
    assert answer.mass == 0 and answer.log_probabilities.exp().tolist() == pytest.approx([1 / 6, 1 / 6, 4 / 6])


@pytest.mark.parametrize(
    "logprobs", [None, {}, {"content": [{"tok": 1}]}, {"top_logprobs": "yes"}, {"top_logprobs": [{" a": "high"}]}]
)
def test_server_answer_without_log_probabilities_is_refused(logprobs):
    with pytest.raises(UserError, match="no log-probabilities that can be read"):
        read({"text": " a", "logprobs": logprobs})


def body(prompt: str, labels: list[str], **arguments) -> dict:
    return ServerLM("m", "http://localhost/v1", **arguments).body(prompt, labels)


def test_server_answer_request_bodies():
    expected = {"model": "m", "temperature": 0.0, "max_tokens": 1, "prompt": "prompt é", "logprobs": 20}
    assert body("prompt é", LABELS) == expected
    chat = body("prompt", LABELS, api="chat", top_logprobs=5, extra_body={"top_p": 0.9})
    [message] = chat.pop("messages")
    assert chat == {"model": "m", "temperature": 0, "max_tokens": 1, "logprobs": True, "top_logprobs": 5, "top_p": 0.9}
    assert message["content"].endswith("Answer with one letter from a to c and nothing else.")
