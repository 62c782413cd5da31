"""A judge asked by a thread of its own: the same answers, its errors in the caller, an end that nothing holds up."""

import threading
import time

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import BudgetExceeded, JudgeBackend, JudgementCache, LexicalOracle, Oracle, ahead
from ialp.oracle.ahead import AskedAhead
from tests.helpers.asking import items, judge
from tests.helpers.fake_server import Plan, serving


class Watched(JudgeBackend):
    """Answers evenly, and keeps what its thread is like."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, bool, int]] = []
        self.begun, self.go_on = threading.Event(), threading.Event()
        self.go_on.set()

    fingerprint = "watched"

    def log_probabilities(self, questions):
        self.begun.set()
        self.go_on.wait(30)
        self.seen.append((threading.current_thread().name, torch.is_grad_enabled(), torch.get_num_threads()))
        return torch.zeros(len(questions), questions.num_candidates + 1).log_softmax(1)


@pytest.fixture
def oracle(catalogue, template) -> Oracle:
    return Oracle(LexicalOracle(), None, template, catalogue)


def test_asked_ahead_answers_are_those_of_the_judge(oracle, catalogue, template):
    asking = AskedAhead(oracle)
    direct = Oracle(LexicalOracle(), None, template, catalogue)
    for _ in range(2):  # the cache in memory is that of both threads
        assert not asking.asking
        asking.ask(*items(5))
        assert asking.asking
        found, expected = asking.answer(), direct.judge(*items(5))
        assert torch.equal(found.choice, expected.choice)
        assert torch.equal(found.log_probabilities, expected.log_probabilities)
    assert (oracle.asked, oracle.hits) == (direct.asked, direct.hits) == (5, 5)


def test_asked_ahead_thread_has_the_callers_cores_and_no_gradients(catalogue, template):
    backend = Watched()
    torch.set_num_threads(2)
    asking = AskedAhead(Oracle(backend, None, template, catalogue))
    asking.ask(*items(2))
    asking.answer()
    assert backend.seen == [("judge", False, 2)] and torch.is_grad_enabled()


def test_asked_ahead_who_asks_does_not_wait_until_the_answer_is_wanted(catalogue, template):
    backend = Watched()
    backend.go_on.clear()
    asking = AskedAhead(Oracle(backend, None, template, catalogue))
    asking.ask(*items(2))
    assert not backend.seen
    backend.go_on.set()
    assert len(asking.answer().choice) == 2 and len(backend.seen) == 1


def test_asked_ahead_spent_budget_is_told_when_the_answer_is_wanted(catalogue, template, tmp_path):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    asking = AskedAhead(Oracle(LexicalOracle(), cache, template, catalogue, budget=3))
    asking.ask(*items(5))
    with pytest.raises(BudgetExceeded, match="budget of 3 questions is spent"):
        asking.answer()
    assert len(cache) == 3 and not asking.asking


@pytest.mark.parametrize(
    "error", [UserError("mend me"), RuntimeError("boom"), TimeoutError("late"), KeyboardInterrupt()]
)
def test_asked_ahead_any_error_of_the_judge_comes_out(oracle, error):
    def fail(questions):
        raise error

    oracle.backend.log_probabilities = fail
    asking = AskedAhead(oracle)
    asking.ask(*items(2))
    with pytest.raises(type(error)) as raised:
        asking.answer()
    assert raised.value is error


def test_asked_ahead_interrupt_does_not_wait_for_a_server_and_keeps_what_has_arrived(catalogue, template, tmp_path):
    """Three of ten questions are answered, the others stall for 30 s."""
    cache = JudgementCache(tmp_path / "cache.sqlite")
    seen: list[str] = []

    def fault(prompt: str, before: int) -> str | None:
        seen.append(prompt)
        return None if len(seen) <= 3 else "stall"

    with serving(Plan(fault=fault)) as server:
        asking = AskedAhead(Oracle(judge(server, timeout=30.0), cache, template, catalogue))
        asking.ask(*items(10))
        deadline = time.monotonic() + 60  # the client's import takes its time
        while len(cache) < 3 and time.monotonic() < deadline:
            time.sleep(0.02)
        started = time.monotonic()
        asking.close(at_once=True)
        assert time.monotonic() - started < 5
        assert len(cache) == 3 and not [thread for thread in threading.enumerate() if thread.name == "judge"]


def test_asked_ahead_after_an_interrupt_it_can_be_asked_again(catalogue, template):
    with serving(Plan(fault=lambda prompt, before: "stall" if before == 0 else None)) as server:
        asking = AskedAhead(Oracle(judge(server, timeout=30.0), None, template, catalogue))
        asking.ask(*items(4))
        while server.asked.total() < 4:
            time.sleep(0.01)
        asking.close(at_once=True)
        asking.ask(*items(4))
        assert len(asking.answer().choice) == 4


def test_asked_ahead_judge_that_never_answers_is_left_behind(catalogue, template, monkeypatch):
    monkeypatch.setattr(ahead, "PATIENCE", 0.05)
    backend = Watched()
    backend.go_on.clear()
    asking = AskedAhead(Oracle(backend, None, template, catalogue))
    asking.ask(*items(2))
    asking.close(at_once=True)
    assert not backend.seen and not asking.asking
    assert all(thread.daemon for thread in threading.enumerate() if thread.name == "judge")
    backend.go_on.set()


def test_asked_ahead_judge_that_answers_by_batches_stops_between_two(catalogue, template, monkeypatch):
    monkeypatch.setattr("ialp.oracle.backends.base.STORE_EVERY", 2)
    backend, cache = Watched(), JudgementCache()
    backend.go_on.clear()
    asking = AskedAhead(Oracle(backend, cache, template, catalogue))
    asking.ask(*items(6))
    assert backend.begun.wait(30)
    threading.Timer(0.1, backend.go_on.set).start()
    asking.close(at_once=True)
    assert len(backend.seen) == 1 and len(cache) == 2


def test_asked_ahead_end_without_haste_waits_for_the_answer_and_drops_its_errors(catalogue, template):
    backend, cache = Watched(), JudgementCache()
    asking = AskedAhead(Oracle(backend, cache, template, catalogue, budget=4))
    asking.ask(*items(6))
    asking.close()
    assert len(cache) == 4 and not asking.asking
    asking.close()  # nothing is under way
