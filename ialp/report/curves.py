"""The learning curves of a single run."""

from pathlib import Path
from typing import Any

import polars as pl

from ialp.report.plots import FLATTENING, add_legend, draw_curve, draw_references, finish, new_figure, save
from ialp.report.summary import policy_name
from ialp.runs.data import RunData

PANELS = {"return": "return R (sum of rewards)", "length": "length Len (recommendations)"}
# Okabe and Ito's colours, told apart by dash and width as well, so that a print in grey still reads.
STYLES: dict[str, dict[str, Any]] = {
    "training": {"color": "#56B4E9", "linewidth": 0.9, "linestyle": "-", "alpha": 0.8},
    "adapted": {"color": "#0072B2", "linewidth": 2.2, "linestyle": "-"},
    "frozen": {"color": "#D55E00", "linewidth": 1.8, "linestyle": "--"},
}


def draw(run_folder: Path) -> Path:
    """Draw return and length against environment steps into the run's folder; an absent file leaves its lines out."""
    run = RunData(run_folder)
    figure = new_figure(10, 4.2)
    evaluation = run.evaluation()
    curves = {"training, latest 20 episodes": (STYLES["training"], run.training())}
    for policy in sorted(evaluation["policy"].unique()):
        rows = evaluation.filter(pl.col("policy") == policy).sort("environment_steps")
        curves[policy_name(run, policy)] = (STYLES[policy], rows)
    measured = {label: (style, rows) for label, (style, rows) in curves.items() if len(rows)}
    references = run.references()
    for axes, column in zip(figure.subplots(1, 2), PANELS, strict=True):
        for label, (style, rows) in measured.items():
            draw_curve(axes, rows["environment_steps"].to_numpy(), rows[column].to_numpy()[None], label, style)
        top = max((max(rows[column]) for _, rows in measured.values()), default=float("inf"))
        levels = {name: each[column] for name, each in references.items() if column in each}
        draw_references(axes, levels, FLATTENING * top)
        finish(axes, "environment steps", PANELS[column], xmargin=0.01)
        axes.xaxis.set_major_formatter("{x:,.0f}")
    add_legend(figure)
    figure.suptitle(f"{run.name}, {run.folder.name}", fontsize=11)
    return save(figure, run.folder / "learning_curve.png")
