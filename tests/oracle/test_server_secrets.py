"""A planted key is found in nothing that a run leaves behind or says."""

import json
import logging
import os
import pickle
import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from ialp.errors import UserError
from ialp.oracle import JudgementCache, Oracle, ServerLM
from tests.helpers.asking import items, judge, questions
from tests.helpers.fake_server import Plan, in_turn, serving

KEY = 'planted/Key+"1234567890'  # a quote and a slash: escaped in JSON and in addresses
FORMS = [KEY, json.dumps(KEY)[1:-1], "planted%2FKey", "1234567890"]


@pytest.fixture(autouse=True)
def planted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JUDGE_KEY", KEY)


def clean(text: str) -> bool:
    return not any(form in text for form in FORMS)


@pytest.mark.parametrize("status", ["400", "401", "403", "404", "429", "500"])
@pytest.mark.parametrize(
    "message", ["Incorrect API key provided: {key}.", "x" * 190 + " {key}", "sk-proj-abcdef1234567890 is unknown"]
)
def test_server_lm_that_repeats_the_key_is_not_repeated(template, status, message, caplog):
    caplog.set_level(logging.DEBUG)
    for name in ("openai", "httpx2", "httpcore2"):
        caplog.set_level(logging.DEBUG, logger=name)
    with serving(Plan(fault=in_turn([status] * 9), message=message)) as server:
        client = judge(server, api_key_env="JUDGE_KEY", retries=1)
        with pytest.raises(UserError, match=f"Error code: {status}") as caught:
            client.log_probabilities(questions(template, 1))
    error: BaseException | None = caught.value
    while error is not None:  # what is chained may be shown as well
        assert clean("".join(traceback.format_exception(error, chain=False)))
        assert type(error).__module__.split(".")[0] != "openai"  # such an error holds the request, headers and all
        error = error.__cause__ or error.__context__
    assert clean(caplog.text)
    assert clean(repr(client)) and clean(str(vars(client))) and clean(client.fingerprint + client.name)
    assert KEY.encode() not in pickle.dumps(client)


def test_server_lm_key_is_sent_and_none_is_invented(template, monkeypatch):
    """Without `api_key_env` nothing is taken from the environment: the server may be a stranger's."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    with serving() as server:
        for variable in ("JUDGE_KEY", None):
            judge(server, api_key_env=variable).log_probabilities(questions(template, 1))
    assert server.authorisations == [f"Bearer {KEY}", "Bearer none"]


def test_server_lm_reply_that_is_no_json_is_shown_without_it(template, monkeypatch):
    plan = Plan(text=lambda prompt: KEY, fault=in_turn(["half"] * 3))
    with serving(plan) as server, pytest.raises(UserError, match="the reply is no JSON") as caught:
        judge(server, api_key_env="JUDGE_KEY", retries=1).log_probabilities(questions(template, 1))
    assert clean(str(caught.value))


@pytest.mark.parametrize("url", ["http://me:{}@host/v1", "https://{}@host/v1", "http://host/v1?key={}", "http://h/#{}"])
def test_server_lm_address_with_a_secret_is_refused_without_repeating_it(url):
    with pytest.raises(UserError, match="neither user, password nor query") as caught:
        ServerLM("m", url.format("hidden1234567890"))
    assert clean(str(caught.value))


@pytest.mark.parametrize(
    ("value", "message"), [("", "JUDGE_KEY is not set"), ("schlüssel1234567890", "printable ASCII")]
)
def test_server_lm_key_that_cannot_be_sent(template, monkeypatch, value, message):
    monkeypatch.setenv("JUDGE_KEY", value)
    client = ServerLM("m", "http://localhost:1/v1", api_key_env="JUDGE_KEY")
    with pytest.raises(UserError, match=message) as caught:
        client.log_probabilities(questions(template, 1))
    assert clean(str(caught.value))


def test_server_lm_cache_does_not_hold_it(catalogue, template, tmp_path):
    with serving() as server:
        client = judge(server, api_key_env="JUDGE_KEY")
        Oracle(client, JudgementCache(tmp_path / "cache.sqlite"), template, catalogue).judge(*items(20))
    assert leaves_no_trace(tmp_path) == 3  # the file, its log and its index


@pytest.mark.slow
@pytest.mark.parametrize("refused", [False, True])
def test_server_lm_whole_run_leaves_no_trace_of_it(tmp_path, refused):
    """Pre-training by the command line; or a server that refuses the key, and repeats it."""
    fault = in_turn(["401"] * 9) if refused else in_turn([])
    with serving(Plan(fault=fault, message="Incorrect API key provided: {key}")) as server:
        chosen = {"model": "m", "base_url": server.url, "api_key_env": "JUDGE_KEY"}
        root = Path(__file__).parents[2]
        command = [
            sys.executable, "-m", "ialp", "fit", "--config", str(root / "configs" / "lfm_pretrain.yaml"),
            "--upstream={}", "--data.init_args.oracle.adapter=null", f"--runs_dir={tmp_path / 'runs'}",
            "--judge=" + json.dumps({"class_path": "ialp.oracle.ServerLM", "init_args": chosen}),
            "--data.init_args.users=4", "--data.init_args.steps_per_epoch=2", "--trainer.max_epochs=1",
        ]  # fmt: skip
        environment = os.environ | {"PYTHONPATH": str(root), "OPENAI_LOG": "debug", "OMP_NUM_THREADS": "1"}
        environment.pop("IALP_DATA", None)
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=200)
        assert (done.returncode == 2) == refused, done.stderr
        assert clean(done.stdout + done.stderr) and (server.answered.total() == 8) != refused
    assert not refused or "set api_key_env" in done.stderr
    assert leaves_no_trace(tmp_path) >= (2 if refused else 6)


def leaves_no_trace(folder: Path) -> int:
    """The number of files in it, none of which holds the key."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    for path in files:
        assert not any(form.encode() in path.read_bytes() for form in FORMS), path
    return len(files)
