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

from rich.table import Table

from ialp.errors import UserError
from ialp.experiment.building import check_missing, child_environment
from ialp.experiment.processes import CHILD
from ialp.experiment.stages import Stage
from ialp.files import write_atomically
from ialp.printing import print_table
from ialp.runs.folder import GRIDS, SUMMARY
from ialp.runs.lock import locked

PATIENCE = 20.0  # seconds that processes have to end after they were asked to

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
    """One run, or one that could not be planned and has no `stage`."""

    config: str  # its stem
    seed: int | None
    stage: Stage | None = None
    overrides: list[str] = field(default_factory=list)  # sets that ask for it; none for an input of others
    state: State = State.WAITING
    reason: str = ""  # why it failed, or what blocks it
    log: Path | None = None
    seconds: float = 0.0  # that its process ran

    @property
    def folder(self) -> str:
        """The run's folder; "" for what could not be planned."""
        return str(self.stage.folder) if self.stage else ""

    @property
    def inputs(self) -> set[str]:
        """Folders of all runs that it is built on, however indirectly."""
        return {str(each.folder) for each in self.stage.lineage()[:-1]} if self.stage else set()

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
        except UserError as error:
            refused.append(Job(Path(cell.config).stem, cell.seed, None, [cell.overrides], State.FAILED, str(error)))
            continue
        for each in [stage] if stage.finished else stage.lineage():
            job = jobs.setdefault(str(each.folder), Job(each.name, each.seed, each))
            if each.finished:
                job.state = State.REUSED
        asked = jobs[str(stage.folder)].overrides
        asked += [cell.overrides] if cell.overrides not in asked else []
    if not jobs:
        raise UserError(refused[0].reason)
    return [*jobs.values(), *refused]


def run_grid(cells: Sequence[Cell], plan: Plan, processes: int, name: str, dry_run: bool = False) -> int:
    """Run all cells, `processes` at once, and print a table at the end; a `dry_run` only plans, and prints it.

    `name` is that of the folder below runs/grids, for summary.json and logs.

    Returns:
        The exit code: 0 if all are finished, 1 if something failed, 128 + n if signal n ended it.

    Raises:
        UserError: Nothing of it can be run, or a grid of this name is at work.
    """
    jobs = plan_jobs(cells, plan)
    if dry_run:
        print_jobs(jobs)
        print(standing(jobs))
        return 0
    runs_dir = next(job.stage.config["runs_dir"] for job in jobs if job.stage and job.stage.config)
    folder = Path(runs_dir) / GRIDS / name
    with locked(folder, wait=False, refusal=f"{folder}: this grid is at work already; give another --name"):
        ended_by = Runner(jobs, processes, folder).run()
    print_jobs(jobs)
    print(f"{standing(jobs)}\nsummary: {folder / SUMMARY}", flush=True)
    if ended_by:
        print("interrupted; the same command goes on where it stopped", flush=True)
        return 128 + ended_by
    return int(any(job.state in (State.FAILED, State.BLOCKED) for job in jobs))


class Runner:
    """Runs jobs in processes of their own, inputs first; summary.json and logs go to `folder`."""

    def __init__(self, jobs: list[Job], processes: int, folder: Path) -> None:
        self.jobs, self.processes, self.folder = jobs, processes, folder
        self.running: list[tuple[Job, subprocess.Popen[bytes], float]] = []

    def run(self, pause: float = 0.2) -> int:
        """Run all; the signal that ended this before its time, or 0."""
        self._tell(*(job for job in self.jobs if job.state == State.FAILED))
        with collected_signals() as signals:
            try:
                while not signals and self._start_and_end():
                    time.sleep(pause)
                if signals:
                    self._stop(signals)
            finally:  # whatever goes wrong here, no process is left behind
                for _, process, _ in self.running:
                    if process.poll() is None:
                        os.killpg(process.pid, signal.SIGKILL)
        return signals[0] if signals else 0

    def _start_and_end(self) -> bool:
        """Start and end what is due; False when nothing is left to wait for."""
        for entry in list(self.running):
            job, process, start = entry
            if process.poll() is not None:
                self.running.remove(entry)
                job.seconds = time.monotonic() - start
                self._end(job, process.returncode)
        while len(self.running) < self.processes and (ready := self._ready()):
            self._start(ready[0])
        return bool(self.running)

    def _ready(self) -> list[Job]:
        """Jobs whose inputs are there, first what most others wait for."""
        done = {job.folder for job in self.jobs if job.state in (State.REUSED, State.FINISHED)}
        waiting = [job for job in self.jobs if job.state == State.WAITING]
        ready = [job for job in waiting if job.inputs <= done]
        return sorted(ready, key=lambda job: -sum(job.folder in other.inputs for other in waiting))

    def _start(self, job: Job) -> None:
        assert job.stage is not None
        job.log = self.folder / "logs" / job.config / f"{job.stage.folder.name}.log"
        self.running.append((job, start_process(job.stage, job.log, self.processes), time.monotonic()))
        job.state = State.RUNNING
        self._tell(job)

    def _end(self, job: Job, code: int) -> None:
        assert job.stage is not None and job.log is not None
        if job.stage.finished:
            job.state = State.FINISHED
            return self._tell(job)
        job.state, job.reason = State.FAILED, failure(code, job.log)
        blocked = [each for each in self.jobs if each.state == State.WAITING and job.folder in each.inputs]
        for other in blocked:
            other.state, other.reason = State.BLOCKED, f"{job.title} failed"
        self._tell(job, *blocked)

    def _stop(self, signals: list[int]) -> None:
        """Ask all processes to end; after a second signal, or `PATIENCE`, they are killed."""
        print("stopping: running processes were asked to end; Ctrl-C again kills them", flush=True)
        for _, process, _ in self.running:
            process.terminate()
        deadline = time.monotonic() + PATIENCE
        while any(process.poll() is None for _, process, _ in self.running):
            if len(signals) > 1 or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        for job, _, start in self.running:
            finished = job.stage is not None and job.stage.finished
            job.state, job.seconds = State.FINISHED if finished else State.INTERRUPTED, time.monotonic() - start
            self._tell(job)

    def _tell(self, *jobs: Job) -> None:
        """Print a line for each job whose state has changed, and write the summary."""
        for job in jobs:
            about = f" (log {job.log})" if job.state == State.RUNNING else f": {job.reason}" if job.reason else ""
            print(f"{job.state} {job.title}{about}; {standing(self.jobs)}", flush=True)
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
        streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": file, "stderr": file}
        return subprocess.Popen(command(stage), env=environment, process_group=0, **streams)


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
