"""The paper's Figures 6 to 11: learning curves with bands over seeds, return on the left and length on the right."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ialp.report.comparison import END, Row, World
from ialp.report.methods import FINE_TUNE, FROZEN, LLM_ONLINE, OURS, POLICY_SET
from ialp.report.plots import FLATTENING, add_legend, draw_curve, draw_references, finish, new_figure, save
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
EXPLORATIONS: tuple[str, ...] = ("ε-greedy", "categorical", "greedy")
NUMBERS = {"LFM": ("6", "6b", "8", "11"), "Industry": ("7", "7b", "9", "10")}
"""Of the paper's figures: learning curves (b: of the test users), beside LLMOnline, exploration strategies."""
HEADROOM = 1.04
TRAINING = "Mean of the latest 20 training episodes, over seeds, with its 95 % interval."
TESTED = (
    "The most probable item, shown to the test users after every epoch: mean over seeds with its 95 % interval. Thin "
    "lines: policies without training."
)
TIMED = f"{TRAINING} On the right, what learning costs: rollout and update, without the measuring."


@dataclass(frozen=True)
class Drawing:
    """One figure.

    Attributes:
        key: Stem of its files, and its anchor on the page.
        rows: The methods in it.
        end: Environment steps at its right edge.
        explorations: Panels side by side, one per exploration; empty for one panel of all rows.
        references: Policies without training that are drawn as lines; then the curves are those of the test users.
        timed: A third panel shows the seconds of 1,000 environment steps.
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
        end, numbers = world.usual_steps.get(END, 0), NUMBERS.get(world.label, ("", "", "", ""))
        rows = [row for row in world.main_rows if any(len(run.training) for run in row.runs.values())]
        if rows:
            yield Drawing(*_names(world, numbers[0], "", "Learning curves"), TRAINING, rows, end)
            names = _names(world, numbers[1], "_tested", "The same methods with the test users")
            tested = [*rows, *(row for row in world.main_rows if row.frozen)]
            # Greedy knows the simulated users: it is no level to be reached.
            references = {name: each for name, each in world.references.items() if name != "greedy"}
            yield Drawing(*names, TESTED, tested, end, references=references)
        beside = [row for row in rows if row.family in (LLM_ONLINE, *OURS) and row.main]
        if any(row.base == LLM_ONLINE for row in beside):
            names = _names(world, numbers[2], "_llmonline", "LLMOnline beside A-iALP")
            yield Drawing(*names, TIMED, beside, end, timed=True)
        rows = [row for row in world.rows if row.base in ("A2C", *OURS) and not row.variant and row.method.exploration]
        seen = {row.method.exploration for row in rows}
        if len(seen) > 1:
            names = _names(world, numbers[3], "_exploration", "Exploration strategies")
            side_by_side = sorted(
                seen, key=lambda name: (EXPLORATIONS.index(name) if name in EXPLORATIONS else 9, name)
            )
            yield Drawing(*names, TRAINING, rows, end, side_by_side)


def _names(world: World, number: str, kind: str, text: str) -> tuple[str, str]:
    """Key and title of a figure; a figure that is not among the paper's has no number."""
    stem = "".join(letter if letter.isalnum() else "_" for letter in world.label.lower())
    return f"figure{number}{kind}_{stem}", f"Figure {number}. {text}, {world.label}".removeprefix("Figure . ")


def draw(drawing: Drawing, folder: Path) -> str:
    """Write a drawing as PNG and SVG.

    Returns:
        The SVG, for the page.
    """
    import matplotlib

    # The ids of two pictures in one page must differ, and the same curves give the same file.
    with matplotlib.rc_context({"svg.hashsalt": drawing.key, "svg.fonttype": "path", "font.size": 10}):
        figure = picture(drawing)
        save(figure, folder / f"{drawing.key}.png")
        return save(figure, folder / f"{drawing.key}.svg").read_text(encoding="utf-8")


def picture(drawing: Drawing) -> Figure:
    """The figure of a drawing."""
    if drawing.explorations:
        figure = new_figure(max(10, 3.6 * len(drawing.explorations)), 6.6)
        _draw_explorations(figure, drawing)
    else:
        figure = new_figure(10, 4.2)
        _draw_side_by_side(figure, drawing)
    add_legend(figure)
    return figure


def _draw_side_by_side(figure: Figure, drawing: Drawing) -> None:
    """Return and length, and what the methods cost where that is asked for."""
    widths = [1, 1, 0.6] if drawing.timed else [1, 1]
    panels = figure.subplots(1, len(widths), width_ratios=widths)
    for axes, column in zip(panels, PANELS, strict=False):
        _draw_rows(axes, drawing, drawing.rows, column)
        if drawing.references:
            levels = {name: figures[column] for name, figures in drawing.references.items()}
            draw_references(axes, levels, limit=FLATTENING * axes.dataLim.ymax)
    if drawing.timed:
        _draw_costs(panels[-1], drawing.rows)


def _draw_explorations(figure: Figure, drawing: Drawing) -> None:
    """One column per exploration, return above and length below, on common scales."""
    panels = figure.subplots(2, len(drawing.explorations), sharex=True, sharey="row", squeeze=False)
    for place, name in enumerate(drawing.explorations):
        rows = [row for row in drawing.rows if row.method.exploration == name]
        for axes, column in zip(panels[:, place], PANELS, strict=True):
            _draw_rows(axes, drawing, rows, column)
        seeds = ", ".join(f"{row.base} {len(row.curves('return')[1])}" for row in rows)
        top = panels[0, place]
        top.set_title(f"{name}\n", fontsize=11)
        top.text(0.5, 1.02, f"seeds: {seeds}", transform=top.transAxes, ha="center", fontsize=8, color="#555555")
    for axes in figure.axes:
        axes.label_outer()


def _draw_rows(axes: Axes, drawing: Drawing, rows: Sequence[Row], column: str) -> None:
    """The methods' curves and bands in one panel."""
    for place, (row, style) in enumerate(zip(rows, styles(rows), strict=True)):
        steps, curves = row.curves(column, tested=drawing.references is not None)
        label = row.base if drawing.explorations else f"{row.label} ({len(curves)} seed{'s' * (len(curves) > 1)})"
        if curves:
            draw_curve(axes, steps, np.stack([*curves.values()]), label, {"linewidth": 1.7} | style, place)
    top = max(axes.get_ylim()[1], HEADROOM * axes.dataLim.ymax)  # panels that share a scale grow together
    finish(axes, "environment steps", PANELS[column], xlim=(0, drawing.end or None), ylim=(0, top))
    axes.xaxis.set_major_formatter(lambda value, _: "0" if not value else f"{value / 1000:g}k")


def _draw_costs(axes: Axes, rows: Sequence[Row]) -> None:
    """Bars of the seconds of 1,000 environment steps."""
    for place, (row, style) in enumerate(zip(rows, styles(rows), strict=True)):
        seconds = [run.seconds_per_1000 for run in row.longest.values() if run.seconds_per_1000]
        average = float(np.mean(seconds)) if seconds else 0.0
        axes.barh(place, average, color=style["color"], height=0.6)
        axes.text(average, place, f"  {number(average)} s" if seconds else "  not recorded", va="center", fontsize=9)
    finish(axes, "seconds per 1,000 steps", grid="x", yticks=range(len(rows)), xmargin=0.3)
    axes.set_yticklabels([row.label.replace(" ", "\n", 1) for row in rows], fontsize=9)
    axes.invert_yaxis()


def styles(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Each method's own look, and looks for variants and for methods of one's own."""
    others = iter(OTHERS * len(rows))
    for row in rows:
        style = STYLES.get(row.family)
        if style and (row.variant or row.base != row.family):  # the family's colour with another dash and marker
            style = next(others) | {"color": style["color"]}
        yield style or next(others)
