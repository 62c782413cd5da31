"""The learning-curve picture: return and length against environment steps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl

from ialp.report.summary import policy_name
from ialp.runs.data import RunData

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PANELS = {"return": "return R (sum of rewards)", "length": "length Len (recommendations)"}
# Okabe and Ito's colours, told apart by dash and width as well, so that a print in grey still reads.
STYLES: dict[str, dict[str, Any]] = {
    "adapted": {"color": "#0072B2", "linewidth": 2.2, "linestyle": "-"},
    "frozen": {"color": "#D55E00", "linewidth": 1.8, "linestyle": "--"},
}
TRAINING: dict[str, Any] = {"color": "#56B4E9", "linewidth": 0.9, "linestyle": "-", "alpha": 0.8}
REFERENCE: dict[str, Any] = {"color": "#777777", "linewidth": 0.8, "linestyle": ":"}
LABEL_COLOUR = "#444444"
FLATTENING = 1.6
"""A reference above this multiple of the highest curve would flatten the curves: it is named, not drawn."""
LABEL_GAP = 0.055
"""Least distance between two labels in the margin, as a share of the panel's height."""


def draw(run_folder: Path) -> Path:
    """Draw the run's learning curves into its folder; a file that is absent leaves its lines out.

    Returns:
        The path of the PNG.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    run = RunData(Path(run_folder))
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    FigureCanvasAgg(figure)
    panels: Sequence[Axes] = figure.subplots(1, 2)
    for axes, (column, title) in zip(panels, PANELS.items(), strict=True):
        _draw_panel(axes, run, column)
        axes.set(xlabel="environment steps", ylabel=title)
    handles, labels = panels[0].get_legend_handles_labels()
    if handles:
        figure.legend(handles, labels, loc="outside lower center", ncols=len(labels), frameon=False)
    figure.suptitle(f"{run.name}, {run.folder.name}", fontsize=11)
    path = run.folder / "learning_curve.png"
    figure.savefig(path, dpi=160)
    return path


def spread(values: Sequence[float], gap: float) -> list[float]:
    """Positions nearest to the ascending values (least squares) that keep their order and lie at least `gap` apart."""
    from scipy.optimize import isotonic_regression

    steps = [i * gap for i in range(len(values))]
    level = isotonic_regression([value - step for value, step in zip(values, steps, strict=True)]).x
    return [float(place) + step for place, step in zip(level, steps, strict=True)]


def _draw_panel(axes: Axes, run: RunData, column: str) -> None:
    """The curves of one figure (return or length), and the references where they do not flatten the curves."""
    training, evaluation = run.training(), run.evaluation()
    top = 0.0
    if len(training):
        axes.plot(training["environment_steps"], training[column], label="training, latest 20 episodes", **TRAINING)
        top = max(training[column].to_list())
    for policy in sorted(evaluation["policy"].unique()):
        rows = evaluation.filter(pl.col("policy") == policy).sort("environment_steps")
        marker = "o" if len(rows) == 1 else None
        style = STYLES.get(policy, {})
        axes.plot(rows["environment_steps"], rows[column], label=policy_name(run, policy), marker=marker, **style)
        top = max(top, *rows[column].to_list())
    references = {name: figures[column] for name, figures in run.references().items() if column in figures}
    draw_references(axes, references, limit=FLATTENING * top if top else float("inf"))
    axes.set_xmargin(0.01)
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.grid(axis="y", color="#e5e5e5", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    if not axes.has_data():
        axes.text(0.5, 0.5, "nothing measured yet", transform=axes.transAxes, ha="center", color="#777777")


def draw_references(axes: Axes, references: Mapping[str, float], limit: float) -> None:
    """Thin lines with their names in the right margin; one far above the curves is only written there."""
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
            va="center", fontsize=8, color=LABEL_COLOUR, annotation_clip=False,
        )  # fmt: skip
