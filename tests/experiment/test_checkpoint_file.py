import errno
import io
import os
import zipfile
from pathlib import Path

import pytest
import torch

from ialp import files
from ialp.errors import UserError
from ialp.experiment.checkpoint_file import AtomicCheckpointIO, DamagedError, newest
from ialp.runs.folder import checkpoints

STATE = {"weights": torch.arange(1000.0), "step": 3, "names": ["a", None, (1, 2.5)]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "step-000000003.ckpt"
    AtomicCheckpointIO().save_checkpoint(STATE, path)
    return path


def test_checkpoint_io_loads_what_it_saved(path: Path) -> None:
    for loaded in (AtomicCheckpointIO().load_checkpoint(path), torch.load(path, weights_only=True)):
        assert torch.equal(loaded["weights"], STATE["weights"]) and loaded["names"] == STATE["names"]
    assert zipfile.ZipFile(path).testzip() is None
    assert os.listdir(path.parent) == [path.name]


def test_verify_notices_a_changed_byte_wherever_it_matters(path: Path) -> None:
    """Padding and unused fields of the archive hold nothing that is read."""
    data, noticed = path.read_bytes(), 0
    places = range(0, len(data), 7)
    for place in places:
        path.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
        try:
            loaded = AtomicCheckpointIO().load_checkpoint(path)
            assert torch.equal(loaded["weights"], STATE["weights"]) and loaded["names"] == STATE["names"], place
        except DamagedError as error:
            assert path.name in str(error)
            noticed += 1
    assert noticed > 0.8 * len(places)


@pytest.mark.parametrize("left", [0.0, 0.1, 0.5, 0.99, 0.9999])
def test_verify_notices_a_file_cut_short(path: Path, left: float) -> None:
    os.truncate(path, int(left * path.stat().st_size))
    with pytest.raises(DamagedError, match="cut short, or no checkpoint"):
        AtomicCheckpointIO().load_checkpoint(path)


def test_newest_names_the_last_good_one(path: Path) -> None:
    later = path.with_name("step-000000010.ckpt")
    AtomicCheckpointIO().save_checkpoint(STATE, later)
    assert newest(path.parent) == later and checkpoints(path.parent) == [later, path]
    os.truncate(later, 100)
    with pytest.raises(DamagedError, match=f"{later.name}: damaged.*goes on from {path}, the last good one"):
        newest(path.parent)
    os.truncate(path, 100)
    with pytest.raises(DamagedError, match="no good one is left"):
        newest(path.parent)


def test_newest_takes_the_last_checkpoint_before_any_step(path: Path) -> None:
    last = path.with_name("last.ckpt")
    AtomicCheckpointIO().save_checkpoint(STATE, last)
    assert newest(path.parent) == last
    assert newest(path.parent.parent) is None


def test_checkpoint_io_reads_foreign_checkpoints(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "foreign.ckpt")
    assert AtomicCheckpointIO().load_checkpoint(tmp_path / "foreign.ckpt")["step"] == 3


def test_checkpoint_io_unpickles_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"state": Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(UserError, match=r"trap.ckpt: holds more than tensors"):
        AtomicCheckpointIO().load_checkpoint(tmp_path / "trap.ckpt", weights_only=False)
    assert not (tmp_path / "sprung").exists()


def test_checkpoint_io_leaves_the_last_good_one_on_a_full_disk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(UserError, match=r"could not be written .No space left on device"):
        AtomicCheckpointIO().save_checkpoint({"step": 4}, path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_checkpoint_io_names_a_full_disk_in_torchs_writer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int, mode: str) -> io.FileIO:
        os.close(handle)
        return io.FileIO("/dev/full", mode)

    monkeypatch.setattr(files.os, "fdopen", full)
    with pytest.raises(UserError, match=r"x.ckpt: the checkpoint could not be written"):
        AtomicCheckpointIO().save_checkpoint(STATE, tmp_path / "x.ckpt")
    assert not list(tmp_path.iterdir())
