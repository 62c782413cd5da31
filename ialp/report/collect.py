"""The runs that a report is made of, and the folders that it leaves out, with the reason."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ialp.errors import UserError
from ialp.report.methods import Method, frozen_method, method_of
from ialp.runs.data import FIGURES, RunData
from ialp.runs.folder import DONE, GRIDS, SUMMARY, read_cells, read_crash, read_done
from ialp.runs.lock import being_made

OF_A_RUN = ("config.yaml", DONE, "evaluation.csv", "metrics.csv")
DEPTH = 2
"""Levels of folders below the one that holds the runs: config and run."""


@dataclass
class Folder:
    """One folder.

    Attributes:
        online: A run of online adaptation, finished or not.
        finished: Its figures can be used.
        reason: Why it is in no table; "" where it is in one.
    """

    run: RunData
    online: bool = False
    finished: bool = False
    reason: str = ""


@dataclass(frozen=True)
class Measured:
    """One policy of one finished online run.

    Attributes:
        world: Config and folder of the reward run that simulated the users.
        figures: Rows of evaluation.csv of this policy, by epoch.
        training: Means over the latest 20 training episodes, by environment steps; empty for a frozen policy.
    """

    run: RunData
    method: Method
    world: str
    seed: int
    figures: pl.DataFrame
    training: pl.DataFrame

    @property
    def end(self) -> int:
        """Environment steps at the last evaluation."""
        return int(self.figures["environment_steps"][-1])

    @property
    def seconds_per_1000(self) -> float | None:
        """Seconds of rollout and update per 1,000 environment steps; None where they were not recorded."""
        seconds = self.run.results.get("seconds_per_step")
        return 1000 * float(seconds) if seconds and self.end else None


@dataclass
class Collection:
    """All folders, and the measured policies of the finished online runs among them."""

    folders: list[Folder]
    measured: list[Measured]

    @property
    def lineage(self) -> list[RunData]:
        """The runs in the tables and all that they were built on, each once, inputs first."""
        runs = (run for measured in self.measured for run in measured.run.lineage if run.done)
        return list({run.folder.resolve(): run for run in runs}.values())


def collect(places: Iterable[str | Path]) -> Collection:
    """Look through folders of runs, of one config's runs, or single runs; a grid's folder stands for its cells.

    Raises:
        UserError: A place is no folder, or there is no finished online run in any of them.
    """
    found: dict[Path, Folder] = {}
    for place in map(Path, places):
        if not place.is_dir():
            raise UserError(f"{place}: no such folder; a report is made of folders of runs, such as runs/")
        for path in _cells(place) if _is_grid(place) else _candidates(place, DEPTH):
            found.setdefault(path.resolve(), classify(RunData(path)))
    online = [each for each in found.values() if each.finished and each.online]
    if not online:
        named = "; ".join(f"{each.run.folder}: {each.reason or 'no online run'}" for each in list(found.values())[:3])
        raise UserError(
            f"no finished online run in {', '.join(map(str, places))}" + (f" ({named}, …)" if named else "")
        )
    measured = _latest([each for folder in online for each in _measured(folder.run)])
    shown = {each.run.folder.resolve() for each in measured}
    for folder in online:
        if folder.run.folder.resolve() not in shown:
            folder.reason = "superseded: another run of the same method and seed is longer or later"
    return Collection(list(found.values()), measured)


def classify(run: RunData) -> Folder:
    """Whether a folder's figures can be used, and if not, why."""
    model = run.config.get("model") or {}
    if not model.get("class_path"):
        return Folder(run, reason="foreign: no config.yaml with a model, so not made by ialp fit")
    online = "scheme" in (model.get("init_args") or {})
    try:
        done = read_done(run.folder)
    except UserError:
        return Folder(run, online, reason="damaged: its done.json is not what a run writes")
    reason = _unfinished(run) if done is None else _damage(run) if online else ""
    return Folder(run, online, not reason, reason)


def world_of(run: RunData) -> str:
    """Config and folder of the reward run that an online run was measured in; "" where done.json names none."""
    place = (run.done.get("upstream") or {}).get("reward_model")
    return "/".join(Path(place).parts[-2:]) if place else ""


def _is_grid(place: Path) -> bool:
    return place.absolute().parent.name == GRIDS and (place / SUMMARY).is_file()


def _cells(grid: Path) -> list[Path]:
    """Folders of a grid's cells, as far as they were begun; they lie beside the folder of all grids."""
    runs = grid.absolute().parent.parent
    named = dict.fromkeys(folder.parts[-2:] for folder in read_cells(grid))
    return [folder for parts in named if (folder := runs.joinpath(*parts)).is_dir()]


def _candidates(place: Path, depth: int) -> Iterator[Path]:
    """The folders that may be runs, without a grid's logs and without earlier attempts that `set_aside` renamed."""
    if _is_grid(place) or ".unfinished-" in place.name:
        return
    below = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    if any((place / name).is_file() for name in OF_A_RUN) or (depth < DEPTH and not (depth and below)):
        yield place
    elif depth:
        for path in below:
            yield from _candidates(path, depth - 1)


def _unfinished(run: RunData) -> str:
    """What became of a run without done.json."""
    measured = run.evaluation()
    steps = f"after {max(measured['environment_steps']):,} environment steps" if len(measured) else "before a figure"
    if being_made(run.folder):
        return f"under way: {steps}"
    if (error := read_crash(run.folder)) is not None:
        return f"crashed: {steps}, by {error}"
    return f"half-finished: {steps}; no {DONE}, and no process on this machine is making it"


def _damage(run: RunData) -> str:
    """Why a finished online run cannot be shown; "" where it can."""
    figures = run.evaluation()
    if not len(figures):
        return "damaged: its evaluation.csv is missing, empty or lacks columns"
    if not world_of(run):
        return "damaged: its done.json names no reward_model, so its world is unknown"
    wrong = figures.filter(~pl.all_horizontal(pl.col(name).cast(pl.Float64).is_finite() for name in FIGURES))
    return f"damaged: a figure at e = {wrong['epoch'][0]} is no number" if len(wrong) else ""


def _measured(run: RunData) -> Iterator[Measured]:
    """The policies of a run: what it adapted, and what it started from."""
    evaluation, training, seed = run.evaluation(), run.training(), int(run.done["seed"])
    for policy in sorted(evaluation["policy"].unique()):
        rows = evaluation.filter(pl.col("policy") == policy).sort("epoch")
        if policy == "frozen":
            yield Measured(run, frozen_method(run), world_of(run), seed, rows[:1], training.clear())
        else:
            yield Measured(run, method_of(run), world_of(run), seed, rows, training)


def _latest(measured: list[Measured]) -> list[Measured]:
    """One of each method, world and seed: the longest, then the latest."""
    kept: dict[tuple[object, ...], Measured] = {}
    # A run that only evaluates a frozen policy comes before those that have it beside another.
    for each in sorted(
        measured,
        key=lambda m: (m.run.class_of("scheme") == "Frozen", m.end, str(m.run.done.get("finished"))),
        reverse=True,
    ):
        key = each.world, each.method.name, each.method.exploration, each.method.settings, each.seed
        kept.setdefault(key, each)
    return sorted(kept.values(), key=lambda each: (each.world, each.seed))
