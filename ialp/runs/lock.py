"""One process at a time makes a run."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from ialp.errors import UserError


@contextmanager
def locked(folder: Path, wait: bool = True) -> Iterator[None]:
    """One process at a time makes a run; the lock goes with the process, however it ends.

    Raises:
        UserError: Another one is making it, and not `wait`.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder.parent / f".{folder.name}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not wait:
            raise UserError(busy(folder)) from None
        print(f"waiting: another process is making {folder}", flush=True)
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def busy(folder: Path) -> str:
    """What a run is told that another process is making."""
    return f"{folder}: another process is making this run; --busy wait waits for it, another --runs_dir makes another"


def being_made(folder: Path) -> bool:
    """Whether a process on this machine holds the lock of a run's folder. Leaves nothing behind."""
    path = folder.parent / f".{folder.name}.lock"
    if not path.is_file():
        return False
    try:
        with FileLock(path, timeout=0):
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
