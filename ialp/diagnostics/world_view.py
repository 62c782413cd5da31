"""`ialp world describe`: the tables of a world, and world.json."""

import json
from collections.abc import Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from ialp.diagnostics.world import QUANTILES, WorldData, measure
from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.report.summary import plain_table, print_plain
from ialp.runs.data import FIGURES, REFERENCES, RunData

SHOWN = 10
"""Finished policies in the table; all are in world.json."""


def describe(run: RunData, out: str | None = None, data_root: str | None = None, users: int = 500) -> None:
    """Measure the world of a finished reward run, print it, and write world.json.

    Args:
        run: The reward run.
        out: Folder of world.json.
        data_root: Where the data lies, if not where the run says.
        users: Test users per reference policy; where the test world has fewer, they play several episodes each.

    Raises:
        UserError: The data or the world cannot be used.
    """
    if users < 1:
        raise UserError(f"--users is {users}: it must be at least 1")
    data = measure(run, data_root, users)
    print_world(data)
    path = (Path(out) if out else run.folder / "describe") / "world.json"
    write_atomically(path, json.dumps(data.numbers(), indent=2) + "\n")
    print(f"written: {path}")


def print_world(data: WorldData, console: Console | None = None) -> None:
    """Print the heading, all tables, single numbers, and the warnings last."""
    warnings = (f"warning: {each}" for each in data.warnings)
    spaced = [part for table in tables(data) for part in ("", table)]
    print_plain(console or Console(), [*_heading(data), *spaced, *_scores(data), *warnings])


def tables(data: WorldData) -> Iterator[Table]:
    """Policies, episodes and answers."""
    played = {REFERENCES.get(name, name): each for name, each in data.played.items()}
    levels = torch.tensor(QUANTILES)
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
        lengths = each.lengths.float().quantile(levels).tolist()
        table.add_row(name, *(f"{length:.0f}" for length in lengths), *(f"{s:.1%}" for s in each.causes.values()))
    yield table
    title = f"Answers: {data.answer}, of all recommendations"
    table = plain_table(title, "policy", "mean", *(f"{data.answer[0]} {q}" for q in quantiles))
    for name, each in played.items():
        values = [float(each.responses.mean()), *each.responses.quantile(levels).tolist()]
        table.add_row(name, *(f"{value:.3f}" for value in values))
    yield table


def _heading(data: WorldData) -> Iterator[str]:
    """Which world this is, and with whom the reference policies were played."""
    world, rates = data.world, data.answer == "rating"
    name = (data.run.done.get("data") or {}).get("name", "unknown data")
    yield f"world of {data.run.folder}: {name}, {world.response.num_items:,} items"
    intercept = "" if rates else f", intercept {float(world.response.intercept):+.3f}"
    times = "" if world.reward_scale == 1 else f"{world.reward_scale:g} times "
    yield f"{type(world.response).__name__}{intercept}; the reward is {times}{'the rating' if rates else data.answer}"
    rules = []
    for rule in world.config["exit_rules"]:
        arguments = [f"{key} {value:.4g}" for key, value in rule["init_args"].items() if isinstance(value, int | float)]
        rules.append(str(rule["class_path"]).rpartition(".")[2] + (f" ({', '.join(arguments)})" if arguments else ""))
    yield f"users leave by {', '.join(rules)}; at most {world.horizon} steps"
    yield f"{data.test_users} users of the test world; episodes of each: {data.rounds}"


def _scores(data: WorldData) -> Iterator[str]:
    """The single numbers of the response net."""
    if data.calibration_error is not None:
        cases = "ratings of items shown at random"
        if data.answer != "rating":
            cases = "true next items and negatives in equal weight, before the intercept"
        yield f"expected calibration error: {data.calibration_error:.4f}, on {cases}"
    scores = data.scores
    if "val_auc" in scores:
        rate = scores.get("val_hit_rate", float("nan"))
        yield (
            f"test sequences, uniformly drawn negatives: AUC {scores['val_auc']:.3f}, hit rate at 10 of 100 {rate:.3f}"
        )
    for name, each in (scores.get("random_ratings") or {}).items():
        yield f"random ratings, {name}: RMSE {each['rmse']:.4f}, MAE {each['mae']:.4f}"
    yield f"popularity gets {data.of_greedy(data.played['popularity'].figures):.0%} of greedy's return"
