"""What is read from a server's reply, by hand."""

import math

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import ServerLM
from ialp.oracle.backends.server.answers import (
    Answer,
    BrokenReply,
    InvalidAnswer,
    from_samples,
    label_of,
    read_log_probabilities,
    text_of,
)
from tests.helpers.asking import grouped

LABELS = ["a", "b", "c"]
HALF, QUARTER, EIGHTH = math.log(0.5), math.log(0.25), math.log(0.125)


def read(choice: dict) -> Answer:
    return read_log_probabilities([choice], LABELS)


def completion(**tokens: float | None) -> dict:
    return {"text": "x", "logprobs": {"top_logprobs": [tokens]}}


def chat(tokens: list[tuple[str, float]], said: str = "a") -> dict:
    tops = [{"token": token, "logprob": value} for token, value in tokens]
    return {"message": {"content": said}, "logprobs": {"content": [{**tops[0], "top_logprobs": tops}]}}


@pytest.mark.parametrize("text", ["a", " a", "a.", " a)", "a )", "a\n", "▁a", "Ġa", " a. "])
def test_server_answer_label_alone_is_a_label(text):
    assert label_of(text, LABELS) == 0


@pytest.mark.parametrize("text", ["", "A", "d", "ab", "a b", "a red river", "(a", "a,", "a..", "the", "a.b", "None"])
def test_server_answer_anything_else_is_none(text):
    assert label_of(text, LABELS) is None


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


def test_server_answer_generated_token_counts_where_it_is_not_among_the_listed():
    choice = chat([(" b", HALF), (" c", QUARTER)])
    choice["logprobs"]["content"][0] |= {"token": " a", "logprob": EIGHTH}
    assert read(choice).log_probabilities.exp().tolist() == pytest.approx([1 / 7, 4 / 7, 2 / 7])
    legacy = completion(**{" b": HALF, " c": QUARTER})
    legacy["logprobs"] |= {"tokens": [" a"], "token_logprobs": [EIGHTH]}
    assert read(legacy).missing == 0


def test_server_answer_probability_of_one_and_of_zero():
    """Constrained servers give 0 for the only token that is allowed, and −9999, −∞ or null for the others."""
    for nothing in (-9999.0, -math.inf, None):
        answer = read(completion(**{" a": 0.0, " b": nothing, " the": nothing}))
        assert answer.log_probabilities.exp().tolist() == pytest.approx([1, 0, 0])
        assert torch.isfinite(answer.log_probabilities).all() and answer.mass == pytest.approx(1)


def test_server_answer_no_label_listed_is_invalid_and_says_what_was_said():
    with pytest.raises(InvalidAnswer, match="Surely"):
        read(chat([("Surely", HALF), ("the", QUARTER)], "Surely"))
    with pytest.raises(InvalidAnswer):
        read({"text": "", "logprobs": {"tokens": [], "top_logprobs": []}})


@pytest.mark.parametrize("choice", [{"text": " a"}, {"text": " a", "logprobs": None}])
def test_server_answer_no_log_probabilities_name_the_way_out(choice):
    with pytest.raises(UserError, match=r"set judge\.answers: samples"):
        read(choice)


def test_server_answer_log_probabilities_in_no_known_format_are_a_broken_reply():
    for logprobs in ({"content": [{"tok": 1}]}, {"top_logprobs": "yes"}, {"top_logprobs": [{" a": "high"}]}):
        with pytest.raises(BrokenReply):
            read({"text": " a", "logprobs": logprobs})


def test_server_answer_samples_are_smoothed_by_one_that_is_spread_evenly():
    answer = from_samples([1, 1, 2], 4)
    assert answer.log_probabilities.exp().tolist() == pytest.approx([1 / 16, 9 / 16, 5 / 16, 1 / 16])


def test_server_answer_text_of_either_api():
    assert text_of({"text": " a"}) == text_of({"message": {"content": " a"}}) == " a"
    assert text_of({"message": {"content": None}}) == text_of({}) == ""


def body(prompt: str, labels: list[str], count: int = 1, **arguments) -> dict:
    return ServerLM("m", "http://localhost/v1", **grouped(arguments)).body(prompt, labels, count)


def test_server_answer_request_bodies():
    expected = {"model": "m", "temperature": 0.0, "max_tokens": 1, "prompt": "prompt é", "logprobs": 20}
    assert body("prompt é", LABELS) == expected
    chat = body("prompt", LABELS, 3, api="chat", answers="samples", temperature=1.0, extra_body={"top_p": 0.9})
    [message] = chat.pop("messages")
    assert chat == {"model": "m", "temperature": 1.0, "max_tokens": 4, "n": 3, "top_p": 0.9}
    assert message["content"].endswith("Answer with one letter from a to c and nothing else.")


@pytest.mark.parametrize(
    ("constraint", "completions", "chats"),
    [
        ("structured_outputs", {"choice": [" a", " b"]}, {"choice": ["a", "b"]}),
        ("regex", "( a| b)", "(a|b)"),
        ("grammar", 'root ::= " a" | " b"', 'root ::= "a" | "b"'),
    ],
)
def test_server_answer_constraints(constraint, completions, chats):
    for api, expected in (("completions", completions), ("chat", chats)):
        assert body("", ["a", "b"], api=api, constraint=constraint)[constraint] == expected
