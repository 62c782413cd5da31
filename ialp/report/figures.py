"""The paper's Figures 6 to 11: training curves with seed bands, return on the left and length on the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ialp.report.comparison import END, Row, World
from ialp.report.cost_tables import seconds_of_learning
from ialp.report.curves import FLATTENING, draw_references
from ialp.report.methods import FINE_TUNE, FROZEN, LLM_ONLINE, OURS, POLICY_SET
from ialp.report.statistics import Values, band
from ialp.report.tables import number

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"return": "return R", "length": "length Len"}
# Okabe and Ito's colours; dash and marker as well, so that a print in grey still reads.
STYLES: dict[str, dict[str, Any]] = {
    "DQN": {"color": "#E69F00", "linestyle": (0, (1, 1.2)), "marker": "s"},
    "PG": {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    "A2C": {"color": "#D55E00", "linestyle": "--", "marker": "D"},
    LLM_ONLINE: {"color": "#CC79A7", "linestyle": (0, (5, 2)), "marker": "X"},
    FINE_TUNE: {"color": "#56B4E9", "linestyle": "-", "marker": "o"},
    POLICY_SET: {"color": "#0072B2", "linestyle": "-", "marker": None, "linewidth": 2.4},
    FROZEN: {"color": "#000000", "linestyle": (0, (7, 1.5)), "marker": None},
}
OTHERS = [
    {"color": color, "linestyle": dash, "marker": marker}
    for color in ("#000000", "#777777")
    for dash, marker in (((0, (5, 1, 1, 1)), "v"), ((0, (3, 3)), "P"), ((0, (1, 3)), "*"), ("-", "d"))
]
"""For methods that are not among these, and for variants."""
NUMBERS = {"LFM": (6, 8, 11), "Industry": (7, 9, 10)}
"""Of the paper's figures: learning curves, beside LLMOnline, exploration strategies."""
MARKERS = 9
HEADROOM = 1.04
LEGEND_WIDTH = 30
"""Letters of a method's name with which four of them stand side by side."""
TRAINING = "Mean of the latest 20 training episodes, over seeds, with its 95 % interval."
TESTED = (
    "The most probable item, shown to the test users after every epoch: mean over seeds with its 95 % interval. Thin "
    "lines: policies without training."
)
TIMED = f"{TRAINING} On the right, what learning costs: rollout and update, without the measuring."
GRID: dict[str, Any] = {"color": "#e5e5e5", "linewidth": 0.6}


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        key: Stem of its files, and its anchor on the page.
        title: One line.
        caption: What is seen.
        rows: The methods in it.
        end: Environment steps at its right edge.
        explorations: Panels side by side, one per exploration; empty for one panel of all rows.
        references: Policies without training that are drawn as lines; then the curves are those of the test users.
        timed: A third panel says what the methods cost.
    """

    key: str
    title: str
    caption: str
    rows: Sequence[Row]
    end: int
    explorations: Sequence[str] = ()
    references: Mapping[str, Mapping[str, float]] | None = None
    timed: bool = False


def drawings(worlds: Sequence[World]) -> Iterator[Drawing]:
    """The figures that there are runs for."""
    for world in worlds:
        end = world.usual_steps.get(END, 0)
        rows = [row for row in world.main_rows if any(len(run.training) for run in row.runs.values())]
        curves, online, exploring = NUMBERS.get(world.label, (None, None, None))
        stem = "".join(letter if letter.isalnum() else "_" for letter in world.label.lower())
        if rows:
            title = _title(curves, f"Learning curves, {world.label}")
            yield Drawing(f"figure{curves or ''}_{stem}", title, TRAINING, rows, end)
            title = _title(curves, f"The same methods with the test users, {world.label}", "b")
            tested = [*rows, *(row for row in world.main_rows if row.frozen)]
            key = f"figure{curves}b" if curves else "figure"
            yield Drawing(f"{key}_tested_{stem}", title, TESTED, tested, end, references=_without_greedy(world))
        beside = [row for row in rows if row.family in (LLM_ONLINE, *OURS) and row.main]
        if any(row.base == LLM_ONLINE for row in beside):
            title = _title(online, f"LLMOnline beside A-iALP, {world.label}")
            yield Drawing(f"figure{online or ''}_llmonline_{stem}", title, TIMED, beside, end, timed=True)
        rows = [row for row in world.rows if row.base in ("A2C", *OURS) and not row.variant and row.method.exploration]
        seen = dict.fromkeys(["ε-greedy", "categorical", "greedy", *(row.method.exploration for row in rows)])
        names = [name for name in seen if any(row.method.exploration == name for row in rows)]
        if len(names) > 1:
            title = _title(exploring, f"Exploration strategies, {world.label}")
            yield Drawing(f"figure{exploring or ''}_exploration_{stem}", title, TRAINING, rows, end, names)


def draw(drawing: Drawing, folder: Path) -> str:
    """Write a drawing as PNG and SVG.

    Returns:
        The SVG, for the page.
    """
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = max(2, len(drawing.explorations))
    # The ids of two pictures in one page must not meet, and the same curves give the same file.
    with matplotlib.rc_context({"svg.hashsalt": drawing.key, "svg.fonttype": "path", "font.size": 10}):
        size = (10, 4.2) if not drawing.explorations else (max(10, 3.6 * columns), 6.6)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        if drawing.explorations:
            _draw_explorations(figure, drawing)
        else:
            _draw_side_by_side(figure, drawing)
        _add_legend(figure)
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{drawing.key}.png", dpi=160)
        path = folder / f"{drawing.key}.svg"
        figure.savefig(path, metadata={"Date": None})
    return path.read_text(encoding="utf-8")


def curves_of(row: Row, column: str, tested: bool = False) -> tuple[Values, Values]:
    """(E,) environment steps and (S, E) curves of a method's longest runs, at the steps of the first seed.

    A run whose points lie elsewhere is read off between them.

    Args:
        row: The method.
        column: "return" or "length".
        tested: The curves are those of the test users, not of the users met while learning.
    """
    found = [curve for run in row.longest.values() if len(curve := run.figures if tested else run.training)]
    if not found:
        return np.empty(0), np.empty((0, 0))
    steps = found[0]["environment_steps"].to_numpy().astype(float)
    curves = [np.interp(steps, curve["environment_steps"].to_numpy(), curve[column].to_numpy()) for curve in found]
    return steps, np.stack(curves)


def _draw_side_by_side(figure: Figure, drawing: Drawing) -> None:
    """Return and length, and what the methods cost where that is asked for."""
    tested = drawing.references is not None
    widths = [1, 1, 0.6] if drawing.timed else [1, 1]
    panels = figure.subplots(1, len(widths), width_ratios=widths)
    for axes, column in zip(panels, PANELS, strict=False):
        _draw_rows(axes, drawing.rows, column, tested=tested)
        _finish(axes, PANELS[column], drawing.end)
        if drawing.references:
            levels = {name: figures[column] for name, figures in drawing.references.items()}
            draw_references(axes, levels, limit=FLATTENING * axes.dataLim.ymax)
    if drawing.timed:
        _draw_costs(panels[-1], drawing.rows)


def _draw_costs(axes: Axes, rows: Sequence[Row]) -> None:
    """Bars of the seconds of 1,000 environment steps."""
    for place, (row, style) in enumerate(zip(rows, _styles(rows), strict=True)):
        seconds = list(seconds_of_learning(row).values())
        average = float(np.mean(seconds)) if seconds else 0.0
        axes.barh(place, average, color=style["color"], height=0.6)
        axes.text(average, place, f"  {number(average)} s" if seconds else "  not recorded", va="center", fontsize=9)
    axes.set(xlabel="seconds per 1,000 steps", yticks=range(len(rows)))
    axes.set_yticklabels([row.label.replace(" ", "\n", 1) for row in rows], fontsize=9)
    axes.set_xmargin(0.3)
    axes.invert_yaxis()
    axes.spines[["top", "right"]].set_visible(False)


def _styles(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Each method's own look, and looks for variants and for methods of one's own."""
    others = iter(OTHERS * len(rows))
    for row in rows:
        style = STYLES.get(row.family)
        if style and (row.variant or row.base != row.family):  # the family's colour with another dash and marker
            style = next(others) | {"color": style["color"]}
        yield style or next(others)


def _draw_rows(axes: Axes, rows: Sequence[Row], column: str, by_method: bool = False, tested: bool = False) -> None:
    """The rows' curves and bands; `by_method` leaves out of a name how the method explores, and its seeds."""
    for place, (row, style) in enumerate(zip(rows, _styles(rows), strict=True)):
        steps, curves = curves_of(row, column, tested)
        if not len(steps):
            continue
        average, low, high = band(curves)
        every = max(1, len(steps) // MARKERS)
        look: dict[str, Any] = {"linewidth": 1.7, "markersize": 5, "markevery": (place % every, every)} | style
        label = row.base if by_method else f"{row.label} ({len(curves)} seed{'s' if len(curves) > 1 else ''})"
        if row.frozen:  # measured once: the same at any time
            axes.axhspan(float(low[0]), float(high[0]), color=style["color"], alpha=0.16, linewidth=0)
            axes.axhline(float(average[0]), color=style["color"], linestyle=style["linestyle"], label=label)
            continue
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.16, linewidth=0)
        axes.plot(steps, average, label=label, **look)


def _draw_explorations(figure: Figure, drawing: Drawing) -> None:
    """One column per exploration, return above and length below, on common scales."""
    panels = figure.subplots(2, len(drawing.explorations), sharex=True, sharey="row", squeeze=False)
    for place, name in enumerate(drawing.explorations):
        rows = [row for row in drawing.rows if row.method.exploration == name]
        for axes, column in zip(panels[:, place], PANELS, strict=True):
            _draw_rows(axes, rows, column, by_method=True)
            _finish(axes, PANELS[column] if place == 0 else "", drawing.end, xlabel=column == "length")
        seeds = ", ".join(f"{row.base} {len(curves_of(row, 'return')[1])}" for row in rows)
        top = panels[0, place]
        top.set_title(f"{name}\n", fontsize=11)
        top.text(0.5, 1.02, f"seeds: {seeds}", transform=top.transAxes, ha="center", fontsize=8, color="#555555")


def _finish(axes: Axes, title: str, end: int, xlabel: bool = True) -> None:
    axes.set(xlabel="environment steps" if xlabel else "", ylabel=title)
    axes.set_ylim(0, max(axes.get_ylim()[1], HEADROOM * axes.dataLim.ymax))  # panels that share a scale grow together
    axes.set_xlim(0, end or None)
    axes.xaxis.set_major_formatter(lambda value, _: "0" if not value else f"{value / 1000:g}k")
    axes.grid(axis="y", **GRID)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _add_legend(figure: Figure) -> None:
    """One entry per method for all panels."""
    entries: dict[str, Any] = {}
    for axes in figure.axes:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        columns = min(len(entries), 4 if max(map(len, entries)) <= LEGEND_WIDTH else 3)
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=columns, frameon=False,
            handlelength=3.5, fontsize=9,
        )  # fmt: skip


def _without_greedy(world: World) -> dict[str, Mapping[str, float]]:
    """Greedy knows the simulated users: it is no level to be reached."""
    return {name: figures for name, figures in world.references.items() if name != "greedy"}


def _title(number: int | None, text: str, letter: str = "") -> str:
    return f"Figure {number}{letter}. {text}" if number else text
