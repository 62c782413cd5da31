"""Checkpoint files that are whole, or are refused by name."""

import pickle
import zipfile
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins import CheckpointIO
from typing_extensions import override

from ialp.errors import UserError
from ialp.files import replacing
from ialp.runs.folder import checkpoints


class DamagedError(UserError):
    """A checkpoint that is not what was written."""


class AtomicCheckpointIO(CheckpointIO):
    """Writes a checkpoint whole or not at all, and reads it only if no byte of it has changed, without unpickling."""

    @override
    def save_checkpoint(self, checkpoint: dict[str, Any], path: str | Path, storage_options: Any = None) -> None:
        try:
            with replacing(Path(path)) as file:
                torch.save(checkpoint, file)
        except (OSError, RuntimeError) as error:  # RuntimeError: torch's writer on a full disk
            reason = (isinstance(error, OSError) and error.strerror) or str(error).splitlines()[0]
            raise UserError(f"{path}: the checkpoint could not be written ({reason})") from error

    @override
    def load_checkpoint(
        self, path: str | Path, map_location: Any = "cpu", weights_only: bool | None = True
    ) -> dict[str, Any]:
        """Read with the restricted unpickler, whatever `weights_only` says.

        Raises:
            DamagedError: Bytes are missing or changed.
            UserError: No such file, or it holds Python objects.
        """
        if not Path(path).is_file():
            raise UserError(f"{path}: no such checkpoint")
        verify(Path(path))
        return torch.load(path, map_location=map_location, weights_only=True)

    @override
    def remove_checkpoint(self, path: str | Path) -> None:
        Path(path).unlink(missing_ok=True)


def verify(path: Path) -> None:
    """Check the CRC that the zip archive of torch has for each of its parts, and whether torch can open it.

    Raises:
        DamagedError: Bytes are missing or changed.
        UserError: It holds Python objects.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            damaged = archive.testzip()
        if not damaged:
            torch.load(path, map_location="cpu", mmap=True, weights_only=True)
    except pickle.UnpicklingError as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"{path}: holds more than tensors, numbers and texts, which is not read: {reason}") from None
    except Exception as error:  # damage in the archive's headers shows as errors of many kinds
        raise DamagedError(f"{path}: damaged: cut short, or no checkpoint at all ({error})") from None
    if damaged:
        raise DamagedError(f"{path}: damaged: its bytes are not those that were written")


def newest(folder: Path) -> Path | None:
    """The checkpoint from which a run goes on; None where there is none.

    Raises:
        DamagedError: The newest one is damaged; the message names the last good one.
    """
    reason: UserError | None = None
    for path in checkpoints(folder):
        try:
            verify(path)
        except DamagedError as error:
            reason = reason or error
            continue
        if reason is None:
            return path
        raise DamagedError(f"{reason}; remove it, and the run goes on from {path}, the last good one")
    if reason is not None:
        raise DamagedError(f"{reason}; remove it, and the run starts anew: no good one is left")
    return None
