"""What settings of a method are worth: the mean return of the users met while learning, over the first steps.

    python benchmarks/tuning.py runs --seed 9 --steps 20000

One line per run, the best of each config first: mean return of the users met while learning, return of the test users
at the end of these steps, and the settings in which the runs of the config differ.
"""

import argparse
from collections import defaultdict
from pathlib import Path

import polars as pl

from ialp.report.methods import method_of
from ialp.runs.data import RunData


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, help="the folder of all runs")
    parser.add_argument("--seed", type=int, default=9, help="runs of this seed are looked at (default: 9)")
    parser.add_argument("--steps", type=int, default=20_000, help="environment steps (default: 20000)")
    given = parser.parse_args()
    found: dict[str, list[tuple[float, float, dict[str, str]]]] = defaultdict(list)
    for folder in sorted(given.runs.glob(f"*/{given.seed}-*")):
        if (folder / "done.json").is_file() and (folder / "evaluation.csv").is_file():
            run = RunData(folder)
            settings = dict(method_of(run).settings)
            found[run.name.partition("/")[0]].append((*worth(folder, given.steps), settings))
    for config, rows in found.items():
        print(config)
        for while_learning, at_end, settings in sorted(rows, key=lambda row: -row[0]):
            print(f"  {while_learning:6.1f} {at_end:6.1f}  {differing(settings, [row[2] for row in rows])}")


def worth(folder: Path, steps: int) -> tuple[float, float]:
    """Mean training return over the first steps, and the test users' return at their end."""
    step, value = "train/environment_steps", "train/return"
    curve = pl.read_csv(folder / "metrics.csv", infer_schema_length=None).drop_nulls([value])
    curve = curve.filter(pl.col(step) <= 1.03 * steps)
    width, height = curve[step].diff().drop_nulls(), curve[value].rolling_mean(2).drop_nulls()
    rows = pl.read_csv(folder / "evaluation.csv")
    tested = rows.filter((pl.col("policy") == "adapted") & (pl.col("environment_steps") <= 1.06 * steps))
    return float((width * height).sum() / width.sum()), float(tested["return"][-1])


def differing(settings: dict[str, str], others: list[dict[str, str]]) -> str:
    """The settings that are not the same in all."""
    keys = {key for other in others for key in other if len({each.get(key) for each in others}) > 1}
    return ", ".join(f"{key.rpartition('.')[2]} {settings[key]}" for key in sorted(keys) if key in settings)


if __name__ == "__main__":
    main()
