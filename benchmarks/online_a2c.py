"""What 50,000 environment steps of A2C cost: a whole `ialp fit`, from the process's start to its end.

Imports, updates, an evaluation per epoch, checkpoints and the report are all counted; the reward model is built
beforehand and counted apart. See README.md beside this file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from memory import peak_mib

ROOT = Path(__file__).resolve().parents[1]
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass
class Cost:
    """One finished process and what its run wrote: seconds of wall clock and of all cores, peak memory in MiB."""

    seconds: float
    cpu_seconds: float
    peak_mib: float
    done: dict[str, Any]


def fit(config: Path, runs: Path, threads: int) -> Cost:
    """Run one stage in a process of its own and wait for it."""
    command = [sys.executable, "-m", "ialp", "fit", "--config", str(config), "--runs_dir", str(runs)]
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    start = time.perf_counter()
    child = subprocess.Popen(command, cwd=ROOT, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - start
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {child.returncode}")
    (done,) = (runs / config.stem).glob("*/done.json")
    return Cost(seconds, usage.ru_utime + usage.ru_stime, peak_mib(usage), json.loads(done.read_text()))


def main() -> None:
    """Build the reward model, time the online run, print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--online", type=Path, default=ROOT / "configs" / "lfm_scratch_a2c.yaml")
    parser.add_argument("--reward", type=Path, default=ROOT / "configs" / "lfm_reward.yaml", help="what it builds on")
    parser.add_argument("--threads", type=int, default=CORES, help=f"of torch (default: {CORES})")
    arguments = parser.parse_args()

    data = os.environ.get("IALP_DATA") or "the built-in catalogue (IALP_DATA is not set)"
    print(f"data: {data}", flush=True)
    with tempfile.TemporaryDirectory() as runs:
        reward = fit(arguments.reward, Path(runs), arguments.threads)
        online = fit(arguments.online, Path(runs), arguments.threads)
    steps = int(online.done["results"]["environment_steps"])
    print(f"\n{arguments.online.stem} on {data}")
    print(f"  environment steps  {steps:>8,}")
    print(f"  seconds            {online.seconds:8.1f}   whole process; reward model before it: {reward.seconds:.1f}")
    print(f"  steps per second   {steps / online.seconds:8.0f}")
    print(f"  cores in use       {online.cpu_seconds / online.seconds:8.2f}   of {arguments.threads} threads")
    print(f"  peak memory, MiB   {online.peak_mib:8.0f}")


if __name__ == "__main__":
    main()
