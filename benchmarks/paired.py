"""Compare two policies over seeds, paired by seed, from the done.json of finished runs.

    python benchmarks/paired.py lfm_frozen:frozen lfm_scratch_a2c:adapted --at 0
    python benchmarks/paired.py lfm_policyset:adapted lfm_policyset:frozen --at 1 2 end

Each side is CONFIG:POLICY, POLICY one of adapted and frozen. Prints mean return (length, average reward) of both sides,
the paired difference with its 95 % bootstrap interval, the ratio of means, and how often the first side is ahead.
"""

import argparse
from pathlib import Path

import numpy as np
import polars

from ialp.report.statistics import mean
from ialp.runs.data import FIGURES, RunData


def figures(runs: Path, side: str, at: str) -> dict[int, tuple[float, ...]]:
    """Seed -> the three figures of one policy at an epoch (a number, or "end"); the latest run of a seed counts."""
    config, policy = side.split(":")
    found: dict[int, tuple[float, ...]] = {}
    for path in sorted((runs / config).glob("*/done.json"), key=lambda path: path.stat().st_mtime):
        run = RunData(path.parent)
        rows = run.evaluation().filter(polars.col("policy") == policy).sort("epoch")
        if at != "end":
            rows = rows.filter(polars.col("epoch") == int(at))
        if len(rows):
            found[int(run.done["seed"])] = rows.select(FIGURES).row(-1)
    return found


def compare(runs: Path, first: str, second: str, at: str) -> str:
    """One line of the comparison."""
    a, b = figures(runs, first, at), figures(runs, second, at)
    seeds = sorted(a.keys() & b.keys())
    if len(seeds) < 2:
        return f"at {at}: {len(seeds)} common seeds of {first} and {second}: at least two are needed"
    x, y = np.array([a[seed] for seed in seeds]), np.array([b[seed] for seed in seeds])
    difference = x[:, 0] - y[:, 0]
    found = mean(difference.tolist())
    means = [" / ".join(f"{value:.2f}" for value in side.mean(0)) for side in (x, y)]
    return (
        f"at {at}, {len(seeds)} seeds: {first} {means[0]}  |  {second} {means[1]}  |  "
        f"difference {found.value:+.2f} [{found.low:+.2f}, {found.high:+.2f}]  "
        f"ratio {x[:, 0].mean() / y[:, 0].mean():.2f}  ahead in {int((difference > 0).sum())} of {len(seeds)}"
    )


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first", help="CONFIG:POLICY")
    parser.add_argument("second", help="CONFIG:POLICY")
    parser.add_argument("--at", nargs="+", default=["0", "1", "2", "end"], help="epochs, or end")
    parser.add_argument("--runs_dir", type=Path, default=Path("runs"), help="folder of the runs")
    given = parser.parse_args()
    for at in given.at:
        print(compare(given.runs_dir, given.first, given.second, at))


if __name__ == "__main__":
    main()
