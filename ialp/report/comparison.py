"""The methods of a world side by side, and their figures by seed."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import polars as pl

from ialp.report.collect import Collection, Measured
from ialp.report.methods import ORDER, differences
from ialp.report.statistics import Values
from ialp.report.summary import EPOCH_STEPS
from ialp.runs.data import RunData

END = "end"
Moment = int | str  # an epoch of the paper, or END
PAPER_NAMES = {"lfm": "LFM", "industry": "Industry", "coat": "Coat"}
SHOWN_DIFFERENCES = 3
CLOSE = 0.15  # steps that differ by this fraction at most are one moment: an epoch of whole episodes varies
DEFAULT_EXPLORATION = {"DQN": "ε-greedy"}  # in the paper's tables; any other method explores by categorical draws


@dataclass
class Row:
    """One method in one world."""

    label: str  # what tables and figures call it
    base: str  # the paper's name of the method, or the config's
    runs: dict[int, Measured]  # by seed
    main: bool  # the method as the paper's figures show it, not one of its variants
    explores: bool  # the main row, or one that differs from it in its exploration only

    @property
    def family(self) -> str:
        """The paper's name without an algorithm: "A-iALP FineTune, PG" is of the family of "A-iALP FineTune"."""
        return self.base.partition(",")[0]

    @property
    def exploration(self) -> str:
        """How it explores; "" where nothing is trained."""
        return next(iter(self.runs.values())).method.exploration

    @property
    def frozen(self) -> bool:
        """Whether nothing is trained, so that the figures are the same at any time."""
        return all(not len(run.training) and run.end == 0 for run in self.runs.values())

    @property
    def longest(self) -> dict[int, Measured]:
        """The runs that went on as long as the method's longest, by seed."""
        end = max(run.end for run in self.runs.values())
        return {seed: run for seed, run in sorted(self.runs.items()) if run.end >= (1 - CLOSE) * end}

    def values(self, moment: Moment, figure: str) -> dict[int, float]:
        """Seed -> figure or environment_steps after so many epochs of the paper; at the end, of the longest runs."""
        if moment == END or self.frozen:
            return {seed: float(run.figures[figure][-1]) for seed, run in self.longest.items()}
        found = {seed: _at(run.figures, EPOCH_STEPS * int(moment), figure) for seed, run in self.runs.items()}
        return {seed: value for seed, value in found.items() if value is not None}

    def curves(self, column: str, tested: bool = False) -> tuple[Values, dict[int, Values]]:
        """(E,) environment steps, and seed -> (E,) learning curve of the longest runs, at the steps of the first seed.

        `column` is "return" or "length", of the users in training or, if `tested`, of the test users.
        """
        runs = {seed: run.figures if tested else run.training for seed, run in self.longest.items()}
        found = {seed: curve for seed, curve in runs.items() if len(curve)}
        at = {seed: curve["environment_steps"].to_numpy().astype(float) for seed, curve in found.items()}
        steps = next(iter(at.values()), np.empty(0))
        return steps, {seed: np.interp(steps, at[seed], curve[column].to_numpy()) for seed, curve in found.items()}


@dataclass
class World:
    """The simulated users of one reward run, the reference policies measured there, and the methods."""

    key: str
    label: str
    data: str
    rows: list[Row]
    references: Mapping[str, Mapping[str, float]]
    reward: RunData | None

    @property
    def main_rows(self) -> list[Row]:
        """One row of each method."""
        return [row for row in self.rows if row.main]


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


def _at(figures: pl.DataFrame, steps: int, figure: str) -> float | None:
    """A figure after so many steps, on the line between measurements an epoch apart; None where there are none."""
    at = figures["environment_steps"].to_numpy()
    after = int(np.searchsorted(at, steps))
    if after == len(at):
        return float(figures[figure][-1]) if steps * (1 - CLOSE) <= at[-1] else None
    before = after if at[after] == steps else max(after - 1, 0)
    if at[after] - at[before] > (1 + CLOSE) * EPOCH_STEPS:
        return None
    return float(np.interp(steps, at, figures[figure].to_numpy()))


def _world(key: str, runs: list[Measured]) -> World:
    data = str((runs[0].run.done.get("data") or {}).get("name", "unknown data"))
    place = {name: number for number, name in enumerate(ORDER)}
    rows = sorted(_rows(runs), key=lambda row: (place.get(row.family, 99), row.base, not row.main, row.label))
    references = next((found for run in runs if (found := run.run.references())), {})
    reward = next((run.run.world for run in runs if run.run.world), None)
    return World(key, PAPER_NAMES.get(data.lower(), data), data.lower(), rows, references, reward)


def _rows(runs: list[Measured]) -> Iterator[Row]:
    """The methods: runs with equal settings are one row, whatever their configs are called."""
    by_name: dict[str, dict[tuple[object, ...], dict[int, Measured]]] = defaultdict(lambda: defaultdict(dict))
    for run in runs:
        by_name[run.method.name][run.method.settings][run.seed] = run
    for name, variants in by_name.items():
        ordered = sorted(variants.values(), key=lambda found: _precedence(name, found))
        main = next(iter(ordered[0].values())).method
        taken: set[str] = set()
        for found in ordered:
            run = next(iter(found.values()))
            differing = differences(run.method, main)
            label = name
            if differing:
                listed = [f"{key.rpartition('.')[2]} {_short(value)}" for key, value in differing.items()]
                other = [run.method.config] if run.method.config != main.config else listed[:SHOWN_DIFFERENCES]
                label = f"{name} ({', '.join(other)})"
            if label in taken:
                label += f" [{'/'.join(run.run.folder.parts[-2:])}]"
            taken.add(label)
            explores = all(key.startswith("model.exploration") for key in differing)
            yield Row(label, name, found, not differing, explores)


def _precedence(name: str, runs: Mapping[int, Measured]) -> tuple[object, ...]:
    """Which variant of a method is its main row: most seeds, then the usual exploration, a short name, a long run."""
    method = next(iter(runs.values())).method
    usual = method.exploration == DEFAULT_EXPLORATION.get(name, "categorical")
    return -len(runs), not usual, len(method.config), method.config, -max(run.end for run in runs.values())


def _short(value: str) -> str:
    """The name of a class; any other value as it is."""
    return value.rpartition(".")[2] if value[:1].isalpha() else value
