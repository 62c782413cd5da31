"""A judge in a table and a picture."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console

from ialp.diagnostics.oracle_report import OracleReport, wilson
from ialp.diagnostics.panels import BLUE, BOX, GREY, ORANGE, RED, bars, errors, six_panels, titled
from ialp.oracle.evaluation import reliability
from ialp.report.summary import plain_table, print_plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS = {
    "picked": "true item picked",
    "picked_calibrated": "by threshold",
    "ranked_first": "ranked first",
    "picked_popular": "popular others",
    "none_precision": "None precision",
    "none_recall": "None recall",
    "calibration_error": "calib. error",
    "order_sensitivity": "order changes",
}
FLOOR = "word overlap"


def print_oracle(numbers: dict[str, Any], console: Console | None = None) -> None:
    """Print what `OracleReport.numbers` holds: picks of the judge beside chance and the floor, then lines."""
    table = plain_table("", "", *COLUMNS.values())
    by_chance = 1 / (numbers["candidates"] + 1)
    chance = {"picked": by_chance, "ranked_first": numbers["chance"], "picked_popular": by_chance}
    for name, figures in {"chance": chance, "judge": numbers["judge"], FLOOR: numbers["floor"]}.items():
        shown = (figures.get(key) for key in COLUMNS)
        table.add_row(name, *("" if value is None else f"{value:.3f}" for value in shown))
    asked = f"{numbers['questions']} questions, {numbers['candidates']} candidates each, seed {numbers['seed']}"
    title = f"{numbers['judge']['judge']} on {numbers['data']}: {asked}"
    print_plain(console or Console(), [title, table, *lines(numbers)])


def lines(numbers: dict[str, Any]) -> Iterator[str]:
    """What is no table: intervals, labels, cost, injected titles."""
    judge, lead = numbers["judge"], numbers["picked_minus_floor"]
    yield f"picked, judge less word overlap, paired: {lead['mean']:+.3f} [{lead['low']:+.3f}, {lead['high']:+.3f}]"
    low, high = judge["intervals"]["picked"]
    yield f"picked: 95 % interval {low:.3f} to {high:.3f}"
    won = "  ".join(f"{key} {100 * each:.0f}" for key, each in judge["labels"].items())
    yield f"how often each label wins (%): {won}"
    cost = judge["cost"]
    rate, tokens, price = (cost[key] for key in ("judgements_per_second", "tokens_per_judgement", "price_per_1000"))
    speed = f"{rate:.1f} judgements per second" if rate else "speed not known: all answers were cached"
    speed += f"; {tokens:.0f} tokens each" if tokens else ""
    speed += f"; {price:.4g} per 1,000 judgements" if price is not None else ""
    yield f"asked {cost['asked']}, cached {cost['cached']}: {speed}"
    for attack, gain in numbers["injection"].items():
        bounds = f"[{gain['low']:+.3f}, {gain['high']:+.3f}]"
        yield f"injected title, {attack}: picked {gain['mean']:+.3f} {bounds} more often than the same title without it"


def draw_oracle(report: OracleReport, numbers: dict[str, Any], path: Path) -> Path:
    """Draw picks, None and ranks above, labels, calibration and injected titles below, to `path`."""
    asked = f"{numbers['questions']} held-out questions, {numbers['candidates']} candidates"
    with six_panels(f"Judge: {numbers['judge']['judge']} on {numbers['data']}, {asked}", path) as panels:
        picks, none, ranks, labels, trust, cost = panels
        _draw_picks(picks, report)
        _draw_none(none, report)
        _draw_ranks(ranks, report)
        _draw_labels(labels, numbers)
        _draw_calibration(trust, report)
        _draw_injection(cost, numbers)
    return path


def _draw_picks(axes: Axes, report: OracleReport) -> None:
    """Proportion of true next items picked, with 95 % intervals, in three kinds of question."""
    sides, bounds = {}, {}
    for label, side in (("judge", report.judge), (FLOOR, report.floor)):
        right = [side.right(), side.right(calibrated=side.none_threshold is not None), side.right(popular=True)]
        sides[label] = [float(each.double().mean()) for each in right]
        bounds[label] = errors(sides[label], [wilson(each) for each in right])
    bars(axes, ["random others", "None by\nthreshold", "popular others"], sides, bounds)
    for bar in axes.patches:
        x, height = bar.get_x() + bar.get_width() / 2, bar.get_height()  # type: ignore[attr-defined]
        axes.text(x, 0.015, f"{height:.2f}", ha="center", bbox=BOX)
    _draw_chance(axes, report)
    axes.set_ylim(0, min(1.0, 1.25 * axes.get_ylim()[1]))
    axes.legend(ncols=3, loc="upper center")
    titled(axes, "True next item picked out of ten", y="proportion, 95 % interval")


def _draw_none(axes: Axes, report: OracleReport) -> None:
    """Where the probability of None lies, with the true item and without it."""
    judge = report.judge
    there = (judge.with_target, BLUE, "-", "true item there")
    sides = (there, (judge.without_target, RED, "--", "true item missing"))
    for answers, colour, dash, label in sides:
        values = answers[:, -1].exp().sort().values
        shares = [1 - place / len(values) for place in range(len(values))]
        axes.step(values, shares, where="post", color=colour, linestyle=dash, linewidth=1.8, label=label)
    if judge.none_threshold is not None and judge.none_threshold <= 1:
        axes.axvline(judge.none_threshold, color=GREY, linewidth=1.2, linestyle=":", label="threshold")
    axes.legend()
    title = "How often None is at least so probable"
    titled(axes, title, "probability of None", "proportion of questions", xlim=(0, 1), ylim=(0, 1.02))


def _draw_ranks(axes: Axes, report: OracleReport) -> None:
    """Where the true next item stands among the candidates."""
    names = [str(rank) for rank in range(1, report.judge.none + 1)]
    bars(axes, names, {"judge": report.judge.ranks().tolist(), FLOOR: report.floor.ranks().tolist()})
    _draw_chance(axes, report)
    axes.legend()
    titled(axes, "Rank of the true next item, None aside", "rank", "proportion of questions")


def _draw_chance(axes: Axes, report: OracleReport) -> None:
    axes.axhline(report.chance, color=GREY, linestyle=":", linewidth=1.5, label="chance")


def _draw_labels(axes: Axes, numbers: dict[str, Any]) -> None:
    """How often each label wins: even, but for None, where no place is favoured."""
    won = {name: list(numbers[side]["labels"].values()) for name, side in (("judge", "judge"), (FLOOR, "floor"))}
    bars(axes, [*list(numbers["judge"]["labels"])[:-1], "None"], won)
    axes.legend(loc="upper left")
    changed = numbers["judge"].get("order_sensitivity")
    label = "label" if changed is None else f"label; {changed:.0%} of answers change with the order of the candidates"
    titled(axes, "How often each label wins", label, "proportion of answers")


def _draw_calibration(axes: Axes, report: OracleReport) -> None:
    """Confidence against correctness."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.2)
    for side, colour, dash, label in ((report.judge, BLUE, "-", "judge"), (report.floor, ORANGE, "--", FLOOR)):
        believed, happened, count = reliability(*side.confidence())
        axes.plot(believed, happened, color=colour, linestyle=dash, linewidth=1.2, label=label)
        axes.scatter(believed, happened, s=12 + 200 * count / count.sum(), color=colour, alpha=0.6, edgecolor="none")
    axes.legend(loc="upper left")
    title = "Confidence and correctness (area: answers)"
    titled(axes, title, "probability of the pick", "proportion of right picks", xlim=(0, 1), ylim=(0, 1))


def _draw_injection(axes: Axes, numbers: dict[str, Any]) -> None:
    """What injected titles gain, or the lines of the report where none were tried."""
    attacks = numbers["injection"]
    if not attacks:
        axes.axis("off")
        shown = (textwrap.fill(line, 52) for line in lines(numbers) if not line.startswith("how often"))
        axes.text(0, 1, "\n\n".join(shown), va="top", transform=axes.transAxes)
        return
    gains = [each["mean"] for each in attacks.values()]
    lengths = errors(gains, [(each["low"], each["high"]) for each in attacks.values()])
    axes.barh(list(attacks), gains, xerr=lengths, color=BLUE, height=0.6, capsize=3)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.invert_yaxis()
    axes.locator_params("x", nbins=6)
    titled(axes, "What an injected title gains", "more picks than the same title without it", grid="x")
