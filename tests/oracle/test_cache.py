"""What is stored comes back, whatever else uses the file."""

import multiprocessing

import pytest
import torch

from ialp.errors import UserError
from ialp.oracle import JudgementCache


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def test_judgements_come_back_bit_by_bit(tmp_path):
    stored = {key(i): torch.randn(11) for i in range(1300)}  # more than one query holds
    JudgementCache(tmp_path / "new" / "cache.sqlite").put_many(stored)
    found = JudgementCache(tmp_path / "new" / "cache.sqlite").get_many([*stored, key(9999)])
    assert found.keys() == stored.keys()
    assert all(torch.equal(found[name], stored[name]) for name in stored)


def test_the_first_answer_stays():
    cache = JudgementCache()
    cache.put_many({key(1): torch.zeros(3)})
    cache.put_many({key(1): torch.ones(3), key(2): torch.ones(3)})
    assert cache.get_many([key(1)])[key(1)].tolist() == [0, 0, 0]
    assert len(cache) == 2


def test_nothing_asked_nothing_found():
    assert JudgementCache().get_many([]) == {}


def test_a_batch_is_all_or_nothing(tmp_path):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    with pytest.raises(AttributeError):
        cache.put_many({key(1): torch.zeros(3), key(2): None})
    assert len(cache) == 0


def test_a_damaged_file_is_named(tmp_path):
    path = tmp_path / "broken.sqlite"
    path.write_bytes(b"this is no database" * 100)
    with pytest.raises(UserError, match=r"broken\.sqlite: file is not a database; delete the file"):
        JudgementCache(path)


def test_damage_in_the_middle_is_named(tmp_path):
    path = tmp_path / "broken.sqlite"
    cache = JudgementCache(path)
    cache.put_many({key(i): torch.zeros(11) for i in range(2000)})
    cache.close()
    content = bytearray(path.read_bytes())
    content[4096:] = b"\xff" * (len(content) - 4096)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"broken\.sqlite"):
        JudgementCache(path).get_many([key(i) for i in range(2000)])


def test_a_folder_is_no_cache(tmp_path):
    with pytest.raises(UserError, match="unable to open"):
        JudgementCache(tmp_path)


def write(path: str, first: int) -> None:
    cache = JudgementCache(path)
    for start in range(first, first + 100, 10):
        cache.put_many({key(i): torch.full((3,), float(i)) for i in range(start, start + 10)})


def test_several_processes_share_a_file(tmp_path):
    path = str(tmp_path / "cache.sqlite")
    parent = JudgementCache(path)
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=write, args=(path, first)) for first in (0, 50, 100)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert len(parent) == 200
    assert parent.get_many([key(150)])[key(150)].tolist() == [150.0] * 3


def ask_after_fork(cache: JudgementCache) -> None:
    inherited = cache._connection
    assert cache.get_many([key(1)])[key(1)].tolist() == [0, 0]
    assert cache._connection is not inherited  # SQLite's connections do not survive a fork
    cache.put_many({key(2): torch.ones(2)})


def test_a_cache_survives_a_fork(tmp_path):
    cache = JudgementCache(tmp_path / "cache.sqlite")
    cache.put_many({key(1): torch.zeros(2)})
    child = multiprocessing.get_context("fork").Process(target=ask_after_fork, args=(cache,))
    child.start()
    child.join()
    assert child.exitcode == 0
    assert len(cache) == 2
