"""The paper's Figures 6 to 11: learning curves with bands over seeds, return on the left and length on the right."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ialp.report.comparison import Row, World
from ialp.report.methods import FINE_TUNE, FROZEN, LLM_ONLINE, OURS, POLICY_SET
from ialp.report.plots import FLATTENING, add_legend, draw_curve, draw_references, finish, new_figure, save
from ialp.report.results import seconds_per_1000
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
"""For methods that are not among these."""
NUMBERS = {"LFM": ("6", "6b", "8", "11"), "Industry": ("7", "7b", "9", "10")}
"""Of the paper's figures: learning curves (b: of the test users), beside LLMOnline, exploration strategies."""
TRAINING = "Mean of the latest 20 training episodes, over seeds, with its 95 % interval."
TESTED = (
    "The most probable item, shown to the test users after every epoch: mean over seeds with its 95 % interval. Thin "
    "lines: policies without training."
)
TIMED = f"{TRAINING} On the right, what learning costs: rollout and update, without the measuring."


@dataclass(frozen=True)
class Picture:
    """A figure on the page, as SVG; `key` is the stem of its files and its anchor."""

    key: str
    title: str
    caption: str
    svg: str


def draw_figures(worlds: Sequence[World], folder: Path) -> list[Picture]:
    """Write the figures that there are runs for as PNG and SVG."""
    import matplotlib

    pictures = []
    for world in worlds:
        stem = "".join(letter if letter.isalnum() else "_" for letter in world.label.lower())
        numbers = NUMBERS.get(world.label, ("", "", "", ""))
        for place, (kind, text, caption, figure) in zip(numbers, _figures(world), strict=False):
            if figure is None:
                continue
            key = f"figure{place}{kind}_{stem}"
            add_legend(figure)
            # The ids of two pictures in one page must differ, and the same curves give the same file.
            with matplotlib.rc_context({"svg.hashsalt": key, "svg.fonttype": "path"}):
                save(figure, folder / f"{key}.png")
                svg = save(figure, folder / f"{key}.svg").read_text(encoding="utf-8")
            title = f"Figure {place}. {text}, {world.label}" if place else f"{text}, {world.label}"
            pictures.append(Picture(key, title, caption, _inline(svg, key)))
    return pictures


def learning_curves(world: World, tested: bool = False) -> Figure:
    """Return and length of the methods: of the users in training, or of the test users beside the references."""
    figure = new_figure(10, 4.2)
    rows = [row for row in world.main_rows if tested or not row.frozen]
    for axes, column in zip(figure.subplots(1, 2), PANELS, strict=True):
        _draw_rows(axes, rows, column, tested)
        if tested:
            # Greedy knows the simulated users: it is no level to be reached.
            levels = {name: each[column] for name, each in world.references.items() if name != "greedy"}
            draw_references(axes, levels, FLATTENING * axes.dataLim.ymax)
    return figure


def explorations(rows: Sequence[Row]) -> Figure:
    """One column per exploration, return above and length below, on common scales."""
    names = sorted({row.exploration for row in rows})
    figure = new_figure(max(10, 3.6 * len(names)), 6.6)
    panels = figure.subplots(2, len(names), sharex=True, sharey="row", squeeze=False)
    for place, name in enumerate(names):
        chosen = [row for row in rows if row.exploration == name]
        for axes, column in zip(panels[:, place], PANELS, strict=True):
            _draw_rows(axes, chosen, column, by_base=True)
        seeds = ", ".join(f"{row.base} {len(row.longest)}" for row in chosen)
        panels[0, place].set_title(f"{name}\nseeds: {seeds}", fontsize=10)
    for axes in figure.axes:
        axes.label_outer()
    return figure


def _figures(world: World) -> Iterator[tuple[str, str, str, Figure | None]]:
    """Kind, title, caption and the figure, None where there are no runs for it."""
    there = any(not row.frozen for row in world.main_rows)
    yield "", "Learning curves", TRAINING, learning_curves(world) if there else None
    yield "_tested", "The same methods with the test users", TESTED, learning_curves(world, True) if there else None
    rows = [row for row in world.main_rows if row.family in (LLM_ONLINE, *OURS)]
    there = any(row.base == LLM_ONLINE for row in rows)
    yield "_llmonline", "LLMOnline beside A-iALP", TIMED, _beside_llm_online(rows) if there else None
    rows = [row for row in world.rows if row.base in ("A2C", *OURS) and row.explores and row.exploration]
    several = len({row.exploration for row in rows}) > 1
    yield "_exploration", "Exploration strategies", TRAINING, explorations(rows) if several else None


def _beside_llm_online(rows: Sequence[Row]) -> Figure:
    """Return, length, and seconds of 1,000 environment steps."""
    figure = new_figure(10, 4.2)
    *panels, costs = figure.subplots(1, 3, width_ratios=[1, 1, 0.6])
    for axes, column in zip(panels, PANELS, strict=True):
        _draw_rows(axes, rows, column)
    for place, (row, style) in enumerate(zip(rows, styles(rows), strict=True)):
        seconds = seconds_per_1000(row)
        average = float(np.mean(seconds)) if seconds else 0.0
        costs.barh(place, average, color=style["color"], height=0.6)
        costs.text(average, place, f"  {number(average)} s" if seconds else "  not recorded", va="center", fontsize=9)
    finish(costs, "seconds per 1,000 steps", grid="x", yticks=range(len(rows)), xmargin=0.3)
    costs.set_yticklabels([row.label.replace(" ", "\n", 1) for row in rows], fontsize=9)
    costs.invert_yaxis()
    return figure


def _draw_rows(axes: Axes, rows: Sequence[Row], column: str, tested: bool = False, by_base: bool = False) -> None:
    """The methods' curves and bands in one panel."""
    end = max((run.end for row in rows for run in row.longest.values()), default=0)
    for place, (row, style) in enumerate(zip(rows, styles(rows), strict=True)):
        steps, curves = row.curves(column, tested)
        label = row.base if by_base else f"{row.label} ({len(curves)} seed{'s' * (len(curves) > 1)})"
        if curves:
            draw_curve(axes, steps, np.stack([*curves.values()]), label, {"linewidth": 1.7} | style, place)
    top = max(axes.get_ylim()[1], 1.04 * axes.dataLim.ymax)  # panels that share a scale grow together
    finish(axes, "environment steps", PANELS[column], xlim=(0, end or None), ylim=(0, top))
    axes.xaxis.set_major_formatter(lambda value, _: "0" if not value else f"{value / 1000:g}k")


def styles(rows: Sequence[Row]) -> Iterator[dict[str, Any]]:
    """Each method's own look, and looks for methods of one's own."""
    others = cycle(OTHERS)
    for row in rows:
        yield STYLES.get(row.base) or next(others)


def _inline(svg: str, key: str) -> str:
    """An SVG file as part of an HTML document: without its prologue, its ids distinct from other pictures'."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    head, rest = body.split(">", 1)
    rest = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{key}-", rest)
    return re.sub(r'\s(?:width|height)="[^"]*"', "", head) + ">" + rest
