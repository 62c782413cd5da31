"""The methods of a world side by side, and their figures by seed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from ialp.report.collect import Collection, Measured
from ialp.report.methods import ORDER, Method, differences
from ialp.report.statistics import Values
from ialp.runs.data import FIGURES, RunData

END = "end"
Moment = int | str
"""An epoch, or END."""
Figures = Mapping[str, float]

PAPER_NAMES = {"lfm": "LFM", "industry": "Industry", "coat": "Coat"}
SHOWN_DIFFERENCES = 3
CLOSE = 0.15
"""Environment steps that differ by this share at most are one moment: an epoch of whole episodes varies."""
EPISODES = "ialp.datamodules.OnPolicyDataModule"
DEFAULT_EXPLORATION = {"DQN": "ε-greedy"}
"""Of a method in the paper's tables; any other explores by categorical draws."""


@dataclass
class Row:
    """One method in one world.

    Attributes:
        label: What tables and figures call it.
        base: The paper's name of the method, or the config's.
        runs: By seed.
        explores: It differs from the method's main row in its exploration only.
        variant: It differs from the main row in other settings.
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
        """Whether nothing is trained, so that the figures are the same at any time."""
        return all(not len(run.training) and run.end == 0 for run in self.runs.values())

    @property
    def longest(self) -> dict[int, Measured]:
        """The runs that went on as long as the method's longest, by seed."""
        end = max(run.end for run in self.runs.values())
        return {seed: run for seed, run in sorted(self.runs.items()) if close(run.end, end)}

    def values(self, moment: Moment, figure: str) -> dict[int, float]:
        """Seed -> figure after so many epochs, or as many environment steps; at the end, of the longest runs."""
        return {seed: figures[figure] for seed, figures in self._at(moment).items()}

    def steps(self, moment: Moment) -> int | None:
        """Environment steps at that moment, mean over seeds; None where nothing was measured then."""
        found = [int(figures["environment_steps"]) for figures in self._at(moment).values()]
        return round(sum(found) / len(found)) if found else None

    def comparable(self, moment: Moment) -> bool:
        """Whether the figures are of the same environment steps as the other methods'."""
        steps, usual = self.steps(moment), self.usual_steps.get(moment)
        return self.frozen or (steps is not None and usual is not None and close(steps, usual))

    def curves(self, column: str, tested: bool = False) -> tuple[Values, dict[int, Values]]:
        """(E,) environment steps, and seed -> (E,) learning curve of the longest runs, at the steps of the first seed.

        Args:
            column: "return" or "length".
            tested: The curves of the test users, not of the users in training.
        """
        runs = {seed: run.figures if tested else run.training for seed, run in self.longest.items()}
        found = {seed: curve for seed, curve in runs.items() if len(curve)}
        at = {seed: curve["environment_steps"].to_numpy().astype(float) for seed, curve in found.items()}
        steps = next(iter(at.values()), np.empty(0))
        return steps, {seed: np.interp(steps, at[seed], curve[column].to_numpy()) for seed, curve in found.items()}

    def _at(self, moment: Moment) -> dict[int, Figures]:
        """Figures and environment steps of each seed at a moment."""
        if moment == END and not self.frozen:
            return {seed: run.figures.row(-1, named=True) for seed, run in self.longest.items()}
        epoch, steps = (0, None) if self.frozen else (moment, self.usual_steps.get(moment))
        near = {} if steps is None else {seed: self._near(run, steps) for seed, run in self.runs.items()}
        if not any(near.values()):
            own = {seed: run.figures.filter(pl.col("epoch") == epoch) for seed, run in self.runs.items()}
            near = {seed: rows.row(0, named=True) for seed, rows in own.items() if len(rows)}
        return {seed: figures for seed, figures in near.items() if figures}

    def _near(self, run: Measured, steps: int) -> Figures | None:
        """A run after so many steps: on the line between the measurements around them, or one nearby; None, if far."""
        names = ["environment_steps", *FIGURES]
        measured = run.figures.sort("environment_steps").select(pl.col(names).cast(pl.Float64)).to_numpy()
        at = measured[:, 0]
        after = int(np.searchsorted(at, steps))
        before = after if after < len(at) and at[after] == steps else after - 1
        if before >= 0 and after < len(at) and at[after] - at[before] <= self.usual_steps.get(1, 0):
            figures = [float(np.interp(steps, at, column)) for column in measured.T]
        else:
            figures = measured[np.abs(at - steps).argmin()].tolist()
        return dict(zip(names, figures, strict=True)) if close(figures[0], steps) else None


@dataclass
class World:
    """The simulated users of one reward run, the reference policies measured there, and the methods."""

    key: str
    label: str
    data: str
    rows: list[Row]
    references: Mapping[str, Figures]
    reward: RunData | None
    usual_steps: Mapping[Moment, int]

    @property
    def main_rows(self) -> list[Row]:
        """Rows of the tables: every method, and its variants in anything but exploration."""
        return [row for row in self.rows if not row.explores]

    def row_of(self, base: str) -> Row | None:
        """The main row of a method."""
        return next((row for row in self.rows if row.base == base and row.main), None)


def close(steps: float, others: float) -> bool:
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
    known = ORDER.index
    rows = sorted(
        _rows(runs), key=lambda r: (known(r.family) if r.family in ORDER else 99, r.base, not r.main, r.label)
    )
    usual = _usual_steps(rows)
    for row in rows:
        row.usual_steps = usual
    references = next((found for run in runs if (found := run.run.references())), {})
    reward = next((run.run.world for run in runs if run.run.world), None)
    return World(key, PAPER_NAMES.get(data.lower(), data), data.lower(), rows, references, reward, usual)


def _usual_steps(rows: list[Row]) -> dict[Moment, int]:
    """Environment steps at each moment for most methods, their variants aside."""
    usual: dict[Moment, int] = {}
    for moment in (0, 1, 2, END):
        found = [row.steps(moment) for row in rows if row.main and not row.frozen]
        counted = Counter(steps for steps in found if steps is not None)
        if counted:
            usual[moment] = max(counted, key=lambda steps: (counted[steps], steps))
    return usual


def _rows(runs: list[Measured]) -> Iterator[Row]:
    """The methods: runs with equal settings are one row, whatever their configs are called."""
    by_name: dict[str, dict[tuple[object, ...], dict[int, Measured]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        by_name[run.method.name][run.method.exploration, run.method.settings][run.seed] = run
    for name, variants in by_name.items():
        end = max(run.end for found in variants.values() for run in found.values())
        ordered = sorted(variants.values(), key=lambda found: _precedence(name, found, end))
        main = _first(ordered[0]).method
        taken: set[str] = set()
        for found in ordered:
            row = _row(name, main, found)
            if row.label in taken:
                row.label += f" [{'/'.join(_first(found).run.folder.parts[-2:])}]"
            taken.add(row.label)
            yield row


def _first(runs: Mapping[int, Measured]) -> Measured:
    return next(iter(runs.values()))


def _precedence(name: str, runs: Mapping[int, Measured], end: int) -> tuple[object, ...]:
    """Which variant of a method is its main row: the most seeds, then as long as any, then the usual exploration."""
    method = _first(runs).method
    usual = method.exploration == DEFAULT_EXPLORATION.get(name, "categorical")
    short = not close(max(run.end for run in runs.values()), end)
    return -len(runs), short, not usual, len(method.config), method.config


def _row(name: str, main: Method, runs: dict[int, Measured]) -> Row:
    method = _first(runs).method
    if method is main:
        return Row(name, name, method, runs)
    differing = differences(method, main)
    listed = ", ".join(
        f"{key.rpartition('.')[2]} {_short(value)}" for key, value in [*differing.items()][:SHOWN_DIFFERENCES]
    )
    listed += ", …" if len(differing) > SHOWN_DIFFERENCES else ""
    if all(key.startswith("model.exploration") for key in differing):
        same = f" ({listed})" if method.exploration == main.exploration else ""
        return Row(f"{name}, {method.exploration}{same}", name, method, runs, explores=True)
    if differing.get("data") == EPISODES:
        listed = "whole episodes"
    elif method.config != main.config:
        listed = method.config
    return Row(f"{name} ({listed})", name, method, runs, variant=True)


def _short(value: str) -> str:
    """The name of a class; any other value as it is."""
    return value.rpartition(".")[2] if value[:1].isalpha() else value
