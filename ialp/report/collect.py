"""What lies in the folders that a report is made of: runs to compare, and what each of the others is."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
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

ONLINE, STAGE = "online", "stage"
RUNNING, CRASHED, HALF, SET_ASIDE = "under way", "crashed", "half-finished", "set aside"
DAMAGED, SUPERSEDED, FOREIGN = "damaged", "superseded", "foreign"


@dataclass
class Folder:
    """One folder and what it is.

    Attributes:
        state: One of the words above.
        said: Why, in words.
    """

    run: RunData
    state: str
    said: str = ""

    @property
    def path(self) -> Path:
        """Where it lies."""
        return self.run.folder


@dataclass(frozen=True)
class Measured:
    """One policy of one finished online run: what a row of a table is made of.

    Attributes:
        world: Config and folder of the reward run whose users were met.
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


@dataclass
class Collection:
    """All folders, and the measured policies of the online runs among them."""

    folders: list[Folder] = field(default_factory=list)
    measured: list[Measured] = field(default_factory=list)

    def of_state(self, *states: str) -> list[Folder]:
        """The folders in these states."""
        return [folder for folder in self.folders if folder.state in states]


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
    collection = Collection(list(found.values()))
    online = collection.of_state(ONLINE)
    if not online:
        named = "; ".join(f"{each.path}: {each.state}" for each in collection.folders[:3])
        raise UserError(
            f"no finished online run in {', '.join(map(str, places))}" + (f" ({named}, …)" if named else "")
        )
    collection.measured = _latest([each for folder in online for each in _measured(folder.run)], found)
    return collection


def classify(run: RunData) -> Folder:
    """Say what a folder is."""
    if ".unfinished-" in run.folder.name:
        return Folder(run, SET_ASIDE, "an earlier attempt at the run of that name")
    if not (run.folder / "config.yaml").is_file():
        return Folder(run, FOREIGN, "no config.yaml: not made by ialp fit")
    if not (run.config.get("model") or {}).get("class_path"):
        return Folder(run, FOREIGN, "its config.yaml names no model: not one of ialp fit")
    online = "scheme" in (run.config["model"].get("init_args") or {})
    try:
        done = read_done(run.folder)
    except UserError:
        return Folder(run, DAMAGED, "its done.json is not what a run writes")
    if done is None:
        progress = _progress(run, online)
        if being_made(run.folder):
            return Folder(run, RUNNING, progress)
        if (said := read_crash(run.folder)) is not None:
            return Folder(run, CRASHED, f"{progress}, by {said}")
        return Folder(run, HALF, f"{progress}; no {DONE}, and no process here is making it")
    if not online:
        return Folder(run, STAGE)
    said = _unusable(run)
    return Folder(run, DAMAGED if said else ONLINE, said)


def world_of(run: RunData) -> str:
    """Config and folder of the reward run that an online run met the users of; "" where its config names none."""
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
    if _is_grid(place):
        return  # summary and logs, whose runs lie elsewhere
    below = sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith("."))
    if any((place / name).is_file() for name in OF_A_RUN) or not depth or not below:
        if depth < DEPTH or any((place / name).is_file() for name in OF_A_RUN):
            yield place
        return
    for path in below:
        yield from _candidates(path, depth - 1)


def _progress(run: RunData, online: bool) -> str:
    """How far an unfinished run came."""
    wanted = (run.config.get("trainer") or {}).get("max_epochs")
    steps = ((run.config.get("model") or {}).get("init_args") or {}).get("max_environment_steps")
    measured = run.evaluation()
    if not online:
        return "before its end"
    if not len(measured):
        return "before anything was measured"
    if steps:
        return f"after {max(measured['environment_steps'].to_list()):,} of {steps:,} environment steps"
    return f"at e = {max(measured['epoch'].to_list())}" + (f" of {wanted}" if wanted else "")


def _unusable(run: RunData) -> str:
    """Why a finished online run cannot be shown; "" where it can."""
    if not len(run.evaluation()):
        return "finished, but its evaluation.csv is missing, empty or lacks columns"
    if not world_of(run):
        return "finished, but its done.json names no reward_model: its world is unknown"
    rows = run.evaluation().filter(~pl.all_horizontal(pl.col(name).cast(pl.Float64).is_finite() for name in FIGURES))
    return f"finished, but a figure at e = {rows['epoch'][0]} is no number" if len(rows) else ""


def _measured(run: RunData) -> Iterator[Measured]:
    """The policies of a run: what it adapted, and what it started from."""
    own, evaluation = method_of(run), run.evaluation()
    for policy in sorted(evaluation["policy"].unique()):
        method = frozen_method(run) if policy == "frozen" else own
        rows = evaluation.filter(pl.col("policy") == policy).sort("epoch")
        training = run.training()
        if policy == "frozen":
            rows, training = rows[:1], training.clear()
        yield Measured(run, method, world_of(run), int(run.done["seed"]), rows, training)


def _latest(measured: list[Measured], folders: dict[Path, Folder]) -> list[Measured]:
    """One of each method, world and seed: the longest, then the latest; the folder of another says so."""
    kept: dict[tuple[object, ...], Measured] = {}
    # A run that only evaluates a frozen policy comes before those that have it beside another.
    for each in sorted(measured, key=lambda m: (_only_frozen(m), m.end, str(m.run.done.get("finished"))), reverse=True):
        key = each.world, each.method.name, each.method.exploration, each.method.settings, each.seed
        kept.setdefault(key, each)
    shown = {each.run.folder.resolve() for each in kept.values()}
    for path, folder in folders.items():
        if folder.state == ONLINE and path not in shown:
            folder.state, folder.said = SUPERSEDED, "another run of the same method and seed is longer or later"
    return sorted(kept.values(), key=lambda each: (each.world, each.seed))


def _only_frozen(measured: Measured) -> bool:
    return measured.run.class_of("scheme") == "Frozen"
