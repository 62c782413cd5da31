"""Environment steps per second of a whole A2C on Coat, acting and learning, and the return that it reaches.

    IALP_DATA=/path/to/data python benchmarks/coat_a2c.py

An `ialp fit` of configs/coat_scratch_a2c_episodes.yaml in this process. The clock runs from the start of an epoch to
its evaluation: rollouts, updates, logging and the trainer's own work count; imports and the evaluations do not.
"""

import argparse
import os
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Train, and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", type=Path, default=ROOT / "configs" / "coat_scratch_a2c_episodes.yaml")
    parser.add_argument("--runs_dir", help="folder of runs, whose reward model is reused; a temporary one by default")
    parser.add_argument("--threads", type=int, default=1, help="of torch (default: 1)")
    given, others = parser.parse_known_args()  # others: options of `ialp fit`, such as --trainer.max_epochs 5
    os.environ |= {"OMP_NUM_THREADS": str(given.threads), "MKL_NUM_THREADS": str(given.threads)}
    with tempfile.TemporaryDirectory() as folder:
        train(["--config", str(given.config), "--runs_dir", given.runs_dir or folder, *others], given.threads)


def train(arguments: list[str], threads: int) -> None:
    """One `ialp fit` under a clock."""
    import torch  # after the number of threads is set
    from lightning import Callback, LightningModule, Trainer

    from ialp.experiment.training import IALPCLI, command_line

    class Clock(Callback):
        """Environment steps and seconds of every epoch."""

        def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            self.before, self.start = pl_module.environment_steps, time.perf_counter()

        def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
            epochs.append((pl_module.environment_steps - self.before, time.perf_counter() - self.start))

    class Timed(IALPCLI):
        """The command line, with a clock."""

        def instantiate_trainer(self, **kwargs: Any) -> Trainer:
            trainer = super().instantiate_trainer(**kwargs)
            trainer.callbacks.insert(0, Clock())
            return trainer

    epochs: list[tuple[int, float]] = []
    torch.set_num_threads(threads)
    cli = command_line(Timed, arguments)
    cli.fit()
    if not epochs:
        raise SystemExit("this run was finished already: name another --runs_dir or --seed_everything")
    steps, seconds = (sum(column) for column in zip(*epochs, strict=True))
    end = cli.model.evaluation.rows[-1]
    print(f"\n{cli.stage.name}, {threads} thread(s)")
    print(f"  environment steps  {steps:>10,}")
    print(
        f"  gradient steps     {cli.trainer.global_step:>10,}   {1000 * cli.trainer.global_step / steps:.2f} per 1,000"
    )
    print(f"  seconds            {seconds:>10.1f}   acting and learning")
    print(f"  steps per second   {steps / seconds:>10,.0f}   best epoch {max(n / s for n, s in epochs):,.0f}")
    print(f"  R / Len / R_avg    {end['return']:.1f} / {end['length']:.1f} / {end['average_reward']:.2f}")


if __name__ == "__main__":
    main()
