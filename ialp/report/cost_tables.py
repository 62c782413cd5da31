"""What learning costs: the users, who are recommended worse while a policy learns, and the machine."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import polars as pl

from ialp.report.collect import Measured
from ialp.report.comparison import Row, World
from ialp.report.methods import BASELINES
from ialp.report.statistics import mean, ratio_of_means, regret
from ialp.report.tables import Cell, Section, Table, cell, estimate_record, number, ranks, text_cells

HORIZON = 10_000
"""Environment steps over which regret counts."""
TAIL = 0.1
"""Share of a training curve, from its end, whose mean is its final level."""
MEANT: dict[str, tuple[str, Callable[[Measured], pl.DataFrame]]] = {
    "training": ("users met while learning", lambda run: run.training),
    "test": ("test users, the most probable item", lambda run: run.figures),
}
"""Which curve -> in words, and where it is read."""


def regret_table(worlds: Sequence[World]) -> Table:
    """What users lose while the policy learns, absolute and beside the best method that starts from nothing."""
    columns = ["method", "seeds", "regret", "relative to the best from scratch", "final level"]
    table = Table("regret", f"Regret over the first {HORIZON:,} environment steps", columns)
    for world in worlds:
        for curve, (said, _) in MEANT.items():
            levels = {row.label: _final_level(row, curve) for row in world.main_rows if not row.frozen}
            known = {name: value for name, value in levels.items() if value is not None}
            section = Section(f"{world.label}, {said}")
            if known:
                best = max(known, key=lambda name: known[name])
                section.heading += f": below {number(known[best])}, the final level of {best}"
                section.rows = list(_regret_rows(table, world, curve, known[best], levels))
            table.sections.append(section)
    table.notes = [
        "The area between a method's curve and the best final level of any method, per step: the mean shortfall of R. "
        "Nothing is lost where a curve lies above that level; before its first point a curve holds that point's value. "
        "The final level is the mean of the last tenth of the training curve, or the last measurement. Low is good. "
        "The relative figure is over the seeds in common."
    ]
    return table


def cost_table(worlds: Sequence[World]) -> Table:
    """Wall time of the online runs as they were made, and what their judges were asked."""
    columns = ["method", "runs", "environment steps", "seconds of a run", "s per 1,000 steps", "learning alone"]
    table = Table("cost", "Wall time", [*columns, "judged", "by the cache"])
    for world in worlds:
        section = Section(world.label)
        for row in world.rows:
            runs = [run for run in row.longest.values() if run.end and run.run.done.get("seconds")]
            if not runs:
                continue
            steps = round(float(np.mean([run.end for run in runs])))
            whole = mean([float(run.run.done["seconds"]) for run in runs])
            rates = [1000 * float(run.run.done["seconds"]) / run.end for run in runs]
            learning = seconds_of_learning(row)
            timed = [cell(mean(rates)), cell(mean(list(learning.values())) if learning else None)]
            asked = [float(np.mean([judged(run)[which] for run in runs])) for which in (0, 1)]
            questions = [Cell(f"{sum(asked):,.0f}"), Cell(f"{asked[1]:,.0f}")] if sum(asked) else [Cell("–")] * 2
            section.rows.append([*text_cells([row.label, len(runs), f"{steps:,}"]), cell(whole), *timed, *questions])
            table.records += _cost_records({"world": world.label, "method": row.label}, rates, learning, asked)
        table.sections.append(section)
    table.notes = [
        "Of the longest runs of each method, as recorded; runs made side by side on one machine slow each other down. "
        "Learning alone: rollout and update, per 1,000 steps, without the measuring; – where a run did not record it. "
        "Judged: questions to a language model in a run; what the cache answers takes next to no time."
    ]
    return table


def seconds_of_learning(row: Row) -> dict[int, float]:
    """Seconds per 1,000 environment steps of rollout and update, by seed, where recorded."""
    found = {seed: run.run.results.get("seconds_per_step") for seed, run in row.longest.items() if run.end}
    return {seed: 1000 * float(each) for seed, each in found.items() if each}


def judged(run: Measured) -> tuple[int, int]:
    """Questions of an online run that its judge answered, and that the cache answered."""
    said = run.run.results.get("judgements") or {}
    return int(said.get("asked", 0)), int(said.get("cache_hits", 0))


def _regret_rows(
    table: Table, world: World, curve: str, level: float, levels: Mapping[str, float | None]
) -> Iterator[list[Cell]]:
    lost = {row.label: _regrets(row, curve, level) for row in world.main_rows if not row.frozen}
    scratch = [row.label for row in world.main_rows if row.base in BASELINES and lost.get(row.label)]
    best = min(scratch, key=lambda label: np.mean(list(lost[label].values())), default=None)
    order = ranks({label: -float(np.mean(list(each.values()))) for label, each in lost.items() if each})
    for label, by_seed in lost.items():
        if not by_seed:
            continue
        absolute = mean(list(by_seed.values()))
        relative = ratio_of_means(by_seed, lost[best]) if best else None
        final = levels[label]
        cells = [cell(absolute, order.get(label, 0)), cell(relative), Cell("–" if final is None else number(final))]
        yield [*text_cells([label, absolute.n]), *cells]
        for what, estimate in (("regret", absolute), (f"relative to {best}", relative)):
            if estimate is not None:
                known = {"world": world.label, "curve": curve, "method": label, "what": what, "level": level}
                table.records.append(known | estimate_record(estimate))


def _regrets(row: Row, curve: str, level: float) -> dict[int, float]:
    found = {}
    for seed, run in row.runs.items():
        points = MEANT[curve][1](run)
        value = regret(points["environment_steps"].to_list(), points["return"].to_list(), level, HORIZON)
        if value is not None:
            found[seed] = value
    return found


def _final_level(row: Row, curve: str) -> float | None:
    """Mean over the longest runs of where their curves end."""
    if curve == "test":
        ends = [float(run.figures["return"][-1]) for run in row.longest.values()]
    else:
        runs = [run for run in row.longest.values() if len(run.training)]
        tails = [run.training.filter(pl.col("environment_steps") > (1 - TAIL) * run.end)["return"] for run in runs]
        ends = [float(np.mean(tail.to_numpy())) for tail in tails if len(tail)]
    return float(np.mean(ends)) if ends else None


def _cost_records(
    known: Mapping[str, Any], rates: Sequence[float], learning: Mapping[int, float], asked: Sequence[float]
) -> Iterator[dict[str, Any]]:
    yield {**known, "what": "seconds per 1,000 steps", **estimate_record(mean(rates))}
    if learning:
        yield {**known, "what": "learning alone", **estimate_record(mean(list(learning.values())))}
    for what, value in zip(("asked", "by the cache"), asked, strict=True):
        if sum(asked):
            yield {**known, "what": what, "n": len(rates), "value": float(value)}
