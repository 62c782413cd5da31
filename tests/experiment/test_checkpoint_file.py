import errno
import io
import os
import zipfile
from pathlib import Path

import pytest
import torch

from ialp.errors import UserError
from ialp.experiment import checkpoint_file
from ialp.experiment.checkpoint_file import DamagedError, SealedCheckpointIO, newest, verify
from ialp.runs.folder import checkpoints

STATE = {"weights": torch.arange(1000.0), "step": 3, "names": ["a", None, (1, 2.5)]}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "checkpoints" / "step-000000003.ckpt"
    SealedCheckpointIO().save_checkpoint(STATE, path)
    return path


def test_what_is_saved_is_loaded_by_us_and_by_torch(path: Path) -> None:
    for loaded in (SealedCheckpointIO().load_checkpoint(path), torch.load(path, weights_only=True)):
        assert torch.equal(loaded["weights"], STATE["weights"]) and loaded["names"] == STATE["names"]
    assert zipfile.ZipFile(path).testzip() is None
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("place", [0, 40, 0.3, 0.5, 0.9, -1, -77, -78, -90])
def test_a_changed_byte_is_noticed_wherever_it_is(path: Path, place: float) -> None:
    data = bytearray(path.read_bytes())
    data[int(place * len(data)) if 0 < place < 1 else int(place)] ^= 1
    path.write_bytes(data)
    with pytest.raises(DamagedError, match=path.name):
        verify(path, sealed=True)


@pytest.mark.parametrize("left", [0.0, 0.1, 0.5, 0.99, 0.9999])
def test_a_file_cut_short_is_noticed(path: Path, left: float) -> None:
    os.truncate(path, int(left * path.stat().st_size))
    with pytest.raises(DamagedError, match="cut short, or no checkpoint"):
        SealedCheckpointIO().load_checkpoint(path)


def test_the_last_good_one_is_named(path: Path) -> None:
    later = path.with_name("step-000000010.ckpt")
    SealedCheckpointIO().save_checkpoint(STATE, later)
    assert newest(path.parent) == later and checkpoints(path.parent) == [later, path]
    os.truncate(later, 100)
    with pytest.raises(DamagedError, match=f"{later.name}: damaged.*goes on from {path}, the last good one"):
        newest(path.parent)
    os.truncate(path, 100)
    with pytest.raises(DamagedError, match="no good one is left"):
        newest(path.parent)


def test_the_last_checkpoint_is_newer_than_any_step(path: Path) -> None:
    last = path.with_name("last.ckpt")
    SealedCheckpointIO().save_checkpoint(STATE, last)
    assert newest(path.parent) == last
    assert newest(path.parent.parent) is None


def test_foreign_checkpoints_are_read_without_a_hash(tmp_path: Path) -> None:
    torch.save(STATE, tmp_path / "foreign.ckpt")
    assert SealedCheckpointIO().load_checkpoint(tmp_path / "foreign.ckpt")["step"] == 3


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return os.mkdir, (str(tmp_path / "sprung"),)

    torch.save({"state": Trap()}, tmp_path / "trap.ckpt")
    with pytest.raises(UserError, match=r"trap.ckpt: holds more than tensors"):
        SealedCheckpointIO().load_checkpoint(tmp_path / "trap.ckpt", weights_only=False)
    assert not (tmp_path / "sprung").exists()


def test_a_full_disk_leaves_the_last_good_one(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint_file.os, "fsync", full)
    with pytest.raises(UserError, match=r"could not be written .No space left on device"):
        SealedCheckpointIO().save_checkpoint({"step": 4}, path)
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no /dev/full")
def test_torchs_own_writer_meets_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    full = io.FileIO("/dev/full", "w+b")
    monkeypatch.setattr(checkpoint_file, "open", lambda *_: full, raising=False)
    with pytest.raises(UserError, match=r"x.ckpt: the checkpoint could not be written"):
        SealedCheckpointIO().save_checkpoint(STATE, tmp_path / "x.ckpt")
    assert not list(tmp_path.iterdir())
