"""The table at the end of a run: R, Len and R_avg of its policies at e = 0, 1, 2 and the end."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ialp.report.methods import FROZEN, method_name
from ialp.runs.data import FIGURES, RunData

EPOCHS = (0, 1, 2)
EPOCH_STEPS = 1000  # of an epoch of the paper (section 5.3)
NOTED = 0.05  # environment steps that differ by more than this fraction are noted below a table
PLAIN_WIDTH = 150  # columns where the output is no terminal: no table is wider
ANY = "any e"


def print_summary(run_folder: Path, console: Console | None = None) -> None:
    """Print the figures of the online run in this folder, of what it started from, and of the reference policies."""
    run = RunData(Path(run_folder))
    print_plain(console or Console(), ["", results_table(run), *notes(run)])


def print_plain(console: Console, shown: list[str | Table]) -> None:
    """Print tables and unwrapped lines; where there is no terminal, wide enough for the tables."""
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    for each in shown:
        if isinstance(each, str):
            console.print(each, soft_wrap=True, markup=False, highlight=False)
        else:
            console.print(each)


def plain_table(title: str, first: str, *columns: str) -> Table:
    """A table with a column of words and columns of figures."""
    table = Table(box=SIMPLE_HEAD, title=title, title_justify="left", show_edge=False)
    table.add_column(first, min_width=16)
    for column in columns:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def results_table(run: RunData) -> Table:
    """A row per policy, what the run started from first; reference policies, the same at every e, once."""
    rows = final_rows(run)
    moments = [at for at in dict.fromkeys(row["at"] for row in rows) if at != ANY]
    table = plain_table("R  Len  R_avg in the test world", "policy", *moments)
    shown = {(row["policy"], row["at"]): _triple(row) for row in rows}
    for name in dict.fromkeys(row["policy"] for row in rows if row["at"] != ANY):
        table.add_row(name, *(shown.get((name, at), "-") for at in moments))
    references = [row for row in rows if row["at"] == ANY]
    if references:
        table.add_section()
        table.add_row("the same at every e:")
    for row in references:
        table.add_row(f"  {row['policy']}", _triple(row))
    return table


def final_rows(run: RunData) -> list[dict[str, Any]]:
    """One policy and moment a row: policy, at, environment_steps (None for reference policies), the figures."""
    evaluation = run.evaluation()
    last = max(evaluation["epoch"].to_list(), default=0)
    # A run shorter than the columns leaves them out, and does not show its last epoch twice.
    moments = {**{e: f"e = {e}" for e in EPOCHS if e < last}, last: f"end (e = {last})"}
    found = [
        row | {"policy": policy_name(run, policy), "at": moments[row["epoch"]]}
        for policy in sorted(evaluation["policy"].unique(), reverse=True)
        for row in evaluation.filter(pl.col("policy") == policy).sort("epoch").iter_rows(named=True)
        if row["epoch"] in moments
    ]
    references = run.references().items() if len(evaluation) else ()
    return found + [{**each, "policy": name, "at": ANY, "environment_steps": None} for name, each in references]


def policy_name(run: RunData, policy: str) -> str:
    """The name in tables and figures of a policy of evaluation.csv ("adapted" or "frozen")."""
    return FROZEN if policy == "frozen" else method_name(run)


def notes(run: RunData) -> Iterator[str]:
    """The lines below the table: the length of an epoch, judgements, the time each stage took, the paths."""
    epochs, steps = max(run.evaluation().select("epoch", "environment_steps").iter_rows(), default=(0, 0))
    if abs(steps - EPOCH_STEPS * epochs) > NOTED * EPOCH_STEPS * epochs:
        mean = f"{steps / epochs:,.0f} environment steps"
        yield f"epochs of {mean} each, on average; the paper's e counts {EPOCH_STEPS:,}"
    for stage in run.lineage:
        if judgements := stage.results.get("judgements"):
            asked, hits = int(judgements.get("asked", 0)), int(judgements.get("cache_hits", 0))
            yield f"judgements: {asked:,} asked of {judgements.get('model')}, {hits:,} answered by the cache"
    times = {stage.name: float(stage.done["seconds"]) for stage in run.lineage if "seconds" in stage.done}
    total = f" = {sum(times.values()):.0f}" if len(times) > 1 else ""
    yield "seconds: " + " + ".join(f"{name} {each:.0f}" for name, each in times.items()) + total
    yield f"run: {run.folder}"
    yield f"learning curve: {run.folder / 'learning_curve.png'}"


def _triple(figures: Mapping[str, float]) -> str:
    """Return, length and average reward, three digits each, as the paper prints them."""
    return " ".join(f"{each:4.2f}" if abs(each) < 9.995 else f"{each:4.1f}" for each in (figures[k] for k in FIGURES))
