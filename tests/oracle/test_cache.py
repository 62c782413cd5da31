"""What is stored comes back, whatever else uses the file."""

import multiprocessing
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import JudgementCache
from ialp.oracle.cache import JudgeId


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_cache_judgements_come_back_bit_by_bit(tmp_path):
    stored = {key(i): torch.randn(11) for i in range(1300)}  # more than one query holds
    JudgementCache(tmp_path / "new" / "cache.sqlite").put_many(stored)
    found = JudgementCache(tmp_path / "new" / "cache.sqlite").get_many([*stored, key(9999)])
    assert found.keys() == stored.keys()
    assert all(torch.equal(found[name], stored[name]) for name in stored)


def test_cache_first_answer_stays():
    cache = JudgementCache()
    cache.put_many({key(1): torch.zeros(3)})
    cache.put_many({key(1): torch.ones(3), key(2): torch.ones(3)})
    assert cache.get_many([key(1)])[key(1)].tolist() == [0, 0, 0]
    assert len(cache) == 2


@pytest.mark.parametrize("name", ["cache.sqlite", None])
def test_cache_threads_share_a_cache(tmp_path, name):
    cache = JudgementCache(tmp_path / name if name else None)

    def write(first: int) -> None:
        for batch in range(first, first + 100, 10):
            answers = {key(i): torch.full((3,), float(i)) for i in range(batch, batch + 10)}
            cache.put_many(answers)
            assert cache.get_many(list(answers), 3).keys() == answers.keys()
        finished.append(first)

    finished: list[int] = []
    threads = [threading.Thread(target=write, args=(first,)) for first in (0, 50, 100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(finished) == [0, 50, 100] and len(cache) == 200


def test_cache_nothing_asked_nothing_found():
    assert JudgementCache().get_many([]) == {}


def test_cache_batch_is_all_or_nothing(tmp_path):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    with pytest.raises(AttributeError):
        cache.put_many({key(1): torch.zeros(3), key(2): None})
    assert len(cache) == 0


def test_cache_damaged_file_is_named(tmp_path):
    path = tmp_path / "broken.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(UserError, match=r"broken\.sqlite: file is not a database; delete the file"):
        JudgementCache(path)


def test_cache_damage_in_the_middle_is_named(tmp_path):
    path = tmp_path / "broken.sqlite"
    cache = JudgementCache(path)
    cache.put_many({key(i): torch.zeros(11) for i in range(2000)})
    cache.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.sqlite"):
        JudgementCache(path).get_many([key(i) for i in range(2000)])


def test_cache_folder_is_no_cache(tmp_path):
    with pytest.raises(UserError, match="unable to open"):
        JudgementCache(tmp_path)


def test_cache_who_answered_and_when_is_kept(tmp_path):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    start = int(time.time())
    cache.put_many({key(1): torch.zeros(3)}, JudgeId("f1", "one"))
    cache.put_many({key(1): torch.ones(3), key(2): torch.ones(3)}, JudgeId("f2", "two"))
    cache.put_many({key(3): torch.ones(3)}, JudgeId("f1", "renamed"))
    with cache.open() as connection:
        query = "SELECT fingerprint, name, asked_at FROM judgements JOIN judges ON id = judge ORDER BY key"
        rows = connection.execute(query).fetchall()
    assert [row[:2] for row in rows] == [("f1", "one"), ("f2", "two"), ("f1", "one")]
    assert all(start <= row[2] <= time.time() for row in rows)


@pytest.mark.parametrize("value", [b"", b"12345", b"\0" * 16, "text", None])
def test_cache_judgement_of_the_wrong_size_is_refused(tmp_path, value):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    cache.put_many({key(1): torch.zeros(3), key(2): torch.zeros(3)})
    with cache.open() as connection, connection:
        connection.execute("UPDATE judgements SET value = ? WHERE key = ?", (value, key(2)))
    assert cache.get_many([key(1)], labels=3).keys() == {key(1)}
    with pytest.raises(UserError, match=r"cache\.sqlite: a judgement is not of 3 numbers; delete"):
        cache.get_many([key(1), key(2)], labels=3)


def write(path: str, first: int, start: "multiprocessing.synchronize.Barrier", name: str) -> None:
    start.wait(30)  # all make the file at once
    cache = JudgementCache(path)
    for batch in range(first, first + 100, 10):
        answers = {key(i): torch.full((3,), float(i)) for i in range(batch, batch + 10)}
        cache.put_many(answers, JudgeId(name, name))
        assert cache.get_many(list(answers), 3).keys() == answers.keys()


@pytest.mark.parametrize("turn", range(3))
def test_cache_four_processes_share_a_file(tmp_path, turn):
    path = str(tmp_path / "cache.sqlite")
    context = multiprocessing.get_context("fork")
    start = context.Barrier(4)
    firsts = (0, 50, 100, 50)
    writers = [context.Process(target=write, args=(path, first, start, f"j{n}")) for n, first in enumerate(firsts)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(60)
        assert writer.exitcode == 0
    found = JudgementCache(path).get_many([key(i) for i in range(300)], labels=3)
    assert found.keys() == {key(i) for i in range(200)}
    assert all(found[key(i)].tolist() == [float(i)] * 3 for i in range(200))
    with JudgementCache(path).open() as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert connection.execute("SELECT COUNT(*) FROM judges").fetchone() == (4,)


WRITER = """
import sys, torch
from ialp.oracle.cache import JudgementCache
cache = JudgementCache(sys.argv[1])
for batch in range(100_000):
    numbers = range(batch * 50, batch * 50 + 50)
    cache.put_many({i.to_bytes(32, "big"): torch.full((11,), float(i)) for i in numbers})
    print(batch, flush=True)
"""


def test_cache_killed_writer_leaves_all_that_it_had_finished(tmp_path):
    path = tmp_path / "cache.sqlite"
    command = [sys.executable, "-c", WRITER, str(path)]
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2]), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as writer:
        for _ in range(20):
            writer.stdout.readline()
        time.sleep(0.005)
        writer.send_signal(signal.SIGKILL)
        finished = 20 + sum(line.endswith("\n") for line in writer.stdout)
    cache = JudgementCache(path)
    assert len(cache) in (50 * finished, 50 * finished + 50)  # the last may have been stored and not yet said
    found = cache.get_many([key(i) for i in range(50 * finished)], labels=11)
    assert all(found[key(i)].tolist() == [float(i)] * 11 for i in range(50 * finished))
    cache.put_many({key(10**6): torch.zeros(11)})


def in_a_fork(function, *arguments) -> str:
    """What the UserError says with which the function ends in a process of its own; empty without one."""

    def run() -> None:
        try:
            function(*arguments)
        except UserError as error:
            sending.send(str(error))
        else:
            sending.send("")

    context = multiprocessing.get_context("fork")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == 0
    return receiving.recv()


def fill_the_disk(path: Path) -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
    cache = JudgementCache(path)
    for batch in range(100):
        cache.put_many({key(i): torch.zeros(11) for i in range(batch * 50, batch * 50 + 50)})


def test_cache_full_disk_keeps_what_was_stored(tmp_path):
    path = tmp_path / "cache.sqlite"
    said = in_a_fork(fill_the_disk, path)
    assert "cache.sqlite: disk I/O error; see that its disk has room" in said and said.count("\n") == 0
    stored = len(JudgementCache(path))
    assert stored > 0 and stored % 50 == 0
    assert len(JudgementCache(path).get_many([key(i) for i in range(stored)], labels=11)) == stored


def test_cache_full_file_says_so(tmp_path):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    with cache.open() as connection:
        connection.execute("PRAGMA max_page_count = 10")
    with pytest.raises(UserError, match=r"cache\.sqlite: database or disk is full; make room on its disk"):
        cache.put_many({key(i): torch.zeros(11) for i in range(1000)})
    assert len(cache) == 0
    cache.put_many({key(1): torch.zeros(11)})


def without_permission(path: Path) -> None:
    if os.geteuid() == 0:
        os.setuid(65534)  # root may write everything
    JudgementCache(path)


@pytest.mark.parametrize("there", [True, False])
def test_cache_no_permission_to_write(there):
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are its user's alone
        path = Path(folder) / "cache.sqlite"
        if there:
            JudgementCache(path).close()
            path.chmod(0o444)
        Path(folder).chmod(0o555)
        said = in_a_fork(without_permission, path)
        Path(folder).chmod(0o755)
    problem = "attempt to write a readonly database" if there else "unable to open database file"
    assert said == f"judgement cache {path}: {problem}; make it and its folder writable, or name another file"


def test_cache_another_programs_database_is_left_alone(tmp_path):
    path = tmp_path / "theirs.sqlite"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE runs (id INTEGER)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    with pytest.raises(UserError, match=r"theirs\.sqlite: another program's database; name another file"):
        JudgementCache(path)
    assert path.read_bytes() == before and os.listdir(tmp_path) == ["theirs.sqlite"]


def ask_after_fork(cache: JudgementCache) -> None:
    inherited = cache._connection
    assert cache.get_many([key(1)])[key(1)].tolist() == [0, 0]
    assert cache._connection is not inherited  # SQLite's connections do not survive a fork
    cache.put_many({key(2): torch.ones(2)})


def test_cache_survives_a_fork(tmp_path):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    cache.put_many({key(1): torch.zeros(2)})
    child = multiprocessing.get_context("fork").Process(target=ask_after_fork, args=(cache,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert len(cache) == 2


def test_cache_fork_does_not_wait_for_a_thread_that_it_has_not(tmp_path):
    """Another thread reads while the process forks: in the child nobody would ever end its turn."""
    cache = JudgementCache(tmp_path / "cache.sqlite")
    cache.put_many({key(1): torch.zeros(2)})
    begun, forked = threading.Event(), threading.Event()

    def read() -> None:
        with cache.open():
            begun.set()
            forked.wait(30)

    reader = threading.Thread(target=read)
    reader.start()
    begun.wait(30)
    child = multiprocessing.get_context("fork").Process(target=ask_after_fork, args=(cache,))
    child.start()
    child.join(20)
    forked.set()
    reader.join()
    exitcode = child.exitcode
    child.kill()
    assert exitcode == 0 and len(cache) == 2
