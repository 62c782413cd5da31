"""What a grid makes: each run once, whoever asks for it, and in which state it is."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from statistics import fmean

from ialp.errors import UserError
from ialp.experiment.building import check_missing
from ialp.experiment.grid_request import Cell
from ialp.experiment.stages import Stage
from ialp.runs.folder import read_done

Plan = Callable[[Sequence[str], int | None], Stage]
"""Arguments of `ialp fit` and a seed -> the run."""


class State(StrEnum):
    """Of a run in a grid."""

    WAITING = "waiting"
    RUNNING = "running"
    REUSED = "reused"  # was finished before
    FINISHED = "finished"
    FAILED = "failed"
    BLOCKED = "blocked"  # what it builds on failed
    INTERRUPTED = "interrupted"


DONE = (State.REUSED, State.FINISHED)


@dataclass
class Job:
    """One run, or one that could not even be planned.

    Attributes:
        name: Stem of its config.
        seed: Its seed; None: the config's own, of a run that could not be planned.
        stage: The run; None where it could not be planned.
        overrides: Names of the sets of overrides that led here, in the order asked for.
        asked: Whether it is one of the cells; the others are what cells build on.
        state: Where it stands.
        reason: Why it failed, or what blocks it.
        log: Where its process writes; None where there was none.
        start: When its process started, by the monotonic clock.
        seconds: That it took, of the process or, if reused, of the run.
    """

    name: str
    seed: int | None
    stage: Stage | None = None
    overrides: list[str] = field(default_factory=list)
    asked: bool = False
    state: State = State.WAITING
    reason: str = ""
    log: Path | None = None
    start: float = 0.0
    seconds: float = 0.0

    @property
    def key(self) -> str:
        """The run's folder; "" for what could not be planned."""
        return str(self.stage.folder) if self.stage else ""

    @property
    def title(self) -> str:
        """How lines and tables call it."""
        sets = "".join(f" {name}" for name in self.overrides if name)
        return f"{self.name}{sets}" + (f" seed {self.seed}" if self.seed is not None else "")

    @property
    def lineage(self) -> list[str]:
        """Keys of all that it is built on, and its own."""
        return [str(each.folder) for each in self.stage.lineage()] if self.stage else []

    def reuse(self) -> None:
        """The run is finished; this grid has nothing to do."""
        assert self.stage is not None
        self.state = State.REUSED
        self.seconds = float((read_done(self.stage.folder) or {}).get("seconds") or 0.0)


def plan_jobs(cells: Sequence[Cell], plan: Plan) -> list[Job]:
    """Every run that the cells need, inputs before what is built on them, each once.

    Raises:
        UserError: Not one of the cells can be planned; the first one's reason.
    """
    jobs: dict[str, Job] = {}
    refused: list[Job] = []
    for cell in cells:
        try:
            stage = plan(cell.arguments, cell.seed)
            check_missing(stage, str(stage.config["missing"]))
            needed = [_job(each) for each in ([stage] if stage.finished else stage.lineage())]
        except UserError as error:
            refused.append(_refused(cell, str(error)))
            continue
        for job in needed:
            jobs.setdefault(job.key, job)
        job = jobs[str(stage.folder)]
        job.asked = True
        job.overrides = list(dict.fromkeys([*job.overrides, cell.overrides]))
    if not jobs:
        raise UserError(refused[0].reason)
    return [*jobs.values(), *refused]


def _job(stage: Stage) -> Job:
    job = Job(stage.name, stage.seed, stage)
    if stage.finished:
        job.reuse()
    return job


def _refused(cell: Cell, reason: str) -> Job:
    return Job(Path(cell.config).stem, cell.seed, None, [cell.overrides], True, State.FAILED, reason)


@dataclass
class Board:
    """All runs of a grid, as they stand.

    Attributes:
        jobs: Inputs before what is built on them.
        processes: Runs at once.
        stopping: The user has asked for an end.
    """

    jobs: list[Job]
    processes: int
    stopping: bool = False

    def of(self, *states: State) -> list[Job]:
        """Runs in these states."""
        return [job for job in self.jobs if job.state in states]

    def block(self, failed: Job) -> list[Job]:
        """Mark what waits for a run that failed, however indirectly."""
        blocked = [job for job in self.of(State.WAITING) if failed.key in job.lineage]
        for job in blocked:
            job.state, job.reason = State.BLOCKED, f"{failed.title} failed"
        return blocked

    def needed(self, job: Job) -> int:
        """How many runs wait for this one, however indirectly, with itself."""
        return sum(job.key in other.lineage for other in self.jobs)

    def seconds_left(self, now: float | None = None) -> float | None:
        """Until the last run is through, by what runs of the same config and overrides took; None: nothing to go by."""
        now = time.monotonic() if now is None else now
        known = [job for state in (State.FINISHED, State.REUSED) for job in self.of(state)]
        if not known:
            return None
        left = []
        for job in self.of(State.RUNNING, State.WAITING):
            whole = _expected(job, known)
            left.append(max(whole - (now - job.start), 0.0) if job.state == State.RUNNING else whole)
        return max(sum(left) / self.processes, max(left, default=0.0))


def _expected(job: Job, known: Sequence[Job]) -> float:
    """Mean seconds of the runs most like this one, those measured in this grid before those reused."""
    alike: list[Callable[[Job], bool]] = [
        lambda other: (other.name, other.overrides, other.state) == (job.name, job.overrides, State.FINISHED),
        lambda other: (other.name, other.overrides) == (job.name, job.overrides),
        lambda other: other.name == job.name,
        lambda other: True,
    ]
    found = ([other.seconds for other in known if test(other)] for test in alike)
    return fmean(next(seconds for seconds in found if seconds))
