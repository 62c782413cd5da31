"""ServerLM and a server's faults: what is asked again, what ends a run, and what is kept then."""

import os
import signal
import subprocess
import sys
import time
from email.utils import formatdate
from pathlib import Path

import pytest
import torch

from ialp.data import Catalogue
from ialp.errors import UserError
from ialp.oracle import BudgetExceeded, JudgementCache, Oracle, PromptTemplate
from ialp.oracle.backends.endpoint import as_they_arrive
from tests.helpers.asking import items, judge, questions
from tests.helpers.fake_server import Plan, in_turn, one_in_five, serving

FAULTS = ["429", "500", "503", "cut", "half"]


@pytest.mark.parametrize("api", ["completions", "chat"])
@pytest.mark.parametrize("fault", ["429", "408", "500", "503", "cut", "half"])
def test_server_lm_fault_is_asked_again(template, api, fault):
    with serving(Plan(fault=in_turn([fault, fault]))) as server:
        client = judge(server, api=api)
        answers = client.log_probabilities(questions(template, 5))
        assert torch.isfinite(answers).all() and client.invalid_answers == 0
        assert set(server.asked.values()) == {3} and client.endpoint.requests == 15 and not server.again


def test_server_lm_stall_ends_with_the_timeout(template):
    with serving(Plan(fault=in_turn(["stall"]))) as server:
        started = time.monotonic()
        judge(server, timeout=0.3).log_probabilities(questions(template, 4))
        assert time.monotonic() - started < 3
        assert set(server.asked.values()) == {2}


def test_server_lm_nobody_listens(template):
    with serving() as server:
        pass
    with pytest.raises(UserError, match=r"no reply: .*, after 3 attempts; run again to go on"):
        judge(server, retries=2).log_probabilities(questions(template, 1))


@pytest.mark.parametrize("as_date", [False, True])
def test_server_lm_wait_that_the_server_asks_for_is_kept(template, as_date):
    header = formatdate(time.time() + 2, usegmt=True) if as_date else "0.7"  # a date has whole seconds
    with serving(Plan(fault=in_turn(["429"]), headers={"Retry-After": header})) as server:
        judge(server).log_probabilities(questions(template, 1))
        first, second = server.times
        assert 0.65 < second - first < 2.5


def test_server_lm_wait_of_an_hour_is_not_waited_for(template):
    with serving(Plan(fault=in_turn(["429"] * 9), headers={"Retry-After": "3600"})) as server:
        with pytest.raises(UserError, match=r"429.*run again to go on"):
            judge(server).log_probabilities(questions(template, 1))
        assert server.asked.total() == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [("400", "top_logprobs"), ("401", "set api_key_env"), ("404", "base_url ends in /v1"), ("422", "")],
)
def test_server_lm_what_no_repetition_mends_is_told_at_once(template, status, message):
    with serving(Plan(fault=in_turn([status] * 9))) as server:
        with pytest.raises(UserError, match=f"Error code: {status} - out of order.*{message}"):
            judge(server, concurrency=1).log_probabilities(questions(template, 50))
        assert server.asked.total() == 1


def test_server_lm_reply_without_log_probabilities_is_refused(template):
    with (
        serving(Plan(fault=in_turn(["no_logprobs"]))) as server,
        pytest.raises(UserError, match="no log-probabilities"),
    ):
        judge(server).log_probabilities(questions(template, 1))


def ask_mixed(count: int, faults: list[str], catalogue: Catalogue, template: PromptTemplate, path: Path) -> int:
    """Asks a server that fails one request in five, checks every answer, and counts the requests."""
    with serving(Plan(fault=one_in_five(faults))) as server:
        client = judge(server)
        oracle = Oracle(client, JudgementCache(path), template, catalogue)
        batch = items(count)
        judgement = oracle.judge(*batch)
        assert len(server.asked) == len(server.answered) == oracle.asked == count  # none lost
        assert set(server.answered.values()) == {1} and not server.again  # none asked once it was answered
        requests = server.asked.total()
        assert client.endpoint.requests == requests and (requests - count) / requests == pytest.approx(0.2, abs=0.06)
        again = Oracle(judge(server), JudgementCache(path), template, catalogue)
        assert torch.equal(again.judge(*batch).log_probabilities, judgement.log_probabilities)
        assert again.asked == 0 and server.asked.total() == requests
        return requests


def test_server_lm_five_hundred_questions_and_one_request_in_five_fails(catalogue, template, tmp_path):
    ask_mixed(500, FAULTS, catalogue, template, tmp_path / "cache.sqlite")


@pytest.mark.slow
def test_server_lm_ten_thousand_questions_and_one_request_in_five_fails(catalogue, template, tmp_path):
    """Stalls among the faults, though few: each holds up a batch of the oracle for the 5 s of the timeout."""
    started = time.monotonic()
    requests = ask_mixed(10_000, [*FAULTS * 50, "stall"], catalogue, template, tmp_path / "cache.sqlite")
    print(f"10,000 questions, {requests:,} requests: {time.monotonic() - started:.1f} s")


@pytest.mark.parametrize("limit", ["max_requests", "max_tokens"])
def test_server_lm_budget_stops_before_it_is_passed_and_the_next_run_goes_on(catalogue, template, tmp_path, limit):
    batch, path = items(60), tmp_path / "cache.sqlite"
    with serving(Plan(fault=one_in_five(FAULTS))) as server:
        budget = {"max_requests": 40, "max_tokens": 6000}[limit]
        first = Oracle(judge(server, **{limit: budget}), JudgementCache(path), template, catalogue)
        with pytest.raises(BudgetExceeded, match=f"judge.limits.{limit}: .*limit of {budget} .*every answer so far"):
            first.judge(*batch)
        used = first.backend.counts[limit.removeprefix("max_")]
        under_way = {"max_requests": 0, "max_tokens": 16 * 200}[limit]
        assert 0.6 * budget < used <= budget + under_way
        assert 0 < first.asked == len(JudgementCache(path)) == server.answered.total() < 60
        with pytest.raises(BudgetExceeded):
            first.judge(*batch)
        rest = Oracle(judge(server), JudgementCache(path), template, catalogue)
        rest.judge(*batch)
        assert rest.asked == 60 - first.asked
        assert set(server.answered.values()) == {1} and not server.again


def test_server_lm_processes_share_the_limits_of_a_server(template):
    with serving() as server:
        clients = [judge(server, max_requests=10) for _ in range(3)]
        for rank, client in enumerate(clients):
            client.share(rank, 3)
            with pytest.raises(BudgetExceeded, match="limit of 10, shared by 3 processes, is reached"):
                client.log_probabilities(questions(template, 20))
        assert [client.counts["requests"] for client in clients] == [3, 3, 4]


def test_server_lm_budget_in_tokens_needs_a_server_that_counts_them(template):
    with serving(Plan(usage=False)) as server:
        assert judge(server).log_probabilities(questions(template, 1)).shape == (1, 11)
        with pytest.raises(UserError, match=r"set limits\.max_requests instead"):
            judge(server, max_tokens=10**6).log_probabilities(questions(template, 1))


def test_server_lm_error_keeps_what_was_under_way(catalogue, template, tmp_path):
    """The first request is refused while the others are being answered: these were paid for."""
    batch, path = items(8), tmp_path / "cache.sqlite"
    with serving(Plan(delay=0.2)) as server:
        seen: list[str] = []

        def fault(prompt: str, before: int) -> str | None:
            seen.append(prompt)
            return "401" if prompt == seen[0] else None

        server.plan.fault = fault
        oracle = Oracle(judge(server, concurrency=4), JudgementCache(path), template, catalogue)
        with pytest.raises(UserError, match="401"):
            oracle.judge(*batch)
        assert server.answered.total() == oracle.asked == len(JudgementCache(path)) >= 3


@pytest.mark.slow
def test_server_lm_interrupt_ends_a_run_at_once_and_keeps_what_has_arrived(tmp_path):
    """In a process of its own: most requests stall for 30 s, and Ctrl-C comes after a second."""
    script = f"""
import sys
from ialp.oracle import JudgementCache, Oracle, PromptTemplate
from ialp.data import Catalogue
from tests.helpers.fake_server import Plan, serving
from tests.helpers.asking import items, judge
names = [f"song {{i}}" for i in range(48)]
catalogue = Catalogue(names, {{"title": names}})
template = PromptTemplate("music", "track", "listening", ["title"], max_history=4)
seen = []
def fault(prompt, before):
    seen.append(prompt)
    return None if len(seen) <= 5 else "stall"
with serving(Plan(fault=fault)) as server:
    oracle = Oracle(judge(server, timeout=30.0), JudgementCache({str(tmp_path / "c.sqlite")!r}), template, catalogue)
    print("ready", flush=True)
    oracle.judge(*items(40))
"""
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", script], cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": str(root)}, start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    deadline = time.monotonic() + 20
    while len(JudgementCache(tmp_path / "c.sqlite")) < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    started = time.monotonic()
    _, errors = process.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert process.returncode != 0 and "KeyboardInterrupt" in errors
    assert len(JudgementCache(tmp_path / "c.sqlite")) == 5


def test_server_lm_calls_end_in_any_order_and_the_first_error_stops_the_rest():
    done: list[int] = []

    def call(index: int) -> int:
        if index == 3:
            raise UserError("three")
        time.sleep(0.01)
        done.append(index)
        return 10 * index

    arrived = []
    with pytest.raises(UserError, match="three"):
        for pair in as_they_arrive(call, 1000, 4):
            arrived.append(pair)
    assert sorted(arrived) == sorted((index, 10 * index) for index in done)
    assert len(done) < 20
