"""A world in tables: references, answers, lengths, exits, reliability and what there is to warn of."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ialp.diagnostics.world_data import QUANTILES, WorldData, policy_label
from ialp.report.summary import PLAIN_WIDTH
from ialp.runs.data import FIGURES

SHOWN = 10
"""Finished policies in the table; all are in world.json."""


def print_world(data: WorldData, console: Console | None = None) -> None:
    """Print all tables, the lines below them, and the warnings last."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    for line in heading(data):
        console.print(line, soft_wrap=True, markup=False, highlight=False)
    for table in (references_table(data), stay_table(data), answers_table(data), reliability_table(data)):
        if table is not None:
            console.print()
            console.print(table)
    for line in [*scores(data), *(f"warning: {said}" for said in data.warnings)]:
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def heading(data: WorldData) -> Iterator[str]:
    """Which world this is, and who met the reference policies."""
    world = data.world
    known = data.run.done.get("data") or {}
    rules = ", ".join(_described(rule) for rule in world.config["exit_rules"])
    yield f"world of {data.run.folder}: {known.get('name', 'unknown data')}, {world.response.num_items:,} items"
    pays = "the rating" if data.rates else "p of a click"
    times = "" if world.reward_scale == 1 else f"{world.reward_scale:g} times "
    intercept = "" if data.rates else f", intercept {float(world.response.intercept):+.3f}"
    yield f"{type(world.response).__name__}{intercept}; the reward is {times}{pays}"
    yield f"users leave by {rules}; at most {world.horizon} steps"
    each = "one episode" if data.rounds == 1 else f"{data.rounds} episodes"
    yield f"{data.test_users} users of the test world, {each} each"


def references_table(data: WorldData) -> Table:
    """R, Len and R_avg of the reference policies and of finished ones, and their share of greedy's return."""
    table = _table("Policies", "policy", "R", "Len", "R_avg", "R / greedy")
    greedy = data.references["greedy"]["return"]
    for name, figures in data.references.items():
        table.add_row(policy_label(name), *_figures(figures), f"{figures['return'] / greedy:.0%}")
    if data.policies:
        table.add_section()
    for name, figures in list(data.policies.items())[:SHOWN]:
        table.add_row(name, *_figures(figures), f"{figures['return'] / greedy:.0%}")
    if (more := len(data.policies) - SHOWN) > 0:
        table.add_row(f"and {more} more, in world.json")
    return table


def stay_table(data: WorldData) -> Table:
    """How long users stay, and what ends an episode."""
    table = _table("Episodes: length, and what ends them", "policy", *_levels("Len"), *data.causes)
    for name, played in data.played.items():
        lengths = [f"{float(played.lengths.float().quantile(level)):.0f}" for level in QUANTILES]
        table.add_row(policy_label(name), *lengths, *(f"{share:.1%}" for share in played.causes.values()))
    return table


def answers_table(data: WorldData) -> Table:
    """Mean and quantiles of what users answer."""
    table = _table(f"Answers: {data.answer}, of all recommendations", "policy", "mean", *_levels(data.answer[0]))
    for name, played in data.played.items():
        values = [float(played.answers.mean()), *data.quantiles(name).values()]
        table.add_row(policy_label(name), *(f"{value:.3f}" for value in values))
    return table


def reliability_table(data: WorldData) -> Table | None:
    """Predicted against actual, bin by bin; bins that nothing fell into are left out."""
    found = data.reliability
    if found is None:
        return None
    before = "" if data.rates else ", before the intercept"
    table = _table(f"Reliability{before}", data.answer, *found.counts, "predicted", "actual", "± s.e.")
    table.caption, table.caption_justify, table.caption_style = f"{found.cases}.", "left", ""
    edges = found.edges.tolist()
    for place, (low, high) in enumerate(pairwise(edges)):
        counts = [int(each[place]) for each in found.counts.values()]
        values = [float(each[place]) for each in (found.predicted, found.actual, found.error)]
        if sum(counts):
            cells = [*(f"{count:,}" for count in counts), *(f"{value:.3f}" for value in values)]
            table.add_row(f"{low:g} … {high:g}", *cells)
    return table


def scores(data: WorldData) -> Iterator[str]:
    """The single numbers of the response net."""
    if data.reliability is None:
        yield "no reliability: neither a log of ratings nor a SessionDataModule, so there are no cases to compare"
    else:
        yield f"expected calibration error: {data.reliability.expected_error:.4f}"
    found = data.scores()
    if "val_auc" in found:
        yield (
            f"test sequences, uniformly drawn negatives: AUC {found['val_auc']:.3f}, "
            f"hit rate at 10 of 100 {found.get('val_hit_rate', float('nan')):.3f}"
        )
    for name, errors in (found.get("random_ratings") or {}).items():
        yield f"random ratings, {name}: RMSE {errors['rmse']:.4f}, MAE {errors['mae']:.4f}"
    yield f"popularity gets {data.popularity_share:.0%} of greedy's return"


def _table(title: str, first: str, *columns: str) -> Table:
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", show_edge=False)
    table.add_column(first, min_width=16)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def _levels(letter: str) -> list[str]:
    return [f"{letter} {level:.0%}".replace("%", " %") for level in QUANTILES]


def _figures(figures: Mapping[str, float]) -> list[str]:
    return [f"{figures[key]:.2f}" for key in FIGURES]


def _described(rule: Mapping[str, Any]) -> str:
    """Class and arguments of an exit rule."""
    arguments = ", ".join(
        f"{key} {value:.4g}" for key, value in rule["init_args"].items() if isinstance(value, int | float)
    )
    name = str(rule["class_path"]).rpartition(".")[2]
    return f"{name} ({arguments})" if arguments else name
