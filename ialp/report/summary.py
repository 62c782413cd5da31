"""The table at the end of a run: how good each policy was on its first day, soon after, and at the end."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import polars as pl
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from ialp.runs.data import FIGURES, RunData

EPOCHS = (0, 1, 2)
EPOCH_STEPS = 1000
"""Environment steps of an epoch of the paper (section 5.3)."""
NOTED = 0.05
"""Environment steps that differ by more than this share are said below a table."""
PLAIN_WIDTH = 100
"""Columns where the output is no terminal; the table itself needs 82."""
WORD_OVERLAP = ("word overlap", "lexicaloracle")
"""Names of the judge that is no language model."""
SCHEMES = {"PolicySet": "A-iALP PolicySet", "FineTune": "A-iALP FineTune", "Frozen": "frozen iALP"}


def print_summary(run_folder: Path, console: Console | None = None) -> None:
    """Print what the online run in this folder achieved, beside what it started from and the world's references."""
    console = console or Console()
    if not console.is_terminal:
        console.width = max(console.width, PLAIN_WIDTH)
    run = RunData(Path(run_folder))
    console.print()
    console.print(results_table(run))
    for line in notes(run):
        console.print(line, soft_wrap=True, markup=False, highlight=False)


def results_table(run: RunData) -> Table:
    """R, Len and R_avg of every policy at e = 0, 1, 2 and the end; references, the same at every e, once."""
    evaluation = run.evaluation()
    columns = _moments(evaluation)
    table = Table(box=SIMPLE_HEAD, title="R  Len  R_avg in the test world", title_justify="left", show_edge=False)
    table.add_column("policy", min_width=16)
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for policy, rows in _policies(evaluation):
        at = {row["epoch"]: row for row in rows.iter_rows(named=True)}
        table.add_row(policy_name(run, policy), *(_triple(at.get(epoch)) for epoch in columns.values()))
    references = run.references()
    if references:
        table.add_section()
        table.add_row("the same at every e:")
    for name, figures in references.items():
        table.add_row(f"  {name}", _triple(figures))
    return table


def final_rows(run: RunData) -> list[dict[str, Any]]:
    """The same figures one policy and moment a row: policy, at, environment_steps (None: at any), the figures."""
    evaluation = run.evaluation()
    if not len(evaluation):
        return []
    found: list[dict[str, Any]] = []
    for policy, rows in _policies(evaluation):
        at = {row["epoch"]: row for row in rows.iter_rows(named=True)}
        known = {title: at[epoch] for title, epoch in _moments(evaluation).items() if epoch in at}
        found += [row | {"policy": policy_name(run, policy), "at": title} for title, row in known.items()]
    references = run.references().items()
    found += [{**each, "policy": name, "at": "any e", "environment_steps": None} for name, each in references]
    return found


def policy_name(run: RunData, policy: str) -> str:
    """How tables and figures call a policy of evaluation.csv ("adapted" or "frozen")."""
    if policy == "frozen":
        return "frozen iALP"
    scheme = run.class_of("scheme")
    if scheme == "Scratch":
        return f"Scratch {run.class_of('algorithm')}".strip()
    return SCHEMES.get(scheme, scheme or policy)


def notes(run: RunData) -> Iterator[str]:
    """The lines below the table: what is missing, the judge, the time each stage took, where everything lies."""
    if not run.done:
        yield f"unfinished: no done.json in {run.folder}"
    evaluation = run.evaluation()
    if not len(evaluation):
        yield "no evaluation yet: evaluation.csv is absent or empty"
    yield from _epoch_lines(evaluation)
    if not run.references():
        yield "no reference policies: no references.json in the runs this one was built on"
    yield from _judgement_lines(run)
    yield _time_line(run)
    yield f"run: {run.folder}"
    curve = run.folder / "learning_curve.png"
    yield f"learning curve: {curve}" if curve.is_file() else "learning curve: not drawn"


def _moments(evaluation: pl.DataFrame) -> dict[str, int]:
    """Title -> epoch. A run shorter than the columns leaves them out rather than showing its last epoch twice."""
    last = max(evaluation["epoch"].to_list(), default=0)
    return {f"e = {e}": e for e in EPOCHS if e < last} | {f"end (e = {last})": last}


def _policies(evaluation: pl.DataFrame) -> Iterator[tuple[str, pl.DataFrame]]:
    """The policies with their rows, what the run started from first."""
    for policy in sorted(evaluation["policy"].unique(), reverse=True):
        yield policy, evaluation.filter(pl.col("policy") == policy)


def _epoch_lines(evaluation: pl.DataFrame) -> Iterator[str]:
    """What e means where an epoch is not the paper's 1,000 environment steps."""
    last = max(evaluation.iter_rows(named=True), key=lambda row: row["epoch"], default={"epoch": 0})
    epochs, steps = last["epoch"], last.get("environment_steps", 0)
    if abs(steps - EPOCH_STEPS * epochs) > NOTED * EPOCH_STEPS * epochs:
        mean = f"{steps / epochs:,.0f} environment steps"
        yield f"epochs of {mean} each, on average; the paper's e counts {EPOCH_STEPS:,}"


def _judgement_lines(run: RunData) -> Iterator[str]:
    """How many judgements the pre-training asked for, and of which model."""
    judged = [ancestor.results["judgements"] for ancestor in run.lineage if ancestor.results.get("judgements")]
    if not judged:
        yield "judgements: none, nothing here was pre-trained"
    for judgements in judged:
        model = str(judgements.get("model", "unknown model"))
        asked, hits = int(judgements.get("asked", 0)), int(judgements.get("cache_hits", 0))
        yield f"judgements: {asked:,} asked of {model}, {hits:,} answered by the cache"
        if any(word in model.lower() for word in WORD_OVERLAP):
            yield "judge: LexicalOracle (word overlap), no language model"


def _time_line(run: RunData) -> str:
    """Seconds that each stage took when it was built."""
    times = {stage.name: float(stage.done["seconds"]) for stage in run.lineage if "seconds" in stage.done}
    if not times:
        return "seconds: not recorded"
    parts = " + ".join(f"{name} {seconds:.0f}" for name, seconds in times.items())
    return f"seconds: {parts}" + (f" = {sum(times.values()):.0f}" if len(times) > 1 else "")


def _triple(figures: Mapping[str, float] | None) -> str:
    """Return, length and average reward, three digits each, as the paper prints them."""
    if not figures:
        return "-"
    return " ".join(_digits(figures.get(key)) for key in FIGURES)


def _digits(value: float | None) -> str:
    if value is None:
        return "   -"
    return f"{value:4.2f}" if abs(value) < 9.995 else f"{value:4.1f}"
