"""`ialp oracle stats|prune`, as they are called."""

import os
import time
from pathlib import Path

import pytest
import torch

from ialp.cli.main import main
from ialp.oracle import JudgementCache
from ialp.oracle.cache import JudgeId

DAY = 86_400


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JudgementCache:
    """In its usual place: ten answers of one judge, the half of them old; five of another."""
    monkeypatch.chdir(tmp_path)
    cache = JudgementCache("runs/judgements.sqlite")
    cache.put_many({key(i): torch.zeros(3).log_softmax(0) for i in range(10)}, JudgeId("aaaa1111ffff", "one"))
    cache.put_many({key(i): torch.zeros(11).log_softmax(0) for i in range(10, 15)}, JudgeId("aaaa2222ffff", "two"))
    with cache.open() as connection, connection:
        connection.execute("UPDATE judgements SET asked_at = asked_at - ? WHERE key < ?", (10 * DAY, key(5)))
    return cache


def run(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str]:
    """Exit code, and what was printed."""
    code = main(["oracle", *arguments])
    printed = capsys.readouterr()
    assert printed.err.count("\n") == (code != 0)
    return code, printed.err if code else printed.out


def test_oracle_stats_has_a_row_per_judge(cache, capsys):
    code, printed = run(capsys, "stats")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in printed.splitlines()}
    today = time.strftime("%Y-%m-%d")
    assert rows["one"][:3] == ["aaaa1111", "10", time.strftime("%Y-%m-%d", time.localtime(time.time() - 10 * DAY))]
    assert rows["one"][4] == today
    assert rows["two"][:3] == ["aaaa2222", "5", today]
    assert "runs/judgements.sqlite: 15 judgements, 0." in printed


def test_oracle_stats_of_an_empty_cache(tmp_path, capsys):
    JudgementCache(tmp_path / "new.sqlite")
    code, printed = run(capsys, "stats", "--cache", str(tmp_path / "new.sqlite"))
    assert code == 0 and "0 judgements" in printed


@pytest.mark.parametrize("command", [["stats"], ["prune", "--judge", "one"]])
def test_oracle_does_not_make_a_missing_cache(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    code, printed = run(capsys, *command)
    assert code == 2 and "judgement cache runs/judgements.sqlite: no such file" in printed
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (["--judge", "one"], range(10, 15)),
        (["--judge", "aaaa2"], range(10)),
        (["--judge", "three"], range(15)),
        (["--older-than", "9.5"], range(5, 15)),
        (["--older-than", "11"], range(15)),
        (["--judge", "one", "--older-than", "1"], range(5, 15)),
        (["--judge", "two", "--older-than", "1"], range(15)),
    ],
)
def test_oracle_prune_removes_what_the_filters_name(cache, capsys, filters, left):
    code, printed = run(capsys, "prune", *filters)
    gone = 15 - len(list(left))
    assert (code, printed) == (0, f"removed {gone} judgements from runs/judgements.sqlite, {15 - gone} are left\n")
    assert sorted(cache.get_many([key(i) for i in range(15)])) == [key(i) for i in left]


def test_oracle_prune_forgets_a_judge_that_may_come_back(cache, capsys):
    run(capsys, "prune", "--judge", "one")
    assert " one " not in f" {run(capsys, 'stats')[1]}"
    cache.put_many({key(1): torch.zeros(3)}, JudgeId("aaaa1111ffff", "one"))
    assert "aaaa1111" in run(capsys, "stats")[1]


def test_oracle_prune_gives_the_room_back(cache, capsys):
    cache.put_many({key(i): torch.zeros(11) for i in range(100, 5000)}, JudgeId("bbbb", "big"))
    run(capsys, "prune", "--older-than", "100")  # works the log into the file
    before = Path("runs/judgements.sqlite").stat().st_size
    run(capsys, "prune", "--judge", "big")
    assert Path("runs/judgements.sqlite").stat().st_size < before / 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["prune"], "say which by --judge, --older-than or both"),
        (["prune", "--older-than", "long"], "argument --older-than: "),
        (["statistics"], "invalid choice: 'statistics'"),
        ([], "the following arguments are required: stats|prune"),
    ],
)
def test_oracle_names_a_mistake_in_one_line(cache, capsys, arguments, message):
    code, printed = run(capsys, *arguments)
    assert code == 2 and printed.startswith("ialp: error: ") and message in printed
    assert len(cache) == 15
