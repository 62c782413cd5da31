"""The processes of a grid: `ialp fit`, each with a log of its own, and signals that end them in good order."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import BinaryIO

from ialp.experiment.building import CHILD, child_environment
from ialp.experiment.grid_jobs import Job
from ialp.experiment.stages import Stage

THREADS = ("OMP_NUM_THREADS", "POLARS_MAX_THREADS")
"""How torch and polars are told how many threads to take."""

TAIL = 20_000
"""Bytes at the end of a log in which the reason of a failure is looked for."""

ERROR = "ialp: error: "


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def threads(processes: int) -> dict[str, str]:
    """How many threads each process takes, by variable: the cores divided, unless the user has set it."""
    share = str(max(1, cores() // processes))
    return {name: os.environ.get(name) or share for name in THREADS}


def environment(stage: Stage, processes: int) -> dict[str, str]:
    """Of the process that makes a run."""
    kept = {key: value for key, value in child_environment(stage).items() if key != CHILD}
    return kept | threads(processes) | {"PYTHONUNBUFFERED": "1"}


def command(stage: Stage) -> list[str]:
    """What makes a run, or waits where another process makes it, perhaps another grid's."""
    return [sys.executable, "-m", "ialp", "fit", *stage.arguments, "--busy=wait"]


def start(job: Job, environment: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    """Start a run's process, which writes into `job.log`.

    It leads a process group of its own: a terminal's Ctrl-C reaches the grid alone, which passes it on once.

    Raises:
        OSError: The system gives no process, or the log cannot be written.
    """
    assert job.stage is not None and job.log is not None
    with _opened(job.log) as log:
        return subprocess.Popen(
            command(job.stage),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            process_group=0,
        )


def signal_group(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to a run's process; to kill it, to all that it has started too."""
    try:
        if number == signal.SIGKILL:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    except ProcessLookupError:  # it has just ended
        pass


def failure(code: int, log: Path) -> str:
    """Why a process ended, in one line: its own error line, or what else is known."""
    lines = last_lines(log)
    said = [line.removeprefix(ERROR) for line in lines if line.startswith(ERROR)]
    if code == -signal.SIGKILL:
        return "killed from outside, perhaps for lack of memory"
    if code < 0:
        return f"ended by {signal.Signals(-code).name}"
    if code == 0:
        return "ended well but left no finished run here: its data or a config has changed since the grid began"
    return said[-1] if said else f"exit code {code}" + (f": {lines[-1]}" if lines else "")


def last_lines(log: Path) -> list[str]:
    """What a log ends with, without empty lines; nothing if there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]


@contextmanager
def counted_signals() -> Iterator[list[int]]:
    """Signals that ask for an end are collected instead of ending this process.

    What was ignored stays without effect (`nohup`, jobs in the background), but not for children: a process inherits
    what its parent ignores, and a child that ignores Ctrl-C could not be asked to end.
    """
    received: list[int] = []

    def collect(number: int, frame: FrameType | None) -> None:
        received.append(number)

    numbers = [signal.SIGINT, signal.SIGTERM, *([signal.SIGHUP] if hasattr(signal, "SIGHUP") else [])]
    before = {number: signal.getsignal(number) for number in numbers}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, collect)
        elif number == signal.SIGINT:
            signal.signal(number, _without_effect)
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _without_effect(number: int, frame: FrameType | None) -> None:
    """A handler, unlike SIG_IGN, is not inherited."""


def _opened(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path.open("wb")
