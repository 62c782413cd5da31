"""The paper's Figures 6 to 11: training curves with seed bands, return on the left and length on the right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ialp.report.comparison import END, Row, World
from ialp.report.methods import FINE_TUNE, LLM_ONLINE, OURS, POLICY_SET
from ialp.report.statistics import Values, band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PANELS = {"return": "return R", "length": "length Len"}
# Okabe and Ito's colours; dash and marker as well, so that a print in grey still reads.
STYLES: dict[str, dict[str, Any]] = {
    "DQN": {"color": "#E69F00", "linestyle": (0, (1, 1.2)), "marker": "s"},
    "PG": {"color": "#009E73", "linestyle": "-.", "marker": "^"},
    "A2C": {"color": "#D55E00", "linestyle": "--", "marker": "D"},
    LLM_ONLINE: {"color": "#CC79A7", "linestyle": (0, (7, 2)), "marker": "X"},
    FINE_TUNE: {"color": "#56B4E9", "linestyle": "-", "marker": "o"},
    POLICY_SET: {"color": "#0072B2", "linestyle": "-", "marker": None, "linewidth": 2.4},
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
    """

    key: str
    title: str
    caption: str
    rows: Sequence[Row]
    end: int
    explorations: Sequence[str] = ()


def drawings(worlds: Sequence[World]) -> Iterator[Drawing]:
    """The figures that there are runs for."""
    for world in worlds:
        end = world.usual_steps.get(END, 0)
        rows = [row for row in world.main_rows if any(len(run.training) for run in row.runs.values())]
        curves, online, exploring = NUMBERS.get(world.label, (None, None, None))
        stem = "".join(letter if letter.isalnum() else "_" for letter in world.label.lower())
        said = "Mean of the latest 20 training episodes, over seeds, with its 95 % interval."
        if rows:
            title = _title(curves, f"Learning curves, {world.label}")
            yield Drawing(f"figure{curves or ''}_{stem}", title, said, rows, end)
        beside = [row for row in rows if row.base in (LLM_ONLINE, *OURS)]
        if any(row.base == LLM_ONLINE for row in beside):
            title = _title(online, f"LLMOnline beside A-iALP, {world.label}")
            yield Drawing(f"figure{online or ''}_llmonline_{stem}", title, said, beside, end)
        rows = [row for row in world.rows if row.base in ("A2C", *OURS) and not row.variant and row.method.exploration]
        seen = dict.fromkeys(["ε-greedy", "categorical", "greedy", *(row.method.exploration for row in rows)])
        names = [name for name in seen if any(row.method.exploration == name for row in rows)]
        if len(names) > 1:
            title = _title(exploring, f"Exploration strategies, {world.label}")
            yield Drawing(f"figure{exploring or ''}_exploration_{stem}", title, said, rows, end, names)


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
        size = (10, 4.2) if not drawing.explorations else (3.6 * columns, 6.6)
        figure = Figure(figsize=size, layout="constrained")
        FigureCanvasAgg(figure)
        if drawing.explorations:
            _draw_explorations(figure, drawing)
        else:
            for axes, column in zip(figure.subplots(1, 2), PANELS, strict=True):
                _draw_rows(axes, drawing.rows, column)
                _finish(axes, PANELS[column], drawing.end)
        _add_legend(figure)
        folder.mkdir(parents=True, exist_ok=True)
        figure.savefig(folder / f"{drawing.key}.png", dpi=160)
        path = folder / f"{drawing.key}.svg"
        figure.savefig(path, metadata={"Date": None})
    return path.read_text(encoding="utf-8")


def curves_of(row: Row, column: str) -> tuple[Values, Values]:
    """(E,) environment steps and (S, E) training curves of a method's longest runs, at the steps of the first seed.

    A run whose points lie elsewhere is read off between them.
    """
    longest = max(run.end for run in row.runs.values())
    found = [run.training for _, run in sorted(row.runs.items()) if run.end == longest and len(run.training)]
    if not found:
        return np.empty(0), np.empty((0, 0))
    steps = found[0]["environment_steps"].to_numpy().astype(float)
    curves = [np.interp(steps, curve["environment_steps"].to_numpy(), curve[column].to_numpy()) for curve in found]
    return steps, np.stack(curves)


def _draw_rows(axes: Axes, rows: Sequence[Row], column: str, by_method: bool = False) -> None:
    """The rows' curves and bands; `by_method` leaves out of a name how the method explores, and its seeds."""
    others = iter(OTHERS * len(rows))
    for place, row in enumerate(rows):
        style = STYLES[row.base] if row.base in STYLES and not row.variant else next(others)
        steps, curves = curves_of(row, column)
        if not len(steps):
            continue
        average, low, high = band(curves)
        every = max(1, len(steps) // MARKERS)
        look = {"linewidth": 1.7, "markersize": 5, "markevery": (place % every, every)} | style
        label = row.base if by_method else f"{row.label} ({len(curves)} seed{'s' if len(curves) > 1 else ''})"
        axes.fill_between(steps, low, high, color=style["color"], alpha=0.16, linewidth=0)
        axes.plot(steps, average, label=label, **look)


def _draw_explorations(figure: Figure, drawing: Drawing) -> None:
    """One column per exploration, return above and length below, on common scales."""
    panels = figure.subplots(2, len(drawing.explorations), sharex=True, sharey="row", squeeze=False)
    for number, name in enumerate(drawing.explorations):
        rows = [row for row in drawing.rows if row.method.exploration == name]
        for axes, column in zip(panels[:, number], PANELS, strict=True):
            _draw_rows(axes, rows, column, by_method=True)
            _finish(axes, PANELS[column] if number == 0 else "", drawing.end, xlabel=column == "length")
        seeds = ", ".join(f"{row.base} {len(curves_of(row, 'return')[1])}" for row in rows)
        top = panels[0, number]
        top.set_title(f"{name}\n", fontsize=11)
        top.text(0.5, 1.02, f"seeds: {seeds}", transform=top.transAxes, ha="center", fontsize=8, color="#555555")


def _finish(axes: Axes, title: str, end: int, xlabel: bool = True) -> None:
    axes.set(xlabel="environment steps" if xlabel else "", ylabel=title)
    axes.set_ylim(bottom=0)
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
        columns = min(len(entries), 3)
        figure.legend(
            list(entries.values()), list(entries), loc="outside lower center", ncols=columns, frameon=False,
            handlelength=4,
        )  # fmt: skip


def _title(number: int | None, text: str) -> str:
    return f"Figure {number}. {text}" if number else text
