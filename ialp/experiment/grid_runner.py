"""Runs a grid: what is ready, as many at once as there are processes, inputs before what is built on them."""

import signal
import subprocess
import time
from collections.abc import Callable
from graphlib import TopologicalSorter
from pathlib import Path

from ialp.experiment.grid_children import counted_signals, environment, failure, signal_group, start
from ialp.experiment.grid_jobs import Board, Job, State

PATIENCE = 20.0
"""Seconds that a process has to end after it was asked to."""

Tell = Callable[[Job], None]
"""Called whenever the state of a run changes."""


class Runner:
    """Takes the runs of a board from waiting to their ends.

    Args:
        board: All runs.
        logs: Folder for the logs of their processes.
        tell: Hears of every change.
        tick: Called several times a second.
    """

    def __init__(self, board: Board, logs: Path, tell: Tell, tick: Callable[[], None], pause: float = 0.2) -> None:
        self.board, self.logs, self.tell, self.tick, self.pause = board, logs, tell, tick, pause
        self.running: dict[str, tuple[Job, subprocess.Popen[bytes]]] = {}
        self.ready: list[Job] = []
        self.deadline = float("inf")  # for processes that were asked to end
        self.waiting = {job.key: job for job in board.of(State.WAITING)}
        self.needed = {key: board.needed(job) for key, job in self.waiting.items()}
        keys = self.waiting.keys()
        self.order = TopologicalSorter({key: keys & set(job.lineage) - {key} for key, job in self.waiting.items()})
        self.order.prepare()

    def run(self) -> int:
        """Run all, and return the signal that ended this before its time, 0 without.

        On a first signal the processes are asked to end, on a second, or if they do not in time, they are killed.
        """
        with counted_signals() as signals:
            try:
                while self._step(signals):
                    self.tick()
                    time.sleep(self.pause)
            finally:  # whatever goes wrong here, no process is left behind
                for _, process in self.running.values():
                    signal_group(process, signal.SIGKILL)
        return signals[0] if self.board.stopping else 0

    def _step(self, signals: list[int]) -> bool:
        """Start and end what is due; False when nothing is left to wait for."""
        if signals and not self.board.stopping:
            self._stop()
        if len(signals) > 1 or time.monotonic() > self.deadline:
            for _, process in self.running.values():
                signal_group(process, signal.SIGKILL)
        for job, process in list(self.running.values()):
            if (code := process.poll()) is not None:
                self._end(job, code)
        self._fill()
        return bool(self.running)

    def _stop(self) -> None:
        self.board.stopping, self.deadline = True, time.monotonic() + PATIENCE
        for _, process in self.running.values():
            signal_group(process, signal.SIGINT)

    def _fill(self) -> None:
        """Start what is ready, first what most others wait for."""
        while not self.board.stopping:
            self.ready += [self.waiting[key] for key in self.order.get_ready()]
            if not self.ready or len(self.running) >= self.board.processes:
                return
            self.ready.sort(key=lambda job: -self.needed[job.key])
            self._start(self.ready.pop(0))

    def _start(self, job: Job) -> None:
        assert job.stage is not None
        if job.stage.finished:  # by another process, in the meantime
            job.reuse()
            return self._through(job)
        job.log = self.logs / job.stage.folder.parent.name / f"{job.stage.folder.name}.log"
        try:
            process = start(job, environment(job.stage, self.board.processes))
        except OSError as error:
            return self._fail(job, f"could not be started: {error}")
        job.state, job.start = State.RUNNING, time.monotonic()
        self.running[job.key] = job, process
        self.tell(job)

    def _end(self, job: Job, code: int) -> None:
        assert job.stage is not None and job.log is not None
        del self.running[job.key]
        job.seconds = time.monotonic() - job.start
        if job.stage.finished:
            job.state = State.FINISHED
            self._through(job)
        elif self.board.stopping:
            job.state = State.INTERRUPTED
            self.tell(job)
        else:
            self._fail(job, failure(code, job.log))

    def _through(self, job: Job) -> None:
        self.order.done(job.key)
        self.tell(job)

    def _fail(self, job: Job, reason: str) -> None:
        job.state, job.reason = State.FAILED, reason
        self.tell(job)
        for blocked in self.board.block(job):
            self.tell(blocked)
