"""A world in one picture: references, lengths and exits above; answers and reliability below."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ialp.diagnostics.world_data import WorldData, policy_label
from ialp.envs.degeneracy import POPULARITY_LIMIT

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by dash, width and hatch as well, so that a print in grey still reads.
LINES: dict[str, dict[str, Any]] = {
    "random": {"color": "#777777", "linestyle": ":", "linewidth": 2.0},
    "popularity": {"color": "#E69F00", "linestyle": "-.", "linewidth": 1.8},
    "text_similarity": {"color": "#009E73", "linestyle": "--", "linewidth": 1.8},
    "greedy": {"color": "#0072B2", "linestyle": "-", "linewidth": 2.2},
}
CAUSES = [("#56B4E9", ""), ("#D55E00", "///"), ("#F0E442", "..."), ("#CC79A7", "xx"), ("#999999", "\\\\")]
CASES = [("#0072B2", "///"), ("#BBBBBB", "")]
GRID: dict[str, Any] = {"color": "#e5e5e5", "linewidth": 0.6}
GREY = "#555555"
SMALL = 8


def draw_world(data: WorldData, path: Path) -> Path:
    """Draw the picture to `path`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.6), layout="constrained")
    FigureCanvasAgg(figure)
    (references, lengths, causes), (answers, reliability, counts) = figure.subplots(2, 3)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[call-arg,union-attr]
    _draw_references(references, data)
    _draw_lengths(lengths, data)
    _draw_causes(causes, data)
    _draw_answers(answers, data)
    _draw_reliability(reliability, data)
    _draw_counts(counts, data)
    figure.suptitle(_title(data), fontsize=11)
    if data.reliability:
        figure.supxlabel(f"Reliability: {data.reliability.cases}.", fontsize=9)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    return path


def _title(data: WorldData) -> str:
    name = f"{data.run.name}, {data.run.folder.name}"
    each = f"{data.test_users * data.rounds} episodes of {data.test_users} test users per policy"
    title = f"The world of {name}: {data.world.response.num_items:,} items; {each}"
    return "\n".join([title, *(textwrap.fill(f"Warning: {said}", 130) for said in data.warnings[:3])])


def _draw_references(axes: Axes, data: WorldData) -> None:
    """Returns as bars; length and average reward beside them."""
    names = list(data.references)
    values = [data.references[name]["return"] for name in names]
    axes.barh(_labels(names), values, color=[LINES[name]["color"] for name in names], height=0.6)
    limit, top = POPULARITY_LIMIT * data.references["greedy"]["return"], axes.get_xaxis_transform()
    axes.axvline(limit, color=GREY, linewidth=0.9, linestyle="--", zorder=0)
    axes.text(limit, 1.02, f"{POPULARITY_LIMIT:.0%} of greedy", fontsize=SMALL, color=GREY, ha="center", transform=top)
    for place, name in enumerate(names):
        figures = data.references[name]
        text = f"R {figures['return']:.3g}   Len {figures['length']:.3g}   R_avg {figures['average_reward']:.3g}"
        colour = "white" if name == "greedy" else "black"
        _beside(axes, text, (values[place], place), inside=values[place] > 0.5 * max(values), colour=colour)
    axes.invert_yaxis()
    _finish(axes, "Reference policies", "return R", grid="x")


def _draw_lengths(axes: Axes, data: WorldData) -> None:
    """Share of the users who are still there, recommendation by recommendation."""
    from matplotlib.ticker import MaxNLocator

    for name, played in data.played.items():
        steps = range(data.world.horizon + 1)
        present = [float((played.lengths > step).float().mean()) for step in steps]
        axes.step(steps, present, where="post", label=policy_label(name), **LINES[name])
    axes.set(ylim=(0, 1.02), xlim=(0, data.world.horizon + 0.3))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    axes.legend(frameon=False, fontsize=SMALL)
    _finish(axes, "How long users stay", "recommendations seen", "share of users still there")


def _draw_causes(axes: Axes, data: WorldData) -> None:
    """What ended the episodes, as shares of one bar per policy."""
    from matplotlib.ticker import PercentFormatter

    labels, left = _labels(list(data.played)), [0.0] * len(data.played)
    for number, cause in enumerate(data.causes):
        colour, hatch = CAUSES[number % len(CAUSES)]
        shares = [played.causes[cause] for played in data.played.values()]
        axes.barh(labels, shares, left=left, color=colour, hatch=hatch, edgecolor="white", label=cause, height=0.6)
        for place, share in enumerate(shares):
            if share >= 0.08:
                _boxed(axes, f"{share:.0%}", left[place] + share / 2, place)
        left = [start + share for start, share in zip(left, shares, strict=True)]
    axes.set_xlim(0, 1)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    axes.legend(frameon=False, fontsize=SMALL, loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=4)
    _finish(axes, "What ends an episode", "share of episodes", grid="x")


def _draw_answers(axes: Axes, data: WorldData) -> None:
    """Histogram of the answers to random and to greedy recommendations."""
    for name in ("random", "greedy"):
        edges, shares = data.histogram(name)
        style = LINES[name]
        fill = 0.25 if name == "random" else 0.12
        axes.stairs(shares, edges, fill=True, color=style["color"], alpha=fill)
        axes.stairs(shares, edges, baseline=None, label=policy_label(name), **{**style, "linestyle": "-"})
        median = float(data.played[name].answers.median())
        axes.axvline(median, ymax=0.97, color=style["color"], linestyle=":", linewidth=1.3)
        axes.text(
            median, 0.99, f"median {median:.2f}", transform=axes.get_xaxis_transform(), fontsize=SMALL,
            color=style["color"], ha="center", va="bottom",
        )  # fmt: skip
    axes.set(xlim=data.answer_range)
    axes.set_ylim(bottom=0)
    axes.legend(frameon=False, fontsize=SMALL)
    _finish(axes, "Answers to recommendations", data.answer, "share of recommendations")


def _draw_reliability(axes: Axes, data: WorldData) -> None:
    """Predicted against actual, with 95 % intervals."""
    before = "" if data.rates else ", before the intercept"
    found = data.reliability
    if found is None:
        axes.text(0.5, 0.5, "nothing to hold it against", transform=axes.transAxes, ha="center", color=GREY)
        return _finish(axes, "Reliability")
    axes.plot(data.answer_range, data.answer_range, color=GREY, linewidth=0.9, linestyle="--", label="as predicted")
    axes.errorbar(
        found.predicted, found.actual, yerr=1.96 * found.error, fmt="o-", color=LINES["greedy"]["color"], markersize=4,
        linewidth=1.2, elinewidth=1.0, capsize=2, label="measured, ± 1.96 standard errors",
    )  # fmt: skip
    text = [f"expected calibration error {found.expected_error:.3f}"]
    errors = data.scores().get("random_ratings") or {}
    text += [f"{name}: RMSE {each['rmse']:.3f}, MAE {each['mae']:.3f}" for name, each in errors.items()]
    axes.text(0.98, 0.03, "\n".join(text), transform=axes.transAxes, ha="right", va="bottom", fontsize=SMALL)
    axes.set(xlim=data.answer_range, ylim=data.answer_range)
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left")
    actual = "mean rating given" if data.rates else "share of true next items"
    _finish(axes, f"Reliability{before}", f"predicted {data.answer}", actual)


def _draw_counts(axes: Axes, data: WorldData) -> None:
    """How many cases each bin of the reliability diagram rests on."""
    found = data.reliability
    if found is None:
        return axes.set_axis_off()
    width = float(found.edges[1] - found.edges[0])
    share = width / len(found.counts)
    for number, (name, counts) in enumerate(found.counts.items()):
        colour, hatch = CASES[number]
        places = found.edges[:-1] + number * share
        axes.bar(places, counts, share * 0.92, align="edge", color=colour, hatch=hatch, edgecolor="white", label=name)
    axes.set_yscale("log")
    axes.set(xlim=data.answer_range)
    axes.set_ylim(bottom=0.8, top=10 * max(int(counts.max()) for counts in found.counts.values()))
    axes.legend(frameon=False, fontsize=SMALL, ncols=2)
    _finish(axes, "Cases per bin of the reliability", f"predicted {data.answer}", "cases")


def _labels(names: list[str]) -> list[str]:
    return [policy_label(name) for name in names]


def _beside(axes: Axes, text: str, end: tuple[float, float], inside: bool, colour: str) -> None:
    """At the end of a bar, within it where there is no room beyond; what lies behind does not show through."""
    side = "right" if inside else "left"
    box = None if inside else {"facecolor": "white", "edgecolor": "none", "pad": 1.0}
    axes.annotate(
        text, end, xytext=(-5 if inside else 5, 0), textcoords="offset points", va="center", ha=side,
        fontsize=SMALL, color=colour if inside else "black", bbox=box,
    )  # fmt: skip


def _boxed(axes: Axes, text: str, x: float, y: float) -> None:
    box = {"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85}
    axes.text(x, y, text, ha="center", va="center", fontsize=SMALL, bbox=box)


def _finish(axes: Axes, title: str, x: str = "", y: str = "", grid: str = "y") -> None:
    axes.set_title(title, fontsize=10, loc="left", pad=18)  # room for what is written above a panel
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.grid(axis=grid, **GRID)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
