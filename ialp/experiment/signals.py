"""SIGTERM and Ctrl-C while a run trains."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)  # the last is how SLURM is mostly told to warn
TERMINATED = 128 + signal.SIGTERM  # exit code


class Terminated(SystemExit):
    """SIGTERM has ended the run."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


class StopRequest:
    """Whether somebody wants the run to stop.

    The first signal is noted. `patience` seconds later, or at a second signal, the run is ended wherever it is.
    """

    def __init__(self, patience: float = 5.0) -> None:
        self.patience = patience
        self.number: int | None = None
        self._before: dict[int, Any] = {}
        self._parent = os.getppid()
        self._timer: threading.Timer | None = None

    def listen(self) -> None:
        """Take the signals over; only the main thread can."""
        if threading.current_thread() is threading.main_thread() and not self._before:
            self._before = {number: signal.signal(number, self._note) for number in SIGNALS}

    def ignore(self) -> None:
        """Give the signals back."""
        self._cancel()
        for number, handler in self._before.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)
        self._before = {}

    def orphaned(self) -> bool:
        """Whether the process that started this one is gone, however it ended."""
        return os.getppid() != self._parent

    def raise_(self) -> None:
        """End the run: `KeyboardInterrupt` after Ctrl-C, else `Terminated`."""
        self._cancel()
        raise KeyboardInterrupt if self.number == signal.SIGINT else Terminated

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.number is not None:
            self.raise_()
        self.number = number
        self._timer = threading.Timer(self.patience, os.kill, (os.getpid(), number))
        self._timer.daemon = True
        self._timer.start()

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None


@contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """SIGTERM unwinds the stack instead of killing at once, so that no child outlives its run."""

    def leave(*_: Any) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, leave)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
