"""ServerLM against a real HTTP server that works: answers, requests under way, arguments, fingerprint."""

import pickle
import sys
import time
from collections.abc import Iterator

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import Questions, ServerLM
from tests.helpers.asking import grouped, judge, questions
from tests.helpers.fake_server import NAMES, FakeServer, Plan, favourite, serving


@pytest.fixture
def server() -> Iterator[FakeServer]:
    with serving() as server:
        yield server


def favourites(asked: Questions) -> list[int]:
    return [NAMES.index(favourite(prompt)) for prompt in asked.prompts]


@pytest.mark.parametrize("api", ["completions", "chat"])
def test_server_lm_every_question_gets_its_own_answer(server, template, api):
    asked = questions(template, 20)
    client = judge(server, api=api)
    log_probabilities = client.log_probabilities(asked)
    prompts = [prompt for prompt in server.asked]
    expected = {prompt[: len(text)]: NAMES.index(favourite(prompt)) for prompt in prompts for text in asked.prompts}
    assert log_probabilities.argmax(1).tolist() == [expected[text] for text in asked.prompts]
    assert torch.allclose(log_probabilities.exp().sum(1), torch.ones(20))
    assert log_probabilities.dtype == torch.float32 and log_probabilities.shape == (20, 11)
    assert client.endpoint.requests == 20 and set(server.asked.values()) == {1}
    assert client.counts["tokens"] == sum(len(prompt.split()) + 1 for prompt in prompts)
    assert 0 < client.label_mass < 1


def test_server_lm_probabilities_are_those_of_the_server(server, template):
    asked = questions(template, 1)
    row = judge(server).log_probabilities(asked)[0]
    listed = torch.full((11,), -4.0).index_fill(0, torch.tensor(favourites(asked)), -0.5)
    assert torch.allclose(row, listed.log_softmax(0))


def test_server_lm_no_questions_no_request(server, template):
    assert judge(server).log_probabilities(Questions(template, [[]], [["x"]]).select([0])).shape == (1, 2)
    assert list(judge(server).stream(questions(template, 1).select([]))) == []
    assert sum(server.asked.values()) == 1


def test_server_lm_requests_are_under_way_together_but_no_more_than_allowed(template):
    with serving(Plan(delay=0.1)) as server:
        started = time.monotonic()
        judge(server, concurrency=8).log_probabilities(questions(template, 32))
        assert server.most == 8
        assert time.monotonic() - started < 1.6  # 3.2 one by one


def test_server_lm_answers_are_yielded_as_they_arrive(template):
    """The first are there while the last is still stalled."""
    asked = questions(template, 8)
    last = asked.prompts[7]
    with serving(Plan(fault=lambda prompt, before: "stall" if prompt == last else None)) as server:
        stream = judge(server, timeout=20).stream(asked)
        rows = {row for _ in range(7) for row in next(stream)[0]}
        assert rows == set(range(7)) and server.answered.total() == 7
        stream.close()


def test_server_lm_missing_labels_are_counted_and_warned_of(server, template):
    client = judge(server, top_logprobs=5)
    with pytest.warns(UserWarning, match="does not list 6.0 labels a question"):
        client.log_probabilities(questions(template, 101))
    assert client.missing_labels == 606


def test_server_lm_answer_without_a_label_is_refused_or_none(template):
    with serving(Plan(fault=lambda prompt, before: "outside")) as server:
        with pytest.raises(UserError, match="m gives no probability to a label from a to k; raise top_logprobs"):
            judge(server).log_probabilities(questions(template, 1))
        client = judge(server, invalid="none")
        assert client.log_probabilities(questions(template, 4)).argmax(1).tolist() == [10] * 4
        assert client.invalid_answers == 4


def test_server_lm_fingerprint_has_all_that_can_change_an_answer_and_no_more():

    def made(**arguments) -> str:
        return ServerLM(**{"model": "m", "base_url": "http://localhost:8000/v1"} | grouped(arguments)).fingerprint

    known = made()
    for changed in (
        {"model": "n"}, {"api": "chat"}, {"top_logprobs": 5}, {"revision": "june"}, {"extra_body": {"top_k": 3}},
    ):  # fmt: skip
        assert made(**changed) != known, changed
    for same in (
        {"base_url": "https://elsewhere:1/v1"}, {"concurrency": 2}, {"timeout": 1.0}, {"retries": 1},
        {"max_requests": 1}, {"max_tokens": 1}, {"api_key_env": "KEY"}, {"invalid": "none"},
    ):  # fmt: skip
        assert made(**same) == known, same


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"concurrency": 0}, "judge.limits.concurrency is 0: it must be at least 1"),
        ({"retries": -1}, "judge.limits.retries is -1: it must be at least 0"),
        ({"timeout": 0}, "judge.limits.timeout is 0"),
        ({"base_url": "localhost:8000"}, "is no address"),
        ({"base_url": "http://host:port/v1"}, "is no address"),
    ],
)
def test_server_lm_mistake_in_the_arguments_is_named(arguments, message):
    with pytest.raises(UserError, match=message):
        ServerLM(**({"model": "m", "base_url": "http://localhost:8000/v1"} | grouped(arguments)))


def test_server_lm_judge_can_be_copied(server, template):
    client = judge(server)
    client.log_probabilities(questions(template, 1))
    copy = pickle.loads(pickle.dumps(client))
    assert copy.fingerprint == client.fingerprint and copy.endpoint.requests == 0
    assert copy.log_probabilities(questions(template, 2)).shape == (2, 11)


def test_server_lm_client_is_needed_only_when_a_server_is_asked(server, template, monkeypatch):
    monkeypatch.setitem(sys.modules, "openai", None)
    client = judge(server)
    with pytest.raises(UserError, match=r"pip install 'ialp\[server\]'"):
        client.log_probabilities(questions(template, 1))
