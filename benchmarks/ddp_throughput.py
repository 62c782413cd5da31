"""Environment steps per second of an online run in several processes with one thread each, beside one such process.

All have the same config: users and minibatch are divided among the processes. Rollouts and updates are counted, from
the first to the last; start, evaluations and the reward model, which is built beforehand, are not. See README.md
beside this file.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def fit(runs: Path, config: Path, *options: str) -> tuple[Path, dict[str, Any]]:
    """Folder and done.json of one run, made in `runs` by processes with one thread each."""
    command = [sys.executable, "-m", "ialp", "fit", f"--config={config}", f"--runs_dir={runs}", *options]
    single = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run(command, cwd=ROOT, env=os.environ | single, check=True)
    (done,) = (runs / config.stem).glob("*/done.json")
    return done.parent, json.loads(done.read_text())


def main() -> None:
    """Build the reward model, make the same run with each number of processes, print steps per second."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--online", type=Path, default=ROOT / "configs" / "lfm_scratch_a2c.yaml")
    parser.add_argument("--reward", type=Path, default=ROOT / "configs" / "lfm_reward.yaml", help="what it builds on")
    parser.add_argument("--epochs", type=int, default=5, help="of 1,000 environment steps with these configs (5)")
    parser.add_argument("--processes", type=int, nargs="+", default=[1, 2], help="how many to try (1 2)")
    arguments = parser.parse_args()

    print(f"data: {os.environ.get('IALP_DATA') or 'the built-in catalogue (IALP_DATA is not set)'}", flush=True)
    rates: dict[int, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        world, _ = fit(Path(folder), arguments.reward)
        for count in arguments.processes:
            options = [f"--upstream.reward_model={world}", f"--trainer.max_epochs={arguments.epochs}"]
            options += ["--data.init_args.test_users=20", "--trainer.accelerator=cpu", f"--trainer.devices={count}"]
            options += ["--trainer.strategy=ddp"] if count > 1 else []
            _, done = fit(Path(folder) / str(count), arguments.online, *options)
            assert done["processes"] == count
            rates[count] = 1 / done["results"]["seconds_per_step"]
    first = rates[arguments.processes[0]]
    print(f"\n{arguments.online.stem}, {arguments.epochs} epochs, one thread per process")
    for count, rate in rates.items():
        print(f"  {count} processes  {rate:8.0f} environment steps per second   {rate / first:5.2f} times")


if __name__ == "__main__":
    main()
