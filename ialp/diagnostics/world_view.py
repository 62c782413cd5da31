"""A world in tables and a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from rich.console import Console
from rich.table import Table

from ialp.diagnostics.panels import BLUE, BOX, GREEN, GREY, ORANGE, bars, six_panels, titled
from ialp.diagnostics.world import QUANTILES, WorldData, policy_label
from ialp.envs.degeneracy import POPULARITY_LIMIT
from ialp.report.summary import plain_table, print_plain
from ialp.runs.data import FIGURES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 10
"""Finished policies in the table; all are in world.json."""
LINES: dict[str, dict[str, Any]] = {
    "random": {"color": GREY, "linestyle": ":", "linewidth": 2.0},
    "popularity": {"color": ORANGE, "linestyle": "-.", "linewidth": 1.8},
    "text_similarity": {"color": GREEN, "linestyle": "--", "linewidth": 1.8},
    "greedy": {"color": BLUE, "linestyle": "-", "linewidth": 2.2},
}
CAUSES = [("#56B4E9", ""), ("#D55E00", "///"), ("#F0E442", "..."), ("#CC79A7", "xx"), ("#999999", "\\\\")]


def print_world(data: WorldData, console: Console | None = None) -> None:
    """Print the heading, all tables, single numbers, and the warnings last."""
    warnings = (f"warning: {each}" for each in data.warnings)
    spaced = [part for table in tables(data) for part in ("", table)]
    print_plain(console or Console(), [*_heading(data), *spaced, *_scores(data), *warnings])


def tables(data: WorldData) -> Iterator[Table]:
    """Policies, episodes and answers."""
    played = {policy_label(name): each for name, each in data.played.items()}
    quantiles = [f"{level:.0%}".replace("%", " %") for level in QUANTILES]
    table = plain_table("Policies", "policy", "R", "Len", "R_avg", "R / greedy")
    shown = {**{name: each.figures for name, each in played.items()}, **dict([*data.policies.items()][:SHOWN])}
    for name, figures in shown.items():
        table.add_row(name, *(f"{figures[key]:.2f}" for key in FIGURES), f"{data.of_greedy(figures):.0%}")
    if (more := len(data.policies) - SHOWN) > 0:
        table.add_row(f"and {more} more, in world.json")
    yield table
    causes = list(next(iter(played.values())).causes)
    table = plain_table("Episodes: length, and what ends them", "policy", *(f"Len {q}" for q in quantiles), *causes)
    for name, each in played.items():
        lengths = each.lengths.float().quantile(torch.tensor(QUANTILES)).tolist()
        table.add_row(name, *(f"{length:.0f}" for length in lengths), *(f"{s:.1%}" for s in each.causes.values()))
    yield table
    title = f"Answers: {data.answer}, of all recommendations"
    table = plain_table(title, "policy", "mean", *(f"{data.answer[0]} {q}" for q in quantiles))
    for name, each in played.items():
        values = [float(each.responses.mean()), *each.responses.quantile(torch.tensor(QUANTILES)).tolist()]
        table.add_row(name, *(f"{value:.3f}" for value in values))
    yield table


def _before_intercept(data: WorldData) -> str:
    return "" if data.answer == "rating" else ", before the intercept"


def _heading(data: WorldData) -> Iterator[str]:
    """Which world this is, and with whom the reference policies were played."""
    world, rates = data.world, data.answer == "rating"
    name = (data.run.done.get("data") or {}).get("name", "unknown data")
    yield f"world of {data.run.folder}: {name}, {world.response.num_items:,} items"
    intercept = "" if rates else f", intercept {float(world.response.intercept):+.3f}"
    times = "" if world.reward_scale == 1 else f"{world.reward_scale:g} times "
    pays = "the rating" if rates else "p of a click"
    yield f"{type(world.response).__name__}{intercept}; the reward is {times}{pays}"
    rules = ", ".join(_described(rule) for rule in world.config["exit_rules"])
    yield f"users leave by {rules}; at most {world.horizon} steps"
    each = "one episode" if data.rounds == 1 else f"{data.rounds} episodes"
    yield f"{data.test_users} users of the test world, {each} each"


def _described(rule: Mapping[str, Any]) -> str:
    """Class and arguments of an exit rule."""
    arguments = [f"{key} {value:.4g}" for key, value in rule["init_args"].items() if isinstance(value, int | float)]
    name = str(rule["class_path"]).rpartition(".")[2]
    return f"{name} ({', '.join(arguments)})" if arguments else name


def _scores(data: WorldData) -> Iterator[str]:
    """The single numbers of the response net."""
    if data.reliability is None:
        yield "no reliability: neither a log of ratings nor a SessionDataModule, so there are no cases to compare"
    else:
        error = f"{data.reliability.expected_error:.4f}{_before_intercept(data)}"
        yield f"expected calibration error: {error}, on {data.reliability.cases}"
    scores = data.scores
    if "val_auc" in scores:
        rate = scores.get("val_hit_rate", float("nan"))
        yield (
            f"test sequences, uniformly drawn negatives: AUC {scores['val_auc']:.3f}, hit rate at 10 of 100 {rate:.3f}"
        )
    yield from _rating_errors(data)
    yield f"popularity gets {data.of_greedy(data.played['popularity'].figures):.0%} of greedy's return"


def _rating_errors(data: WorldData) -> Iterator[str]:
    for name, each in (data.scores.get("random_ratings") or {}).items():
        yield f"random ratings, {name}: RMSE {each['rmse']:.4f}, MAE {each['mae']:.4f}"


def draw_world(data: WorldData, path: Path) -> Path:
    """Draw references, lengths and exits above, answers and reliability below, to `path`."""
    episodes = f"{data.test_users * data.rounds} episodes of {data.test_users} test users per policy"
    name = f"{data.run.name}, {data.run.folder.name}"
    title = f"The world of {name}: {data.world.response.num_items:,} items; {episodes}"
    warnings = (textwrap.fill(f"Warning: {each}", 130) for each in data.warnings[:3])
    below = f"Reliability: {data.reliability.cases}." if data.reliability else ""
    with six_panels("\n".join([title, *warnings]), path, below) as panels:
        references, lengths, causes, answers, reliability, counts = panels
        _draw_references(references, data)
        _draw_lengths(lengths, data)
        _draw_causes(causes, data)
        _draw_answers(answers, data)
        _draw_reliability(reliability, data)
        _draw_counts(counts, data)
    return path


def _draw_references(axes: Axes, data: WorldData) -> None:
    """Returns as bars, with length and average reward written on them."""
    for place, (name, played) in enumerate(data.played.items()):
        figures = played.figures
        axes.barh(policy_label(name), figures["return"], color=LINES[name]["color"], height=0.6)
        text = f"R {figures['return']:.3g}   Len {figures['length']:.3g}   R_avg {figures['average_reward']:.3g}"
        axes.text(0.02, place, text, transform=axes.get_yaxis_transform(), va="center", bbox=BOX)
    limit, top = POPULARITY_LIMIT * data.played["greedy"].figures["return"], axes.get_xaxis_transform()
    axes.axvline(limit, color=GREY, linewidth=0.9, linestyle="--", zorder=0)
    axes.text(limit, 1.02, f"{POPULARITY_LIMIT:.0%} of greedy", color=GREY, ha="center", transform=top)
    axes.invert_yaxis()
    titled(axes, "Reference policies", "return R", grid="x")


def _draw_lengths(axes: Axes, data: WorldData) -> None:
    """Proportion of the users who are still there, recommendation by recommendation."""
    steps = range(data.world.horizon + 1)
    for name, played in data.played.items():
        present = [float((played.lengths > step).float().mean()) for step in steps]
        axes.step(steps, present, where="post", label=policy_label(name), **LINES[name])
    axes.legend()
    axes.set_xlim(0, data.world.horizon + 0.3)
    axes.locator_params("x", integer=True)
    titled(axes, "How long users stay", "recommendations seen", "proportion of users still there", ylim=(0, 1.02))


def _draw_causes(axes: Axes, data: WorldData) -> None:
    """What ended the episodes, as parts of one bar per policy."""
    labels, left = [policy_label(name) for name in data.played], torch.zeros(len(data.played))
    for number, cause in enumerate(next(iter(data.played.values())).causes):
        colour, hatch = CAUSES[number % len(CAUSES)]
        shares = torch.tensor([played.causes[cause] for played in data.played.values()])
        drawn = axes.barh(
            labels, shares, left=left, color=colour, hatch=hatch, edgecolor="white", label=cause, height=0.6
        )
        written = [f"{share:.0%}" if share >= 0.08 else "" for share in shares.tolist()]
        for text in axes.bar_label(drawn, written, label_type="center"):
            text.set_bbox(BOX if text.get_text() else None)
        left = left + shares
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:.0%}")
    axes.legend(loc="lower center", bbox_to_anchor=(0.5, 0.99), ncols=4)
    titled(axes, "What ends an episode", "proportion of episodes", grid="x", xlim=(0, 1))


def _draw_answers(axes: Axes, data: WorldData) -> None:
    """Histogram of the answers to random and to greedy recommendations."""
    for name in ("random", "greedy"):
        edges, shares = data.histogram(name)
        median, colour = float(data.played[name].responses.median()), LINES[name]["color"]
        axes.stairs(shares, edges, fill=True, color=colour, alpha=0.2)
        label = f"{policy_label(name)}, median {median:.2f}"
        axes.stairs(shares, edges, baseline=None, color=colour, linewidth=2, label=label)
        axes.axvline(median, color=colour, linestyle=":", linewidth=1.3)
    axes.set_ylim(bottom=0)
    axes.legend()
    titled(axes, "Answers to recommendations", data.answer, "proportion of recommendations", xlim=data.answer_range)


def _draw_reliability(axes: Axes, data: WorldData) -> None:
    """Predicted against actual, with 95 % intervals."""
    found, title = data.reliability, f"Reliability{_before_intercept(data)}"
    if found is None:
        axes.text(0.5, 0.5, "nothing to compare with", transform=axes.transAxes, ha="center", color=GREY)
        return titled(axes, title)
    axes.plot(data.answer_range, data.answer_range, color=GREY, linewidth=0.9, linestyle="--", label="as predicted")
    axes.errorbar(
        found.predicted, found.actual, yerr=1.96 * found.error, fmt="o-", color=BLUE, markersize=4, capsize=2,
        label="measured, ± 1.96 standard errors",
    )  # fmt: skip
    lines = [f"expected calibration error: {found.expected_error:.4f}", *_rating_errors(data)]
    axes.text(0.98, 0.03, "\n".join(lines), transform=axes.transAxes, ha="right", va="bottom")
    axes.legend(loc="upper left")
    actual = "mean rating given" if data.answer == "rating" else "proportion of true next items"
    titled(axes, title, f"predicted {data.answer}", actual, xlim=data.answer_range, ylim=data.answer_range)


def _draw_counts(axes: Axes, data: WorldData) -> None:
    """How many cases each bin of the reliability diagram has."""
    found = data.reliability
    if found is None:
        return axes.set_axis_off()
    names = [f"{(low + high) / 2:.3g}" for low, high in pairwise(found.edges.tolist())]
    bars(axes, names, {kind: counts.tolist() for kind, counts in found.counts.items()})
    axes.legend(ncols=2)
    top = 10 * max(int(counts.max()) for counts in found.counts.values())
    titled(axes, "Cases per bin of the reliability", f"predicted {data.answer}", "cases", yscale="log", ylim=(0.8, top))
