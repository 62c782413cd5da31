"""The paper's Tables 3 to 5, and comparisons, explorations, regret and cost beside them."""

from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.resources import files
from itertools import permutations
from typing import Any

import numpy as np
import yaml

from ialp.report import statistics
from ialp.report.comparison import END, Moment, Row, World
from ialp.report.methods import BASELINES, FINE_TUNE, FROZEN, LLM_ONLINE, OURS, POLICY_SET
from ialp.report.statistics import Estimate, Values, mean
from ialp.report.summary import NOTED
from ialp.report.tables import PAPER, Cell, Section, Table, number, ranks, row
from ialp.runs.data import FIGURES

HEADINGS = {"return": "R", "length": "Len", "average_reward": "R_avg"}
TABLES: dict[str, tuple[Moment, str, tuple[str, ...]]] = {
    "table3": (0, "Table 3. On the first day, e = 0", (*BASELINES, FROZEN)),
    "table4": (1, "Table 4. After one epoch, e = 1", (*BASELINES, FROZEN, FINE_TUNE, POLICY_SET)),
    "table4b": (2, "Table 4b. After two epochs, e = 2", (*BASELINES, FROZEN, FINE_TUNE, POLICY_SET)),
    "table5": (END, "Table 5. At the end", (*BASELINES, LLM_ONLINE, FROZEN, FINE_TUNE, POLICY_SET)),
}
"""Key -> when, title, and the methods that the table wants; methods that are not the paper's follow in each."""
HORIZON = 10_000
"""Environment steps over which regret counts."""
TAIL = 0.1
"""Fraction of a training curve, from its end, whose mean is its final level."""
Curves = Mapping[str, tuple[Values, Mapping[int, Values]]]
"""Method -> environment steps (E,), and seed -> return (E,)."""
PAPER_NOTE = (
    "The most probable item is shown, to the same test users for all methods; mean over seeds, 95 % interval. "
    "In italics, not ranked: reference policies without training, measured once in this world. "
    "Most similar knows the text alone; greedy knows the simulated users, and takes the item they like best."
)
REGRET_NOTE = (
    "The area between a method's curve and the best final level of any method, per step: the mean shortfall of R. "
    "Nothing is lost where a curve lies above that level; before its first point a curve holds that point's value. "
    "The final level is the mean of the last tenth of the training curve, or the last measurement. Low is good. "
    "The relative figure is over the seeds in common."
)
COST_NOTE = (
    "Of the longest runs of each method, as recorded; runs made side by side on one machine slow each other down. "
    "Learning alone: rollout and update, per 1,000 steps, without the measuring; – where a run did not record it. "
    "Judged: questions to a language model in a run; what the cache answers takes next to no time."
)


@cache
def paper_figures() -> dict[str, Any]:
    """What the paper prints: moment -> world -> method -> figures."""
    return yaml.safe_load((files("ialp.report") / "paper_figures.yaml").read_text(encoding="utf-8"))


def paper_table(key: str, worlds: Sequence[World]) -> Table:
    """One of the paper's tables: methods by R, Len and R_avg, ours beside the paper's."""
    moment, title, wanted = TABLES[key]
    table = Table(key, title, ["method", "seeds"] + [name for f in FIGURES for name in (HEADINGS[f], PAPER)])
    notes: set[str] = set()
    for world in worlds:
        # On the first day an adapted policy is what it started from: its row would repeat that of the frozen one.
        rows = [each for each in world.main_rows if moment != 0 or each.base in wanted or each.family not in OURS]
        rows = [each for each in rows if each.values(moment, "return")]
        printed = paper_figures().get(str(moment), {}).get(world.label, {})
        references = [
            (name, *(v for f in FIGURES for v in (figures[f], ""))) for name, figures in world.references.items()
        ]
        apart = [row(name, "", *values) for name, *values in references]
        table.sections.append(Section(world.label, list(_measured_rows(rows, moment, printed)), apart))
        notes |= {note for each in rows if (note := _steps_note(world, each, moment))}
    table.notes = [PAPER_NOTE, *sorted(notes)]
    return table


def exploration_table(worlds: Sequence[World]) -> Table:
    """R at the end, method by exploration."""
    seen = [each.method.exploration for world in worlds for each in world.rows if not each.variant]
    names = [name for name in dict.fromkeys(["ε-greedy", "categorical", "greedy", *seen]) if name in seen and name]
    table = Table("exploration", "Exploration strategies: R at the end", ["method", *names])
    for world in worlds:
        section = Section(world.label)
        for base in dict.fromkeys(each.base for each in world.rows):
            estimates: dict[str, Estimate] = {}
            for each in world.rows:
                if each.base == base and not each.variant and not each.frozen and each.comparable(END):
                    estimates.setdefault(each.method.exploration, mean([*each.values(END, "return").values()]))
            best = ranks({name: each.value for name, each in estimates.items()}) if len(estimates) > 1 else {}
            if estimates:
                section.rows.append(row(base, *(Cell(estimates.get(name), best.get(name, 0)) for name in names)))
        table.sections.append(section)
    table.notes = ["Best exploration of each method in bold, second underlined; argmax in the test world."]
    return table


def comparison_table(worlds: Sequence[World]) -> Table:
    """Differences, ratios and probabilities of improvement of pairs of methods."""
    columns = ["X against Y", "common seeds", "X − Y, paired", "X / Y", "P(X > Y)"]
    table = Table("comparisons", "Comparisons of R", columns)
    lonely = 0
    for world in worlds:
        for moment, when, firsts in ((0, "e = 0", (FROZEN,)), (END, "at the end", (*OURS, LLM_ONLINE))):
            seeds = {
                each.label: len(each.values(moment, "return")) for each in world.main_rows if each.comparable(moment)
            }
            enough = 2 if max(seeds.values(), default=0) > 1 else 1
            rows = [each for each in world.main_rows if seeds.get(each.label, 0) >= enough]
            lonely += sum(0 < count < enough for count in seeds.values())
            section = Section(f"{world.label}, {when}")
            for x, y in permutations(rows, 2):
                mirrored = y.family in firsts and rows.index(x) < rows.index(y)
                if x.family in firsts and not mirrored and not (moment == 0 and y.family in OURS):
                    section.rows.append(_comparison(x, y, moment))
            table.sections += [section] if section.rows else []
    table.notes = [
        "X − Y and X / Y over common seeds; P(X > Y) over all pairs of a seed of X and a seed of Y, a tie half."
    ]
    if lonely:
        table.notes.append(f"Left out: {lonely} figures of methods that have one seed, where others have more.")
    return table


def regret_table(worlds: Sequence[World]) -> Table:
    """What users lose while the policy learns, absolute and relative to the best method without pre-training."""
    columns = ["method", "seeds", "regret", "relative to the best from scratch", "final level"]
    table = Table("regret", f"Regret over the first {HORIZON:,} environment steps", columns, notes=[REGRET_NOTE])
    for world in worlds:
        for tested, users in enumerate(("users in training", "test users, the most probable item")):
            found = {each.label: each.curves("return", bool(tested)) for each in world.main_rows if not each.frozen}
            curves = {label: curve for label, curve in found.items() if curve[1]}
            levels = {label: _final_level(steps, runs, bool(tested)) for label, (steps, runs) in curves.items()}
            section = Section(f"{world.label}, {users}")
            if levels:
                best = max(levels, key=lambda label: levels[label])
                section.heading += f": below {number(levels[best])}, the final level of {best}"
                section.rows = list(_regret_rows(world, curves, levels))
            table.sections.append(section)
    return table


def cost_table(worlds: Sequence[World]) -> Table:
    """Wall time of the online runs, and the number of questions to a judge."""
    columns = ["method", "runs", "environment steps", "seconds of a run", "s per 1,000 steps", "learning alone"]
    table = Table("cost", "Wall time", [*columns, "judged", "by the cache"], notes=[COST_NOTE])
    for world in worlds:
        section = Section(world.label)
        for each in world.rows:
            runs = [run for run in each.longest.values() if run.end and run.run.done.get("seconds")]
            if not runs:
                continue
            seconds = [float(run.run.done["seconds"]) for run in runs]
            rates = [1000 * taken / run.end for taken, run in zip(seconds, runs, strict=True)]
            learning = [run.seconds_per_1000 for run in runs if run.seconds_per_1000]
            judged = [run.run.results.get("judgements") or {} for run in runs]
            asked, cached = (round(np.mean([int(j.get(k, 0)) for j in judged])) for k in ("asked", "cache_hits"))
            timed = [mean(seconds), mean(rates), mean(learning) if learning else None]
            questions = [asked + cached, cached] if asked + cached else [None, None]
            steps = round(float(np.mean([run.end for run in runs])))
            section.rows.append(row(each.label, len(runs), steps, *timed, *questions))
        table.sections.append(section)
    return table


def _measured_rows(rows: Sequence[Row], moment: Moment, printed: Mapping[str, Sequence[float]]) -> Iterator[list[Cell]]:
    """The methods of one world, the best and second figures marked."""
    found = {(each.label, f): mean([*each.values(moment, f).values()]) for each in rows for f in FIGURES}
    ranked = [each.label for each in rows if each.comparable(moment)]
    best = {f: ranks({label: found[label, f].value for label in ranked}) for f in FIGURES}
    for each in rows:
        paper = dict(zip(FIGURES, printed.get(each.base, ()), strict=False)) if each.main else {}
        cells = row(each.label + _dagger(each, moment), found[each.label, "return"].n)
        for f in FIGURES:
            printed_figure = f"{paper[f]:.{2 if abs(paper[f]) < 9.995 else 1}f}" if f in paper else ""
            cells += row(Cell(found[each.label, f], best[f].get(each.label, 0)), printed_figure)
        yield cells


def _dagger(row: Row, moment: Moment) -> str:
    return "" if row.comparable(moment) else " †"


def _steps_note(world: World, row: Row, moment: Moment) -> str:
    """After how many steps a method was measured, where these are not the others'."""
    steps, usual, dagger = row.steps(moment) or 0, world.usual_steps.get(moment, 0), _dagger(row, moment)
    if row.frozen or abs(steps - usual) <= NOTED * usual:
        return ""
    note = f"{dagger} {row.label} in {world.label}: after {steps:,} environment steps, the others after {usual:,}"
    return f"{note}{'; not ranked' if dagger else ''}.".strip()


def _comparison(x: Row, y: Row, moment: Moment) -> list[Cell]:
    left, right = x.values(moment, "return"), y.values(moment, "return")
    difference = statistics.paired_difference(left, right)
    probability = statistics.probability_of_improvement([*left.values()], [*right.values()])
    cells = Cell(difference, signed=True), statistics.ratio_of_means(left, right), probability
    return row(f"{x.label} against {y.label}", difference.n if difference else 0, *cells)


def _regret_rows(world: World, curves: Curves, levels: Mapping[str, float]) -> Iterator[list[Cell]]:
    """The methods whose curves reach the horizon."""
    level = max(levels.values())
    lost = {
        label: {seed: statistics.regret(steps, curve, level, HORIZON) for seed, curve in runs.items()}
        for label, (steps, runs) in curves.items()
        if steps[-1] >= HORIZON
    }
    means = {label: mean([*by_seed.values()]) for label, by_seed in lost.items()}
    scratch = [each.label for each in world.main_rows if each.base in BASELINES and each.label in means]
    best = min(scratch, key=lambda label: means[label].value, default=None)
    order = ranks({label: -each.value for label, each in means.items()})
    for label, absolute in means.items():
        relative = statistics.ratio_of_means(lost[label], lost[best]) if best else None
        yield row(label, absolute.n, Cell(absolute, order.get(label, 0)), relative, levels[label])


def _final_level(steps: Values, runs: Mapping[int, Values], tested: bool) -> float:
    """Mean over runs of the last measurement, or of the last tenth of the training curve."""
    tail = steps >= steps[-1] if tested else steps > (1 - TAIL) * steps[-1]
    return float(np.mean([curve[tail].mean() for curve in runs.values()]))
