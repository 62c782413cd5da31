"""The paper's Tables 3 to 5 and what stands beside them: exploration and comparisons."""

from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from itertools import permutations
from typing import Any

import yaml

from ialp.report.comparison import END, Moment, Row, World
from ialp.report.methods import BASELINES, FINE_TUNE, FROZEN, LLM_ONLINE, OURS, POLICY_SET
from ialp.report.statistics import Estimate, mean, paired_difference, probability_of_improvement, ratio_of_means
from ialp.report.summary import NOTED
from ialp.report.tables import Cell, Section, Table, cell, estimate_record, number, ranks
from ialp.runs.data import FIGURES

HEADINGS = {"return": "R", "length": "Len", "average_reward": "R_avg"}
TABLES: dict[str, tuple[Moment, str, tuple[str, ...]]] = {
    "table3": (0, "Table 3. On the first day, e = 0", (*BASELINES, FROZEN)),
    "table4": (1, "Table 4. After one epoch, e = 1", (*BASELINES, FROZEN, FINE_TUNE, POLICY_SET)),
    "table4b": (2, "Table 4b. After two epochs, e = 2", (*BASELINES, FROZEN, FINE_TUNE, POLICY_SET)),
    "table5": (END, "Table 5. At the end", (*BASELINES, LLM_ONLINE, FROZEN, FINE_TUNE, POLICY_SET)),
}
"""Key -> when, title, and the methods that the table wants; methods that are not the paper's follow in each."""
MEASURED_NOTE = (
    "The most probable item is shown, to the same test users for all methods; mean over seeds, 95 % interval."
)
REFERENCE_NOTE = (
    "In italics, not ranked: reference policies without training, measured once in this world. "
    "Most similar knows the text alone; greedy knows the simulated users, and takes the item they like best."
)


def paper_figures() -> dict[str, Any]:
    """What the paper prints: moment -> world -> method -> figures."""
    return yaml.safe_load((files("ialp.report") / "paper_figures.yaml").read_text(encoding="utf-8"))


def paper_table(key: str, worlds: Sequence[World]) -> Table:
    """One of the paper's tables: methods by R, Len and R_avg, ours beside the paper's."""
    moment, title, wanted = TABLES[key]
    columns = ["method", "seeds"] + [name for figure in FIGURES for name in (HEADINGS[figure], "paper")]
    table = Table(key, title, columns)
    printed = paper_figures().get(str(moment), {})
    differing: set[str] = set()
    for world in worlds:
        # On the first day an adapted policy is what it started from: its row would say that of the frozen one again.
        rows = [row for row in world.main_rows if moment != 0 or row.base in wanted or row.family not in OURS]
        section, marks = _section(table, world, rows, moment, printed.get(world.label, {}))
        table.sections.append(section)
        differing |= marks
    table.notes = [f"{MEASURED_NOTE} {REFERENCE_NOTE}", *sorted(differing)]
    return table


def exploration_table(worlds: Sequence[World]) -> Table:
    """R at the end, method by exploration."""
    seen = [row.method.exploration for world in worlds for row in world.rows if not row.variant]
    names = [name for name in dict.fromkeys(["ε-greedy", "categorical", "greedy", *seen]) if name in seen and name]
    table = Table("exploration", "Exploration strategies: R at the end", ["method", *names])
    for world in worlds:
        section = Section(world.label)
        for base in dict.fromkeys(row.base for row in world.rows):
            of_base = [row for row in world.rows if row.base == base and not row.variant and not row.frozen]
            estimates: dict[str, Estimate] = {}
            for row in of_base:
                values = row.values(END, "return")
                if values and world.comparable(row, END):
                    estimates.setdefault(row.method.exploration, mean(list(values.values())))
            best = ranks({name: each.value for name, each in estimates.items()}) if len(estimates) > 1 else {}
            if estimates:
                shown = [cell(estimates.get(name), best.get(name, 0)) for name in names]
                section.rows.append([Cell(base), *shown])
                for name, each in estimates.items():
                    known = {"world": world.label, "method": base, "exploration": name}
                    table.records.append(known | estimate_record(each))
        table.sections.append(section)
    table.notes = ["Best exploration of each method in bold, second underlined; argmax in the test world."]
    return table


def comparison_table(worlds: Sequence[World]) -> Table:
    """Who beats whom, and by how much: paired by seed, and over all pairs of seeds."""
    columns = ["X against Y", "common seeds", "X − Y, paired", "X / Y", "P(X > Y)"]
    table = Table("comparisons", "Comparisons of R", columns)
    lonely = 0
    for world in worlds:
        for moment, firsts in ((0, (FROZEN,)), (END, (*OURS, LLM_ONLINE))):
            section = Section(f"{world.label}, {_when(moment)}")
            rows, single = _rows_to_compare(world, moment)
            lonely += single
            for x, y in permutations(rows, 2):
                compared = _compared(x.values(moment, "return"), y.values(moment, "return"))
                table.records += _comparison_records(world, moment, x, y, compared)
                mirrored = y.family in firsts and rows.index(x) < rows.index(y)
                if x.family in firsts and not mirrored and not (moment == 0 and y.family in OURS):
                    section.rows.append(_comparison_row(x, y, compared))
            if section.rows:
                table.sections.append(section)
    table.notes = [
        "X − Y and X / Y over common seeds; P(X > Y) over all pairs of a seed of X and a seed of Y, a tie half. "
        "All pairs of methods are in comparisons.csv."
    ]
    if lonely:
        table.notes.append(f"Left out: {lonely} figures of methods that have one seed, where others have more.")
    return table


def printed_number(value: float) -> str:
    """A figure with as many digits as the paper gives."""
    return f"{value:.2f}" if abs(value) < 9.995 else f"{value:.1f}"


def _section(
    table: Table, world: World, rows: Sequence[Row], moment: Moment, printed: Mapping[str, Sequence[float]]
) -> tuple[Section, set[str]]:
    """The rows of one world, and notes on those that were measured after another number of steps."""
    section, notes = Section(world.label), set()
    shown = [row for row in rows if row.values(moment, "return")]
    found = {(row.label, f): mean(list(row.values(moment, f).values())) for row in shown for f in FIGURES}
    level = [row.label for row in shown if world.comparable(row, moment)]
    best = {f: ranks({label: found[label, f].value for label in level}) for f in FIGURES}
    for row in shown:
        paper = dict(zip(FIGURES, printed.get(row.base, ()), strict=False)) if row.main else {}
        dagger = "" if row.label in level else " †"
        usual = world.usual_steps.get(moment, 0)
        if not row.frozen and abs((row.steps(moment) or 0) - usual) > NOTED * usual:
            steps = f"{row.steps(moment):,} environment steps, the others after {usual:,}"
            notes.add(f"{dagger} {row.label} in {world.label}: after {steps}{'; not ranked' * bool(dagger)}.".strip())
        cells = [Cell(row.label + dagger), Cell(str(found[row.label, "return"].n))]
        for figure in FIGURES:
            estimate, rank = found[row.label, figure], best[figure].get(row.label, 0)
            cells += [cell(estimate, rank), Cell(printed_number(paper[figure]) if figure in paper else "")]
            table.records.append(_record(world, row, moment, figure, estimate, paper.get(figure), rank))
        section.rows.append(cells)
    for name, figures in world.references.items():
        cells = [part for figure in FIGURES for part in (Cell(number(figures[figure])), Cell(""))]
        section.apart.append([Cell(name), Cell(""), *cells])
        known = {"world": world.label, "method": name, "at": moment}
        table.records += [known | {"figure": figure, "value": figures[figure]} for figure in FIGURES]
    return section, notes


def _record(
    world: World, row: Row, moment: Moment, figure: str, estimate: Estimate, paper: float | None, rank: int
) -> dict[str, Any]:
    known = {"world": world.label, "method": row.label, "at": moment, "figure": figure}
    seeds = " ".join(map(str, sorted(row.values(moment, figure))))
    return known | estimate_record(estimate) | {"paper": paper, "rank": rank or None, "seeds": seeds}


def _rows_to_compare(world: World, moment: Moment) -> tuple[list[Row], int]:
    """Rows measured at the moment, without those of a single seed where others have more; how many those are."""
    found = {row.label: len(row.values(moment, "return")) for row in world.main_rows if world.comparable(row, moment)}
    enough = 2 if max(found.values(), default=0) > 1 else 1
    rows = [row for row in world.main_rows if found.get(row.label, 0) >= enough]
    return rows, sum(0 < seeds < enough for seeds in found.values())


def _compared(x: Mapping[int, float], y: Mapping[int, float]) -> dict[str, Estimate | None]:
    return {
        "difference": paired_difference(x, y),
        "ratio": ratio_of_means(x, y),
        "probability": probability_of_improvement(list(x.values()), list(y.values())),
    }


def _comparison_row(x: Row, y: Row, compared: Mapping[str, Estimate | None]) -> list[Cell]:
    difference = compared["difference"]
    cells = [cell(difference, signed=True), cell(compared["ratio"]), cell(compared["probability"])]
    return [Cell(f"{x.label} against {y.label}"), Cell(str(difference.n if difference else 0)), *cells]


def _comparison_records(
    world: World, moment: Moment, x: Row, y: Row, compared: Mapping[str, Estimate | None]
) -> Iterator[dict[str, Any]]:
    for what, estimate in compared.items():
        if estimate is not None:
            known = {"world": world.label, "at": moment, "x": x.label, "y": y.label, "what": what}
            yield known | estimate_record(estimate)


def _when(moment: Moment) -> str:
    return "at the end" if moment == END else f"e = {moment}"
