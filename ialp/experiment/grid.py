"""Runs configs x sets of overrides x seeds: each stage once, inputs first, several processes at a time."""

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from rich.console import Console
from rich.table import Table

from ialp.errors import UserError
from ialp.experiment.building import CHILD, check_missing, child_environment
from ialp.experiment.stages import Stage
from ialp.files import write_atomically
from ialp.printing import print_table
from ialp.runs.folder import GRIDS, SUMMARY, read_done
from ialp.runs.lock import locked

PATIENCE = 20.0  # seconds that a process has to end after it was asked to

State = StrEnum("State", "WAITING RUNNING REUSED FINISHED FAILED BLOCKED INTERRUPTED")
"""Of a run in a grid. REUSED: it was finished before; BLOCKED: an input of it failed."""

Plan = Callable[[Sequence[str], int | None], Stage]  # arguments of `ialp fit`, a seed -> the run


class Cell(NamedTuple):
    """One run that is asked for."""

    config: str
    overrides: str  # name of its set of overrides, "" without
    seed: int | None  # None: the config's own
    arguments: list[str]  # of `ialp fit`, without the seed


@dataclass
class Job:
    """One run, or one that could not be planned and has no `stage`.

    Attributes:
        config: Stem of its config.
        overrides: Names of the sets of overrides that ask for it; empty for an input that no cell asks for.
        reason: Why it failed, or what blocks it.
        seconds: How long its process ran or, if reused, the run took.
    """

    config: str
    seed: int | None
    stage: Stage | None = None
    overrides: list[str] = field(default_factory=list)
    state: State = State.WAITING
    reason: str = ""
    log: Path | None = None
    seconds: float = 0.0

    @property
    def folder(self) -> str:
        """The run's folder; "" for what could not be planned."""
        return str(self.stage.folder) if self.stage else ""

    @property
    def inputs(self) -> list[str]:
        """Folders of all runs that it is built on, however indirectly."""
        return [str(each.folder) for each in self.stage.lineage()[:-1]] if self.stage else []

    @property
    def title(self) -> str:
        """Config, sets of overrides and seed, for lines of output."""
        sets = "".join(f" {name}" for name in self.overrides if name)
        return f"{self.config}{sets}" + (f" seed {self.seed}" if self.seed is not None else "")

    def row(self, **more: str) -> dict[str, Any]:
        """Its row in summary.json."""
        which = {"config": self.config, **more, "seed": self.seed, "folder": self.folder or None}
        minutes, log = round(self.seconds / 60, 2), self.log and str(self.log)
        return {**which, "state": self.state, "reason": self.reason or None, "minutes": minutes, "log": log}


def plan_jobs(cells: Sequence[Cell], plan: Plan) -> list[Job]:
    """Every run that the cells need, inputs first, each once.

    Raises:
        UserError: Not one of the cells can be planned; the reason of the first.
    """
    jobs: dict[str, Job] = {}
    refused: list[Job] = []
    for cell in cells:
        try:
            stage = plan(cell.arguments, cell.seed)
            check_missing(stage, str(stage.config["missing"]))
            needed = [stage] if stage.finished else stage.lineage()
        except UserError as error:
            refused.append(Job(Path(cell.config).stem, cell.seed, None, [cell.overrides], State.FAILED, str(error)))
            continue
        for each in needed:
            job = jobs.setdefault(str(each.folder), Job(each.name, each.seed, each))
            if each.finished:
                job.state = State.REUSED
                job.seconds = float((read_done(each.folder) or {}).get("seconds") or 0.0)
        asked = jobs[str(stage.folder)].overrides
        asked += [cell.overrides] if cell.overrides not in asked else []
    if not jobs:
        raise UserError(refused[0].reason)
    return [*jobs.values(), *refused]


def run_grid(cells: Sequence[Cell], plan: Plan, processes: int, name: str, dry_run: bool = False) -> int:
    """Run all cells, and print a table at the end.

    Args:
        cells: Asked for, in the order of running.
        plan: Plans a run.
        processes: Runs at once.
        name: Of the folder below runs/grids, for summary.json and logs.
        dry_run: Only plan, and print the table.

    Returns:
        The exit code: 0 if all are finished, 1 if something failed, 128 + n if signal n ended it.

    Raises:
        UserError: Nothing of it can be run, or a grid of this name is at work.
    """
    jobs, ended_by = plan_jobs(cells, plan), 0
    if not dry_run:
        runs_dir = next(job.stage.config["runs_dir"] for job in jobs if job.stage and job.stage.config)
        folder = Path(runs_dir) / GRIDS / name
        with locked(folder, wait=False, refusal=f"{folder}: this grid is at work already; give another --name"):
            ended_by = Runner(jobs, processes, folder).run()
    print_jobs(jobs)
    print(standing(jobs) if dry_run else f"{standing(jobs)}\nsummary: {folder / SUMMARY}", flush=True)
    if ended_by:
        print("interrupted; the same command goes on where it stopped", flush=True)
    return 128 + ended_by if ended_by else int(any(job.state in (State.FAILED, State.BLOCKED) for job in jobs))


class Runner:
    """Runs jobs, inputs first, several at once, each in a process of its own; summary.json and logs go to `folder`."""

    def __init__(self, jobs: list[Job], processes: int, folder: Path) -> None:
        self.jobs, self.processes, self.folder = jobs, processes, folder
        self.running: dict[str, tuple[Job, subprocess.Popen[bytes], float]] = {}
        self.deadline = float("inf")  # for processes that were asked to end
        self.console = Console(soft_wrap=True, markup=False, highlight=False)

    def run(self, pause: float = 0.2) -> int:
        """Run all; the signal that ended this before its time, or 0.

        At a first signal the processes are asked to end; at a second, or if they do not in time, they are killed.
        """
        with collected_signals() as signals, self.console.status(standing(self.jobs)) as line:
            self._tell(*(job for job in self.jobs if job.state == State.FAILED))
            try:
                while self._step(signals):
                    line.update(standing(self.jobs))
                    time.sleep(pause)
            finally:  # whatever goes wrong here, no process is left behind
                self._signal(signal.SIGKILL)
        return signals[0] if self.deadline < float("inf") else 0

    def _step(self, signals: list[int]) -> bool:
        """Start and end what is due; False when nothing is left to wait for."""
        if signals and self.deadline == float("inf"):
            self.deadline = time.monotonic() + PATIENCE
            self._signal(signal.SIGTERM)
            self.console.print("stopping: running processes were asked to end; Ctrl-C again kills them")
        if len(signals) > 1 or time.monotonic() > self.deadline:
            self._signal(signal.SIGKILL)
        for job, process, start in list(self.running.values()):
            if (code := process.poll()) is not None:
                self._end(job, code, time.monotonic() - start)
        while not signals and len(self.running) < self.processes and (ready := self._ready()):
            self._start(ready[0])
        return bool(self.running)

    def _ready(self) -> list[Job]:
        """Jobs whose inputs are there, first what most others wait for."""
        done = {job.folder for job in self.jobs if job.state in (State.REUSED, State.FINISHED)}
        waiting = [job for job in self.jobs if job.state == State.WAITING]
        ready = [job for job in waiting if set(job.inputs) <= done]
        return sorted(ready, key=lambda job: -sum(job.folder in other.inputs for other in waiting))

    def _start(self, job: Job) -> None:
        assert job.stage is not None
        job.log = self.folder / "logs" / job.config / f"{job.stage.folder.name}.log"
        try:
            process = start_process(job.stage, job.log, self.processes)
        except OSError as error:
            return self._fail(job, f"could not be started: {error}")
        self.running[job.folder] = job, process, time.monotonic()
        job.state = State.RUNNING
        self._tell(job)

    def _end(self, job: Job, code: int, seconds: float) -> None:
        assert job.stage is not None and job.log is not None
        del self.running[job.folder]
        job.seconds = seconds
        if job.stage.finished or self.deadline < float("inf"):
            job.state = State.FINISHED if job.stage.finished else State.INTERRUPTED
            return self._tell(job)
        self._fail(job, failure(code, job.log))

    def _fail(self, job: Job, reason: str) -> None:
        job.state, job.reason = State.FAILED, reason
        blocked = [each for each in self.jobs if each.state == State.WAITING and job.folder in each.inputs]
        for other in blocked:
            other.state, other.reason = State.BLOCKED, f"{job.title} failed"
        self._tell(job, *blocked)

    def _signal(self, number: signal.Signals) -> None:
        """Send a signal to each process; to kill it, to all that it has started too."""
        for _, process, _ in self.running.values():
            (os.killpg if number == signal.SIGKILL else os.kill)(process.pid, number)

    def _tell(self, *jobs: Job) -> None:
        """Print a line for each job whose state has changed, and write the summary."""
        for job in jobs:
            about = f" (log {job.log})" if job.state == State.RUNNING else f": {job.reason}" if job.reason else ""
            self.console.print(f"{job.state} {job.title}{about}; {standing(self.jobs)}")
        content = {
            "processes": self.processes,
            "runs": Counter(job.state for job in self.jobs),
            "cells": [job.row(overrides=name) for job in self.jobs for name in job.overrides],
            "stages": [job.row() for job in self.jobs if not job.overrides],
        }
        write_atomically(self.folder / SUMMARY, json.dumps(content, indent=2) + "\n")


def start_process(stage: Stage, log: Path, processes: int) -> "subprocess.Popen[bytes]":
    """Start what makes a run, or waits where another process makes it; the cores are divided among `processes`.

    It leads a process group of its own: a terminal's Ctrl-C reaches the grid alone, which passes it on once.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = dict.fromkeys(("OMP_NUM_THREADS", "POLARS_MAX_THREADS"), str(max(1, cores // processes)))
    environment = threads | child_environment(stage) | {"PYTHONUNBUFFERED": "1"}
    del environment[CHILD]
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as file:
        return subprocess.Popen(
            command(stage), env=environment, stdin=subprocess.DEVNULL, stdout=file, stderr=file, process_group=0
        )


def command(stage: Stage) -> list[str]:
    """What makes a run."""
    return [sys.executable, "-m", "ialp", "fit", *stage.arguments, "--busy=wait"]


def failure(code: int, log: Path) -> str:
    """Why a process ended, in one line: its own error line, or what else is known."""
    lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
    errors = [line.removeprefix("ialp: error: ") for line in lines if line.startswith("ialp: error: ")]
    if code == 0:
        return "ended well but left no finished run here: its data or a config has changed since the grid began"
    if code < 0:
        killed = "killed from outside, perhaps for lack of memory"
        return killed if code == -signal.SIGKILL else f"ended by {signal.Signals(-code).name}"
    return errors[-1] if errors else f"exit code {code}" + (f": {lines[-1]}" if lines else "")


@contextmanager
def collected_signals() -> Iterator[list[int]]:
    """Signals that ask for an end are collected instead of ending this process; what was ignored stays ignored."""
    received: list[int] = []
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = {number: handler for number in numbers if (handler := signal.getsignal(number)) != signal.SIG_IGN}
    for number in before:
        signal.signal(number, lambda number, frame: received.append(number))
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def standing(jobs: Sequence[Job]) -> str:
    """How many are done, and how many in each other state, on one line."""
    counts = Counter(job.state for job in jobs)
    parts = [f"{counts[state]} {state}" for state in State if counts[state] and state != State.FINISHED]
    return ", ".join([f"{counts[State.REUSED] + counts[State.FINISHED]} of {len(jobs)} done", *parts])


def print_jobs(jobs: Sequence[Job]) -> None:
    """Print every run, and below them why some failed."""
    table = Table("config", "overrides", "seed", "state", "minutes", "run", box=None, pad_edge=False)
    for job in sorted(jobs, key=lambda job: not job.overrides):
        minutes, seed = f"{job.seconds / 60:.1f}" if job.seconds else "", "" if job.seed is None else str(job.seed)
        table.add_row(job.config, ", ".join(filter(None, job.overrides)), seed, job.state, minutes, job.folder)
    print_table(table)
    for job in (job for job in jobs if job.state == State.FAILED):
        print(f"failed {job.title}: {job.reason}" + (f" (log {job.log})" if job.log else ""))
