"""The runs that a report is made of, and the folders that it leaves out, with the reason."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from ialp.errors import UserError
from ialp.report.methods import Method, frozen_method, method_of
from ialp.runs.data import RunData
from ialp.runs.folder import CONFIG, DONE, GRIDS, SUMMARY, read_cells, read_crash, read_done
from ialp.runs.lock import being_made


@dataclass(frozen=True)
class Measured:
    """One policy of one finished online run."""

    run: RunData
    method: Method
    world: str  # config and folder of the reward run that simulated the users
    seed: int
    figures: pl.DataFrame  # rows of evaluation.csv of this policy, by epoch
    training: pl.DataFrame  # means over the latest 20 training episodes, by steps; empty for a frozen policy

    @property
    def end(self) -> int:
        """Environment steps at the last evaluation."""
        return int(self.figures["environment_steps"][-1])


@dataclass
class Collection:
    """The measured policies of finished online runs, and the run folders in no table with the reason."""

    measured: list[Measured]
    left_out: dict[Path, str]

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
    folders: dict[Path, Path] = {}
    for place in map(Path, places):
        if not place.is_dir():
            raise UserError(f"{place}: no such folder; a report is made of folders of runs, such as runs/")
        folders |= {folder.resolve(): folder for folder in _run_folders(place)}
    runs = [RunData(folder) for folder in folders.values()]
    problems = {run.folder: problem for run in runs if (problem := _problem(run))}
    measured = _longest([each for run in runs if _is_online(run) and run.folder not in problems for each in _of(run)])
    if not measured:
        named = "; ".join(f"{folder}: {problem}" for folder, problem in [*problems.items()][:3])
        raise UserError(f"no finished online run in {', '.join(map(str, places))}" + (f" ({named})" if named else ""))
    shown = {each.run.folder for each in measured}
    for run in runs:
        if _is_online(run) and run.folder not in shown:
            problems.setdefault(run.folder, "superseded: another run of the same method and seed is longer or later")
    return Collection(measured, problems)


def _run_folders(place: Path) -> list[Path]:
    """Folders with a config.yaml, but for attempts that were set aside; of a grid, its cells as far as begun."""
    grids = place.absolute().parent
    if grids.name == GRIDS and (place / SUMMARY).is_file():
        cells = [Path(*grids.parent.parts, *cell.parts[-2:]) for cell in read_cells(place)]
        return [folder for folder in dict.fromkeys(cells) if folder.is_dir()]
    found = [path.parent for depth in ("", "*/", "*/*/") for path in sorted(place.glob(depth + CONFIG))]
    # Below the folder of all grids lie logs and summaries.
    return [each for each in found if ".unfinished-" not in each.name and GRIDS not in each.relative_to(place).parts]


def _is_online(run: RunData) -> bool:
    return bool(run.class_of("scheme"))


def _problem(run: RunData) -> str:
    """Why a run's figures cannot be used; "" where they can."""
    measured = run.evaluation()
    try:
        if read_done(run.folder) is None:
            steps = f"after {max(measured['environment_steps'], default=0):,} environment steps"
            if being_made(run.folder):
                return f"under way: {steps}"
            if (error := read_crash(run.folder)) is not None:
                return f"crashed: {steps}, by {error}"
            return f"half-finished: {steps}; no {DONE}, and no process on this machine is making it"
    except UserError as error:
        return f"damaged: {error}"
    if _is_online(run) and not len(measured):
        return "damaged: its evaluation.csv is missing, empty or lacks columns"
    return "damaged: its done.json names no reward_model" if _is_online(run) and not _world(run) else ""


def _world(run: RunData) -> str:
    """Config and folder of the reward run that an online run was measured in."""
    return "/".join(Path((run.done.get("upstream") or {}).get("reward_model", "")).parts[-2:])


def _of(run: RunData) -> Iterator[Measured]:
    """The policies of a run: what it adapted, and what it started from."""
    evaluation, training, seed = run.evaluation(), run.training(), int(run.done["seed"])
    for policy in sorted(evaluation["policy"].unique()):
        rows = evaluation.filter(pl.col("policy") == policy).sort("epoch")
        if policy == "frozen":
            yield Measured(run, frozen_method(run), _world(run), seed, rows[:1], training.clear())
        else:
            yield Measured(run, method_of(run), _world(run), seed, rows, training)


def _longest(measured: list[Measured]) -> list[Measured]:
    """One of each method, world and seed: the longest, then the latest; a frozen policy from a run of its own."""
    kept: dict[tuple[object, ...], Measured] = {}
    for each in sorted(
        measured,
        key=lambda m: (m.run.class_of("scheme") == "Frozen", m.end, str(m.run.done.get("finished"))),
        reverse=True,
    ):
        kept.setdefault((each.world, each.method.name, each.method.settings, each.seed), each)
    return sorted(kept.values(), key=lambda each: (each.world, each.seed))
