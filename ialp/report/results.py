"""The paper's Tables 3 to 5, and comparisons and cost beside them."""

from collections.abc import Iterator, Sequence
from functools import cache
from importlib.resources import files
from itertools import permutations
from typing import Any

import numpy as np
import yaml

from ialp.report.comparison import END, Moment, Row, World
from ialp.report.methods import BASELINES, FROZEN, LLM_ONLINE, OURS
from ialp.report.statistics import mean, paired_difference, probability_of_improvement, ratio_of_means
from ialp.report.tables import PAPER, Cell, Table, ranks, row
from ialp.runs.data import FIGURES

HEADINGS = {"return": "R", "length": "Len", "average_reward": "R_avg"}
TABLES: dict[str, tuple[Moment, str]] = {
    "table3": (0, "Table 3. On the first day, e = 0"),
    "table4": (1, "Table 4. After one epoch, e = 1"),
    "table4b": (2, "Table 4b. After two epochs, e = 2"),
    "table5": (END, "Table 5. At the end"),
}
PAPER_NOTE = (
    "The most probable item is shown, to the same test users for all methods; mean over seeds, 95 % interval. "
    "References without training, not ranked, were measured once in this world. "
    "Most similar knows the text alone; greedy knows the simulated users, and takes the item they like best."
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
    moment, title = TABLES[key]
    columns = ["method", "seeds", "steps", *(name for f in FIGURES for name in (HEADINGS[f], PAPER))]
    table = Table(key, title, columns, notes=[PAPER_NOTE])
    for world in worlds:
        # On the first day an adapted policy is what it started from: its row would repeat that of the frozen one.
        rows = [
            each for each in world.rows if each.values(moment, "return") and (moment != 0 or each.family not in OURS)
        ]
        table.sections[world.label] = list(_measured_rows(rows, moment, world.label))
        table.sections[f"{world.label}, references"] = [
            row(name, "", "", *(value for f in FIGURES for value in (figures[f], "")))
            for name, figures in world.references.items()
        ]
    return table


def comparison_table(worlds: Sequence[World]) -> Table:
    """Differences, ratios and probabilities of improvement of pairs of methods."""
    columns = ["X against Y", "common seeds", "X − Y, paired", "X / Y", "P(X > Y)"]
    note = "X − Y and X / Y over common seeds; P(X > Y) over all pairs of a seed of X and a seed of Y, a tie half."
    table = Table("comparisons", "Comparisons of R", columns, notes=[note])
    for world in worlds:
        early = [each for each in world.main_rows if each.base in (*BASELINES, FROZEN)]
        for moment, when, rows, firsts in (
            (0, "e = 0", early, (FROZEN,)),
            (END, "at the end", world.main_rows, (*OURS, LLM_ONLINE)),
        ):
            found = table.sections[f"{world.label}, {when}"] = []
            for x, y in permutations(rows, 2):
                mirrored = y.family in firsts and rows.index(x) < rows.index(y)
                left, right = x.values(moment, "return"), y.values(moment, "return")
                if x.family in firsts and not mirrored and left and right:
                    better = probability_of_improvement([*left.values()], [*right.values()])
                    cells = paired_difference(left, right), ratio_of_means(left, right), better
                    found.append(row(f"{x.label} against {y.label}", len(left.keys() & right.keys()), *cells))
    return table


def cost_table(worlds: Sequence[World]) -> Table:
    """Wall time of the online runs, and the number of questions to a judge."""
    columns = ["method", "runs", "steps", "seconds of a run", "learning alone, per 1,000 steps"]
    table = Table("cost", "Wall time", [*columns, "judged", "by the cache"], notes=[COST_NOTE])
    for world in worlds:
        found = table.sections[world.label] = []
        for each in world.rows:
            runs = [run for run in each.longest.values() if run.end and run.run.done.get("seconds")]
            if not runs:
                continue
            learning = seconds_per_1000(each)
            judged = [run.run.results.get("judgements") or {} for run in runs]
            asked, cached = (round(np.mean([int(j.get(k, 0)) for j in judged])) for k in ("asked", "cache_hits"))
            found.append(
                row(
                    each.label, len(runs), round(float(np.mean([run.end for run in runs]))),
                    mean([float(run.run.done["seconds"]) for run in runs]), mean(learning) if learning else None,
                    *([asked + cached, cached] if asked + cached else [None, None]),
                )
            )  # fmt: skip
    return table


def seconds_per_1000(method: Row) -> list[float]:
    """Seconds of rollout and update per 1,000 environment steps, of the runs that recorded them."""
    seconds = [run.run.results.get("seconds_per_step") for run in method.longest.values()]
    return [1000 * float(each) for each in seconds if each]


def _measured_rows(rows: Sequence[Row], moment: Moment, world: str) -> Iterator[list[Cell]]:
    """The methods of one world, the best and second figures marked."""
    printed = paper_figures().get(str(moment), {}).get(world, {})
    found = {(each.label, f): mean([*each.values(moment, f).values()]) for each in rows for f in FIGURES}
    best = {f: ranks({each.label: found[each.label, f].value for each in rows}) for f in FIGURES}
    for each in rows:
        paper = dict(zip(FIGURES, printed.get(each.base, ()), strict=False)) if each.main else {}
        steps = round(float(np.mean([*each.values(moment, "environment_steps").values()])))
        cells = row(each.label, found[each.label, "return"].n, steps)
        for f in FIGURES:
            printed_figure = f"{paper[f]:.{2 if abs(paper[f]) < 9.995 else 1}f}" if f in paper else ""
            cells += row(Cell(found[each.label, f], best[f].get(each.label, 0)), printed_figure)
        yield cells
