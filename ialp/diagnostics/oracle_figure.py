"""A judge in one picture: picks, None and ranks above; labels, trust and injected titles below."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ialp.diagnostics.oracle_data import OracleReport, wilson
from ialp.oracle.evaluation import reliability

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# Okabe and Ito's colours, told apart by hatch and dash as well, so that a print in grey still reads.
JUDGE, FLOOR, GREY = "#0072B2", "#E69F00", "#777777"
GRID: dict[str, Any] = {"color": "#e5e5e5", "linewidth": 0.6}
SMALL = 8


def draw_oracle(report: OracleReport, numbers: dict[str, Any], path: Path) -> Path:
    """Draw the picture to `path`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(13, 7.4), layout="constrained")
    FigureCanvasAgg(figure)
    (picks, none, ranks), (labels, trust, cost) = figure.subplots(2, 3)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.12)  # type: ignore[call-arg,union-attr]
    _draw_picks(picks, report)
    _draw_none(none, report)
    _draw_ranks(ranks, report)
    _draw_labels(labels, numbers)
    _draw_trust(trust, report)
    _draw_words(cost, numbers)
    asked = f"{numbers['questions']} held-out questions, {numbers['candidates']} candidates"
    figure.suptitle(f"Judge: {numbers['judge']['judge']} on {numbers['data']}, {asked}", fontsize=11)
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=160)
    return path


def _draw_picks(axes: Axes, report: OracleReport) -> None:
    """Share of true next items picked, with 95 % intervals, in three kinds of question."""
    groups = ["random others", "None by\nthreshold", "popular others"]
    for offset, side, colour, hatch, label in (
        (-0.19, report.judge, JUDGE, "", "judge"),
        (0.19, report.floor, FLOOR, "///", "word overlap"),
    ):
        right = [side.right(), side.right(calibrated=side.none_threshold is not None), side.right(popular=True)]
        shares = [float(each.double().mean()) for each in right]
        bounds = [wilson(each) for each in right]
        errors = [
            [max(s - low, 0) for s, (low, _) in zip(shares, bounds, strict=True)],
            [max(high - s, 0) for s, (_, high) in zip(shares, bounds, strict=True)],
        ]
        at = [place + offset for place in range(len(groups))]
        axes.bar(at, shares, 0.36, yerr=errors, color=colour, hatch=hatch, edgecolor="white", label=label, capsize=3)
        for place, value in zip(at, shares, strict=True):
            axes.text(place, 0.015, f"{value:.2f}", ha="center", fontsize=SMALL, bbox=_box())
    axes.axhline(report.chance, color=GREY, linestyle=":", linewidth=1.5, label="chance")
    axes.set_xticks(range(len(groups)), groups)
    axes.set_ylim(0, min(1.0, 1.25 * axes.get_ylim()[1]))
    axes.legend(frameon=False, fontsize=SMALL, ncols=3, loc="upper center")
    _finish(axes, "True next item picked out of ten", y="share, 95 % interval")


def _draw_none(axes: Axes, report: OracleReport) -> None:
    """Where the probability of None lies, with the true item and without it."""
    judge = report.judge
    sides = ((judge.held, JUDGE, "-", "true item there"), (judge.bare, "#D55E00", "--", "true item missing"))
    for answers, colour, dash, label in sides:
        values = answers[:, -1].exp().sort().values
        shares = [1 - place / len(values) for place in range(len(values))]
        axes.step(values, shares, where="post", color=colour, linestyle=dash, linewidth=1.8, label=label)
    if judge.none_threshold is not None and judge.none_threshold <= 1:
        axes.axvline(judge.none_threshold, color=GREY, linewidth=1.2, linestyle=":", label="threshold")
    axes.set(xlim=(0, 1), ylim=(0, 1.02))
    axes.legend(frameon=False, fontsize=SMALL)
    _finish(axes, "How often None is at least so probable", "probability of None", "share of questions")


def _draw_ranks(axes: Axes, report: OracleReport) -> None:
    """Where the true next item stands among the candidates."""
    ranks = range(1, report.judge.none + 1)
    axes.bar([rank - 0.2 for rank in ranks], report.judge.ranks(), 0.38, color=JUDGE, label="judge")
    floor = report.floor.ranks()
    axes.bar(
        [rank + 0.2 for rank in ranks], floor, 0.38, color=FLOOR, hatch="///", edgecolor="white", label="word overlap"
    )
    axes.axhline(report.chance, color=GREY, linestyle=":", linewidth=1.5, label="chance")
    axes.set_xticks(list(ranks))
    axes.legend(frameon=False, fontsize=SMALL)
    _finish(axes, "Rank of the true next item, None aside", "rank", "share of questions")


def _draw_labels(axes: Axes, numbers: dict[str, Any]) -> None:
    """How often each label wins: even, but for None, where no place is favoured."""
    names = [*list(numbers["judge"]["labels"])[:-1], "None"]
    places = range(len(names))
    axes.bar([x - 0.2 for x in places], numbers["judge"]["labels"].values(), 0.38, color=JUDGE, label="judge")
    floor = numbers["floor"]["labels"].values()
    axes.bar([x + 0.2 for x in places], floor, 0.38, color=FLOOR, hatch="///", edgecolor="white", label="word overlap")
    axes.set_xticks(list(places), names)
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left")
    turned = numbers["judge"].get("order_sensitivity")
    said = "label" if turned is None else f"label; {turned:.0%} of answers turn with the order of the candidates"
    _finish(axes, "How often each label wins", said, "share of answers")


def _draw_trust(axes: Axes, report: OracleReport) -> None:
    """Confidence against correctness."""
    axes.plot([0, 1], [0, 1], color=GREY, linestyle=":", linewidth=1.2)
    for side, colour, dash, label in ((report.judge, JUDGE, "-", "judge"), (report.floor, FLOOR, "--", "word overlap")):
        believed, happened, count = reliability(*side.confidence())
        axes.plot(believed, happened, color=colour, linestyle=dash, linewidth=1.2, label=label)
        axes.scatter(believed, happened, s=12 + 200 * count / count.sum(), color=colour, alpha=0.6, edgecolor="none")
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.legend(frameon=False, fontsize=SMALL, loc="upper left")
    _finish(axes, "Confidence and correctness (area: answers)", "probability of the pick", "share of right picks")


def _draw_words(axes: Axes, numbers: dict[str, Any]) -> None:
    """Cost, and what injected titles gain."""
    from ialp.diagnostics.oracle_tables import lines

    attacks = numbers["injection"]
    if not attacks:
        axes.axis("off")
        shown = (textwrap.fill(line, 52) for line in lines(numbers) if not line.startswith("how often"))
        axes.text(0, 1, "\n\n".join(shown), fontsize=9, va="top", transform=axes.transAxes)
        return
    names = list(attacks)
    gains = [attacks[name]["mean"] for name in names]
    errors = [[max(g - attacks[n]["low"], 0) for g, n in zip(gains, names, strict=True)],
              [max(attacks[n]["high"] - g, 0) for g, n in zip(gains, names, strict=True)]]  # fmt: skip
    axes.barh(names, gains, xerr=errors, color=JUDGE, height=0.6, capsize=3)
    axes.axvline(0, color=GREY, linewidth=1)
    axes.invert_yaxis()
    _finish(axes, "What an injected title gains", "more picks than the same title without it", grid="x")


def _box() -> dict[str, Any]:
    return {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": "none", "alpha": 0.85}


def _finish(axes: Axes, title: str, x: str = "", y: str = "", grid: str = "y") -> None:
    axes.set_title(title, fontsize=10, loc="left")
    axes.set_xlabel(x, fontsize=9)
    axes.set_ylabel(y, fontsize=9)
    axes.tick_params(labelsize=SMALL)
    axes.grid(axis=grid, **GRID)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
