"""One process at a time makes a run, or works on a grid."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ialp.errors import UserError


@contextmanager
def locked(folder: Path, wait: bool = True, refusal: str = "") -> Iterator[None]:
    """Hold the lock of a run's or grid's folder, which goes with the process, however that ends.

    Raises:
        UserError: Another process holds it, and not `wait`; `refusal` is the message.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file(folder))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise UserError(refusal or busy(folder)) from None
        print(f"waiting: another process is making {folder}", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def lock_file(folder: Path) -> Path:
    """Beside the folder, which may not be there yet."""
    return folder.parent / f".{folder.name}.lock"


def busy(folder: Path) -> str:
    """The message about a run that another process is making."""
    return f"{folder}: another process is making this run; --busy wait waits for it, another --runs_dir makes another"


def being_made(folder: Path) -> bool:
    """Whether a process on this machine holds a folder's lock. Leaves nothing behind."""
    if not lock_file(folder).is_file():
        return False
    try:
        with FileLock(lock_file(folder), timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # the lock is somebody else's, or the disk is read-only: nobody here can be making it
        return False


def set_aside(folder: Path) -> None:
    """Rename what an interrupted run has left."""
    if folder.exists():
        number = next(n for n in range(1, 10_000) if not Path(f"{folder}.unfinished-{n}").exists())
        folder.rename(f"{folder}.unfinished-{number}")
