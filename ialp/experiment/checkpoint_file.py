"""Checkpoint files that are whole, or are refused: written beside and renamed, with a hash that covers every byte."""

import hashlib
import os
import pickle
import struct
from pathlib import Path
from typing import IO, Any

import torch
from lightning.fabric.plugins import CheckpointIO

from ialp.errors import UserError
from ialp.runs.folder import checkpoints

MARK = b"ialp-sha256:"
SEAL = len(MARK) + 64
"""Bytes of the mark and the hash in hex, which are the comment of the zip archive that torch writes: `torch.load` reads
a sealed file like any other."""

END = b"PK\5\6" + bytes(18)
"""The shape of an archive's end without a comment, as torch writes it: its mark and 18 bytes."""

PARTIAL = ".partial"


class DamagedError(UserError):
    """A checkpoint that is not what was written."""


class SealedCheckpointIO(CheckpointIO):
    """Lightning's way to write and read checkpoints, made safe: whole or absent, and never unpickled without limits."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        """Write beside `path`, seal, sync and rename.

        Raises:
            UserError: The disk is full, or the folder cannot be written; what was there before is untouched.
        """
        path = Path(path)
        partial = path.with_name(f".{path.name}{PARTIAL}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with open(partial, "w+b") as file:
                torch.save(checkpoint, file)
                seal(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(partial, path)
            sync_folder(path.parent)
        except (OSError, RuntimeError) as error:  # torch says RuntimeError where its writer cannot go on
            raise UserError(_not_written(path, error)) from error
        finally:
            partial.unlink(missing_ok=True)

    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """What was saved, read by the restricted unpickler whatever `weights_only` says.

        Raises:
            DamagedError: Bytes are missing or changed.
            UserError: No such file, or it holds Python objects.
        """
        del weights_only
        path = Path(path)
        if not path.is_file():
            raise UserError(f"{path}: no such checkpoint")
        verify(path)
        try:
            return torch.load(path, map_location=map_location, weights_only=True)
        except pickle.UnpicklingError as error:
            reason = str(error).splitlines()[0]
            raise UserError(
                f"{path}: holds more than tensors, numbers and texts, which is not read: {reason}"
            ) from None

    def remove_checkpoint(self, path: str | Path) -> None:
        """Remove a file, if it is there."""
        Path(path).unlink(missing_ok=True)


def seal(file: IO[bytes]) -> None:
    """Append the hash of an archive's bytes as its comment; `file` is open for reading and writing."""
    end = file.seek(0, os.SEEK_END)
    file.seek(end - 2)
    file.write(struct.pack("<H", SEAL))  # the archive's last two bytes: the length of its comment
    digest = _digest(file, end)
    file.seek(end)
    file.write(MARK + digest.encode())


def verify(path: Path, sealed: bool = False) -> None:
    """Check a checkpoint's bytes; `sealed` says that it was written here, so that a missing hash is a fault.

    Raises:
        DamagedError: Bytes are missing or changed.
    """
    with open(path, "rb") as file:
        end = max(file.seek(0, os.SEEK_END) - SEAL, 0)
        file.seek(end)
        mark = file.read()
        if mark.startswith(MARK):
            if _digest(file, end) != mark[len(MARK) :].decode(errors="replace"):
                raise DamagedError(f"{path}: damaged: its bytes are not those that were written")
        elif sealed or not mark[-len(END) :].startswith(END[:4]):
            raise DamagedError(f"{path}: damaged: cut short, or no checkpoint at all")


def _digest(file: IO[bytes], end: int) -> str:
    """SHA-256 (hex) of the first `end` bytes."""
    hasher, left = hashlib.sha256(), end
    file.seek(0)
    while left and (block := file.read(min(left, 1 << 20))):
        hasher.update(block)
        left -= len(block)
    return hasher.hexdigest()


def sync_folder(folder: Path) -> None:
    """Make a rename last through a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _not_written(path: Path, error: Exception) -> str:
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error).splitlines()[0]
    return f"{path}: the checkpoint could not be written ({reason})"


def newest(folder: Path) -> Path | None:
    """The checkpoint from which a run goes on; None where there is none.

    Raises:
        DamagedError: The newest one is; the message names the last good one.
    """
    found = checkpoints(folder)
    if not found:
        return None
    try:
        verify(found[0], sealed=True)
    except DamagedError as error:
        good = next((path for path in found[1:] if _good(path)), None)
        way = (
            f"remove it, and the run goes on from {good}, the last good one"
            if good
            else ("no good one is left: remove it, and the run starts anew")
        )
        raise DamagedError(f"{error}; {way}") from None
    return found[0]


def _good(path: Path) -> bool:
    try:
        verify(path, sealed=True)
    except DamagedError:
        return False
    return True


def remove_partial(folder: Path) -> None:
    """Remove what a killed process was writing."""
    for path in folder.glob(f".*{PARTIAL}"):
        path.unlink(missing_ok=True)
