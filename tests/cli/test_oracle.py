"""`ialp oracle stats|export|import|prune`, as they are called."""

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
    """In its usual place: ten answers of one judge, the half of them None and old; five of another; one of nobody."""
    monkeypatch.chdir(tmp_path)
    cache = JudgementCache("runs/judgements.sqlite")
    a, none = torch.tensor([0.7, 0.1, 0.2]).log(), torch.tensor([0.1, 0.2, 0.7]).log()
    cache.put_many({key(i): none if i < 5 else a for i in range(10)}, JudgeId("aaaa1111ffff", "one"))
    cache.put_many({key(i): torch.zeros(11).log_softmax(0) for i in range(10, 15)}, JudgeId("aaaa2222ffff", "two"))
    cache.put_many({key(15): a})
    with cache.open() as connection, connection:
        connection.execute("UPDATE judgements SET asked_at = asked_at - ? WHERE key < ?", (10 * DAY, key(5)))
        connection.execute("UPDATE judgements SET asked_at = NULL WHERE key = ?", (key(15),))
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
    assert rows["one"][:4] == ["aaaa1111", "10", "3", "50.0%"]
    assert rows["one"][4] == time.strftime("%Y-%m-%d", time.localtime(time.time() - 10 * DAY))
    assert rows["one"][6] == today
    assert rows["two"][:5] == ["aaaa2222", "5", "11", "0.0%", today]
    assert rows["unknown"] == ["1", "3", "0.0%", "unknown", "unknown"]
    assert "runs/judgements.sqlite: 16 judgements, 0." in printed


def test_oracle_stats_of_an_empty_cache(tmp_path, capsys):
    JudgementCache(tmp_path / "new.sqlite")
    code, printed = run(capsys, "stats", "--cache", str(tmp_path / "new.sqlite"))
    assert code == 0 and "0 judgements" in printed


@pytest.mark.parametrize("command", [["stats"], ["export", "--out", "out.parquet"], ["prune", "--judge", "one"]])
def test_oracle_does_not_make_a_missing_cache(tmp_path, monkeypatch, capsys, command):
    monkeypatch.chdir(tmp_path)
    code, printed = run(capsys, *command)
    assert code == 2 and "judgement cache runs/judgements.sqlite: no such file" in printed
    assert os.listdir() == []
    code, printed = run(capsys, *command, "--cache", str(tmp_path))
    assert code == 2 and "a folder, no file" in printed


def test_oracle_export_and_import_keep_judgements(cache, capsys):
    assert run(capsys, "export", "--out", "a.parquet") == (0, "written: a.parquet, 16 judgements\n")
    code, printed = run(capsys, "import", "a.parquet", "a.parquet", "--cache", "new/b.sqlite")
    assert code == 0
    assert printed.splitlines() == [
        "a.parquet: 16 judgements, 16 new in new/b.sqlite",
        "a.parquet: 16 judgements, 0 new in new/b.sqlite",
    ]
    assert len(JudgementCache("new/b.sqlite")) == 16


def test_oracle_import_that_fails_makes_no_cache(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert run(capsys, "import", "missing.parquet")[0] == 2
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("filters", "left"),
    [
        (["--judge", "one"], range(10, 16)),
        (["--judge", "aaaa2"], [*range(10), 15]),
        (["--judge", "unknown"], range(15)),
        (["--older-than", "9.5"], range(5, 15)),
        (["--older-than", "11"], range(15)),
        (["--judge", "one", "--older-than", "1"], range(5, 16)),
        (["--judge", "two", "--older-than", "1"], range(16)),
    ],
)
def test_oracle_prune_removes_what_the_filters_name(cache, capsys, filters, left):
    gone = 16 - len(list(left))
    assert run(capsys, "prune", *filters, "--dry-run") == (
        0,
        f"would remove {gone} of 16 judgements from runs/judgements.sqlite\n",
    )
    assert len(cache) == 16
    code, printed = run(capsys, "prune", *filters)
    assert (code, printed) == (0, f"removed {gone} judgements from runs/judgements.sqlite, {16 - gone} are left\n")
    assert sorted(cache.get_many([key(i) for i in range(16)])) == [key(i) for i in left]


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
        (["prune", "--dry-run"], "say which by --judge, --older-than or both"),
        (["prune", "--judge", "aaaa"], "2 fingerprints begin so: one (aaaa1111), two (aaaa2222); give more of it"),
        (["prune", "--judge", "three"], "no such judge: it has one (aaaa1111), two (aaaa2222), unknown"),
        (["prune", "--judge", ""], "no such judge"),
        (["prune", "--older-than", "-1"], "argument --older-than: "),
        (["prune", "--older-than", "nan"], "argument --older-than: "),
        (["export"], "the following arguments are required: --out"),
        (["import"], "the following arguments are required: files"),
        (["import", "missing.parquet"], "missing.parquet: no Parquet file"),
        (["statistics"], "invalid choice: 'statistics'"),
        ([], "the following arguments are required: report|"),
    ],
)
def test_oracle_names_a_mistake_in_one_line(cache, capsys, arguments, message):
    code, printed = run(capsys, *arguments)
    assert code == 2 and printed.startswith("ialp: error: ") and message in printed
    assert len(cache) == 16
