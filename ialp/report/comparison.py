"""The measured policies as methods side by side: one world, its methods, and their figures by seed."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import polars as pl

from ialp.report.collect import Collection, Measured
from ialp.report.methods import ORDER, Method, differences
from ialp.report.runs_data import RunData

END = "end"
Moment = int | str
"""An epoch, or END."""

PAPER_NAMES = {"lfm": "LFM", "industry": "Industry", "coat": "Coat"}
SHOWN_DIFFERENCES = 3
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
    """

    label: str
    base: str
    method: Method
    runs: dict[int, Measured]
    explores: bool = False
    variant: bool = False

    @property
    def main(self) -> bool:
        """Whether this is the method as tables show it."""
        return not (self.explores or self.variant)

    @property
    def frozen(self) -> bool:
        """Whether the figures hold at any time, since nothing is trained."""
        return all(not len(run.training) and run.end == 0 for run in self.runs.values())

    def values(self, moment: Moment, figure: str) -> dict[int, float]:
        """Seed -> figure at an epoch; at the end, of the runs that went on as long as the method's longest."""
        found = {}
        for seed, row in self._rows(moment).items():
            found[seed] = float(row[figure])
        return found

    def steps(self, moment: Moment) -> int | None:
        """Environment steps at that moment; None where nothing was measured then."""
        return next((int(row["environment_steps"]) for row in self._rows(moment).values()), None)

    def _rows(self, moment: Moment) -> dict[int, Mapping[str, float]]:
        longest = max(run.end for run in self.runs.values())
        chosen: dict[int, Mapping[str, float]] = {}
        for seed, run in self.runs.items():
            at = 0 if self.frozen else moment
            rows = run.figures[-1:] if at == END else run.figures.filter(pl.col("epoch") == at)
            if len(rows) and (at != END or run.end == longest):
                chosen[seed] = rows.row(0, named=True)
        return chosen


@dataclass
class World:
    """One world, the text-only references measured there, and the methods."""

    key: str
    label: str
    data: str
    rows: list[Row] = field(default_factory=list)
    references: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    reward: RunData | None = None

    @property
    def main_rows(self) -> list[Row]:
        """Rows of the tables: every method, and its variants in anything but exploration."""
        return [row for row in self.rows if not row.explores]

    @cached_property
    def usual_steps(self) -> dict[Moment, int]:
        """Environment steps at each moment for most methods: those that differ are told apart."""
        usual: dict[Moment, int] = {}
        for moment in (0, 1, 2, END):
            found = [row.steps(moment) for row in self.rows if not row.frozen]
            counted = Counter(steps for steps in found if steps is not None)
            if counted:
                usual[moment] = max(counted, key=lambda steps: (counted[steps], steps))
        return usual

    def row_of(self, base: str) -> Row | None:
        """The main row of a method."""
        return next((row for row in self.rows if row.base == base and row.main), None)

    def comparable(self, row: Row, moment: Moment) -> bool:
        """Whether the row's figures are of the same environment steps as the others'."""
        return row.frozen or row.steps(moment) == self.usual_steps.get(moment)


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
    world.references = next((found for run in runs if (found := run.run.references())), {})
    world.reward = next((run.run.world for run in runs if run.run.world), None)
    return world


def _rows(runs: list[Measured]) -> Iterable[Row]:
    by_name: dict[str, dict[Method, dict[int, Measured]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        key = next((m for m in by_name[run.method.name] if _same(m, run.method)), run.method)
        by_name[run.method.name][key][run.seed] = run
    for name, variants in by_name.items():
        methods = sorted(variants, key=lambda method: _precedence(name, method, variants[method]))
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


def _precedence(name: str, method: Method, runs: Mapping[int, Measured]) -> tuple[object, ...]:
    """Which variant of a method is its main row: the most seeds, then the longest, then the usual exploration."""
    usual = method.exploration == DEFAULT_EXPLORATION.get(name, "categorical")
    return -len(runs), -max(run.end for run in runs.values()), not usual, len(method.config), method.config


def _row(name: str, method: Method, main: Method, runs: dict[int, Measured]) -> Row:
    if method is main:
        return Row(name, name, method, runs)
    differing = differences(method, main)
    exploring = {key: value for key, value in differing.items() if key.startswith("model.exploration")}
    if len(exploring) == len(differing) and method.exploration != main.exploration:
        return Row(f"{name}, {method.exploration}", name, method, runs, explores=True)
    if len(exploring) == len(differing):
        return Row(f"{name}, {method.exploration} ({_listed(exploring)})", name, method, runs, explores=True)
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
    known = next((i for i, name in enumerate(ORDER) if row.base == name or row.base.startswith(f"{name},")), len(ORDER))
    return known, row.base, not row.main, row.label
