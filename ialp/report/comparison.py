"""The measured policies as methods side by side: one world, its methods, and their figures by seed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import polars as pl

from ialp.report.collect import Collection, Measured
from ialp.report.methods import ORDER, Method, differences
from ialp.runs.data import RunData

END = "end"
Moment = int | str
"""An epoch, or END."""

PAPER_NAMES = {"lfm": "LFM", "industry": "Industry", "coat": "Coat"}
SHOWN_DIFFERENCES = 3
CLOSE = 0.15
"""Environment steps that differ by this share at most are one moment: an epoch of whole episodes varies."""
EPISODES = "ialp.datamodules.OnPolicyDataModule"
"""What a variant is called by before all else that differs, since it changes how a method learns."""
DEFAULT_EXPLORATION = {"DQN": "ε-greedy"}
"""Of a method as its row in the paper's tables; any other explores by categorical draws."""


@dataclass
class Row:
    """One method in one world.

    Attributes:
        label: What tables and figures call it.
        base: The paper's name of the method, or the config's.
        explores: This row differs from the method's main row in its exploration only.
        variant: This row differs from the main row in other settings.
        runs: By seed.
        usual_steps: Environment steps at each moment, for most methods of this world.
    """

    label: str
    base: str
    method: Method
    runs: dict[int, Measured]
    explores: bool = False
    variant: bool = False
    usual_steps: Mapping[Moment, int] = field(default_factory=dict)

    @property
    def family(self) -> str:
        """The paper's name without an algorithm: "A-iALP FineTune, PG" is of the family of "A-iALP FineTune"."""
        return self.base.partition(",")[0]

    @property
    def main(self) -> bool:
        """Whether this is the method as tables show it."""
        return not (self.explores or self.variant)

    @property
    def frozen(self) -> bool:
        """Whether the figures hold at any time, since nothing is trained."""
        return all(not len(run.training) and run.end == 0 for run in self.runs.values())

    @property
    def longest(self) -> dict[int, Measured]:
        """The runs that went on as long as the method's longest, by seed."""
        end = max(run.end for run in self.runs.values())
        return {seed: run for seed, run in sorted(self.runs.items()) if close(run.end, end)}

    def values(self, moment: Moment, figure: str) -> dict[int, float]:
        """Seed -> figure after so many epochs, or as many environment steps; at the end, of the longest runs."""
        return {seed: float(rows[figure][0]) for seed, rows in self._rows(moment).items()}

    def steps(self, moment: Moment) -> int | None:
        """Environment steps at that moment, mean over seeds; None where nothing was measured then."""
        found = [int(rows["environment_steps"][0]) for rows in self._rows(moment).values()]
        return round(sum(found) / len(found)) if found else None

    def _rows(self, moment: Moment) -> dict[int, pl.DataFrame]:
        """The row of each seed at a moment, as a table of one row."""
        if moment == END and not self.frozen:
            return {seed: run.figures[-1:] for seed, run in self.longest.items()}
        epoch, steps = (0, None) if self.frozen else (moment, self.usual_steps.get(moment))
        near = {} if steps is None else {seed: self._row_at(run, steps) for seed, run in self.runs.items()}
        own = {seed: run.figures.filter(pl.col("epoch") == epoch) for seed, run in self.runs.items()}
        found = near if any(len(rows) for rows in near.values()) else own
        return {seed: rows for seed, rows in found.items() if len(rows)}

    def _row_at(self, run: Measured, steps: int) -> pl.DataFrame:
        """A run after so many steps: on the line between the measurements around them, or one nearby; none, if far."""
        figures = run.figures.sort("environment_steps")
        before = figures.filter(pl.col("environment_steps") <= steps)[-1:]
        after = figures.filter(pl.col("environment_steps") >= steps)[:1]
        if len(before) and len(after):
            start, end = (int(rows["environment_steps"][0]) for rows in (before, after))
            if end - start <= self.usual_steps.get(1, 0):
                return _between(before, after, (steps - start) / max(end - start, 1))
        nearest = figures.sort((pl.col("environment_steps") - steps).abs())[:1]
        return nearest if close(int(nearest["environment_steps"][0]), steps) else nearest[:0]


@dataclass
class World:
    """One world, the text-only references measured there, and the methods."""

    key: str
    label: str
    data: str
    rows: list[Row] = field(default_factory=list)
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reward: RunData | None = None
    usual_steps: Mapping[Moment, int] = field(default_factory=dict)

    @property
    def main_rows(self) -> list[Row]:
        """Rows of the tables: every method, and its variants in anything but exploration."""
        return [row for row in self.rows if not row.explores]

    def row_of(self, base: str) -> Row | None:
        """The main row of a method."""
        return next((row for row in self.rows if row.base == base and row.main), None)

    def comparable(self, row: Row, moment: Moment) -> bool:
        """Whether the row's figures are of the same environment steps as the others'."""
        steps, usual = row.steps(moment), self.usual_steps.get(moment)
        return row.frozen or (steps is not None and usual is not None and close(steps, usual))


def _between(before: pl.DataFrame, after: pl.DataFrame, share: float) -> pl.DataFrame:
    """One row between two: so much of the way from the first to the second."""
    columns = [name for name in before.columns if before[name].dtype.is_numeric()]
    return before.select(columns) * (1 - share) + after.select(columns) * share


def close(steps: int, others: int) -> bool:
    """Whether two numbers of environment steps are one moment."""
    return abs(steps - others) <= CLOSE * others


def worlds_of(collection: Collection) -> list[World]:
    """The worlds that runs were measured in, the paper's first."""
    by_world: dict[str, list[Measured]] = defaultdict(list)
    for measured in collection.measured:
        by_world[measured.world].append(measured)
    worlds = [_world(key, runs) for key, runs in by_world.items()]
    names = Counter(world.label for world in worlds)
    for world in worlds:
        if names[world.label] > 1:
            world.label = f"{world.label} ({world.key})"
    order = list(PAPER_NAMES)
    return sorted(worlds, key=lambda w: (order.index(w.data) if w.data in order else len(order), w.label))


def _world(key: str, runs: list[Measured]) -> World:
    data = str((runs[0].run.done.get("data") or {}).get("name", "unknown data"))
    world = World(key, PAPER_NAMES.get(data.lower(), data), data.lower())
    world.rows = sorted(_rows(runs), key=_place)
    world.usual_steps = _usual_steps(world.rows)
    for row in world.rows:
        row.usual_steps = world.usual_steps
    world.references = next((found for run in runs if (found := run.run.references())), {})
    world.reward = next((run.run.world for run in runs if run.run.world), None)
    return world


def _usual_steps(rows: Iterable[Row]) -> dict[Moment, int]:
    """Environment steps at each moment for most methods, variants of them aside: those that differ are told apart."""
    usual: dict[Moment, int] = {}
    for moment in (0, 1, 2, END):
        found = [row.steps(moment) for row in rows if row.main and not row.frozen]
        counted = Counter(steps for steps in found if steps is not None)
        if counted:
            usual[moment] = max(counted, key=lambda steps: (counted[steps], steps))
    return usual


def _rows(runs: list[Measured]) -> Iterable[Row]:
    by_name: dict[str, dict[Method, dict[int, Measured]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        key = next((m for m in by_name[run.method.name] if _same(m, run.method)), run.method)
        by_name[run.method.name][key][run.seed] = run
    for name, variants in by_name.items():
        end = max(run.end for found in variants.values() for run in found.values())
        methods = sorted(variants, key=lambda method: _precedence(name, method, variants[method], end))
        taken: set[str] = set()
        for method in methods:
            row = _row(name, method, methods[0], variants[method])
            if row.label in taken:
                row.label += f" [{'/'.join(next(iter(row.runs.values())).run.folder.parts[-2:])}]"
            taken.add(row.label)
            yield row


def _same(method: Method, other: Method) -> bool:
    """Methods that differ in the name of their config only are one."""
    return (method.exploration, method.settings) == (other.exploration, other.settings)


def _precedence(name: str, method: Method, runs: Mapping[int, Measured], end: int) -> tuple[object, ...]:
    """Which variant of a method is its main row: the most seeds, then as long as any, then the usual exploration."""
    usual = method.exploration == DEFAULT_EXPLORATION.get(name, "categorical")
    short = not close(max(run.end for run in runs.values()), end)
    return -len(runs), short, not usual, len(method.config), method.config


def _row(name: str, method: Method, main: Method, runs: dict[int, Measured]) -> Row:
    if method is main:
        return Row(name, name, method, runs)
    differing = differences(method, main)
    exploring = {key: value for key, value in differing.items() if key.startswith("model.exploration")}
    if len(exploring) == len(differing) and method.exploration != main.exploration:
        return Row(f"{name}, {method.exploration}", name, method, runs, explores=True)
    if len(exploring) == len(differing):
        return Row(f"{name}, {method.exploration} ({_listed(exploring)})", name, method, runs, explores=True)
    if differing.get("data") == EPISODES:
        return Row(f"{name} (whole episodes)", name, method, runs, variant=True)
    said = method.config if method.config != main.config else _listed(differing)
    return Row(f"{name} ({said})", name, method, runs, variant=True)


def _listed(differing: Mapping[str, str]) -> str:
    shown = [f"{key.rpartition('.')[2]} {_last_of(value)}" for key, value in differing.items()]
    more = ["…"] if len(shown) > SHOWN_DIFFERENCES else []
    return ", ".join(shown[:SHOWN_DIFFERENCES] + more)


def _last_of(value: str) -> str:
    """The name of a class; any other value as it is."""
    return value.rpartition(".")[2] if value[:1].isalpha() else value


def _place(row: Row) -> tuple[object, ...]:
    known = ORDER.index(row.family) if row.family in ORDER else len(ORDER)
    return known, row.base, not row.main, row.label
