"""What all pictures share: a figure, curves with a band over seeds, levels of reference policies, a legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ialp.report.statistics import Values, band

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

REFERENCE: dict[str, Any] = {"color": "#777777", "linewidth": 0.8, "linestyle": ":"}
FLATTENING = 1.6  # a reference above this multiple of the highest curve would flatten the curves: named, not drawn
LABEL_GAP = 0.055  # least distance between two labels in the margin, as a fraction of the panel's height
MARKERS = 9
LEGEND_WIDTH = 30  # letters of a label with which four of them stand side by side


def new_figure(width: float, height: float) -> Figure:
    """A figure that needs no display."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save(figure: Figure, path: Path) -> Path:
    """Write a figure, and the folders above it; an SVG has no date in it, so that the same figure is the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160, metadata={"Date": None} if path.suffix == ".svg" else None)
    return path


def finish(axes: Axes, x: str = "", y: str = "", grid: Any = "y", **more: Any) -> None:
    """Axis labels, thin grid lines behind the data, and no frame; `more` is set as it is."""
    axes.set(xlabel=x, ylabel=y, **more)
    axes.grid(axis=grid, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_curve(axes: Axes, steps: Values, curves: Values, label: str, style: Mapping[str, Any], place: int = 0) -> None:
    """The mean of curves (S, E) over S seeds at `steps` (E,) with its 95 % band; a single point holds at any step.

    `style` is that of the line; `place` is the curve's number among others, so that their markers do not coincide.
    """
    average, low, high = band(curves)
    faint: dict[str, Any] = {"color": style.get("color"), "alpha": 0.16, "linewidth": 0}
    if len(steps) == 1:
        axes.axhspan(float(low[0]), float(high[0]), **faint)
        axes.axhline(float(average[0]), label=label, **{**style, "marker": None})
        return
    every = max(1, len(steps) // MARKERS)
    if len(curves) > 1:
        axes.fill_between(steps, low, high, **faint)
    axes.plot(steps, average, label=label, markersize=5, markevery=(place % every, every), **style)


def draw_references(axes: Axes, references: Mapping[str, float], limit: float) -> None:
    """Thin lines with their names in the right margin; one above the limit is only written there."""
    shown = sorted((value, name) for name, value in references.items() if value <= limit)
    beyond = sorted((value, name) for name, value in references.items() if value > limit)
    for i, (value, _) in enumerate(shown):
        axes.axhline(value, zorder=0, label="_" if i else "reference policies", **REFERENCE)
    height = max([axes.get_ylim()[1], *(1.06 * value for value, _ in shown)])
    axes.set_ylim(0, height)
    labels = [(value, f"{name} {value:.1f}") for value, name in shown]
    labels += [(height, f"{name} {value:.1f} \u2191") for value, name in beyond]
    for (_, text), place in zip(labels, spread([value for value, _ in labels], LABEL_GAP * height), strict=True):
        axes.annotate(
            text, (1, place), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
            va="center", fontsize=8, color="#444444", annotation_clip=False,
        )  # fmt: skip


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Positions nearest to the ascending values (least squares) that keep their order and lie at least `gap` apart."""
    from scipy.optimize import isotonic_regression

    steps = [i * gap for i in range(len(values))]
    level = isotonic_regression([value - step for value, step in zip(values, steps, strict=True)]).x
    return [float(place) + step for place, step in zip(level, steps, strict=True)]


def add_legend(figure: Figure) -> None:
    """One entry per label for all panels, below them."""
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
