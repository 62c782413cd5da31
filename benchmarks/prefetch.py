"""What asking the judge one step ahead saves: seconds per step of `IALPPretrain` and of `PrefetchPretrain`.

The judge sleeps for as long as a server would take for a step's questions. The updates are real ones of a small policy,
filled up to a given length by sleeping, as on a GPU that leaves the processor free. In turn, the step should take the
sum of both; asked ahead, the longer of the two. See README.md beside this file.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

from lightning import Trainer, seed_everything
from torch import Tensor

from ialp.data import BuiltinLog
from ialp.datamodules import OracleDataModule
from ialp.nets import NetConfig
from ialp.oracle import LexicalOracle, OracleConfig, Questions
from ialp.phases import IALPPretrain, PrefetchPretrain

SETTINGS = {"logger": False, "enable_checkpointing": False, "enable_progress_bar": False, "accelerator": "cpu"}


class SlowJudge(LexicalOracle):
    """Takes `seconds` for the questions of a step, without work for the processor."""

    def __init__(self, seconds: float):
        super().__init__()
        self.seconds = seconds

    def log_probabilities(self, questions: Questions) -> Tensor:
        """(B, K + 1), late."""
        time.sleep(self.seconds)
        return super().log_probabilities(questions)


class Timed(IALPPretrain):
    """Updates of at least `seconds`; the times at which steps end."""

    def __init__(self, seconds: float, **arguments: Any):
        super().__init__(**arguments)
        self.seconds, self.begun = seconds, 0.0
        self.ends: list[float] = []
        self.updates: list[float] = []

    def on_train_batch_start(self, *_: Any) -> None:
        """The update begins."""
        self.begun = time.perf_counter()

    def on_train_batch_end(self, *arguments: Any) -> None:
        """Fill the update up."""
        super().on_train_batch_end(*arguments)
        time.sleep(max(0.0, self.begun + self.seconds - time.perf_counter()))
        self.ends.append(time.perf_counter())
        self.updates.append(self.ends[-1] - self.begun)

    @property
    def per_step(self) -> float:
        """Seconds from step to step, the first one left out."""
        return (self.ends[-1] - self.ends[0]) / (len(self.ends) - 1)


class TimedAhead(Timed, PrefetchPretrain):
    """The same, asked ahead."""


def run(judge: float, update: float, steps: int, kind: type[Timed]) -> Timed:
    """Pre-train for so many steps."""
    seed_everything(0, verbose=False)
    module = kind(update, net=NetConfig(dim=16))
    with tempfile.TemporaryDirectory() as folder:
        oracle = OracleConfig(SlowJudge(judge), cache=str(Path(folder) / "cache.sqlite"))
        sizes: dict[str, Any] = {"users": 50, "steps_per_epoch": steps, "batch_size": 64}
        data = OracleDataModule(BuiltinLog(num_tracks=200), oracle, **sizes)
        Trainer(default_root_dir=folder, max_epochs=1, enable_model_summary=False, **SETTINGS).fit(module, data)
    return module


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--judge", type=float, nargs="+", default=[0.1, 0.3, 0.6], help="seconds of a step's questions")
    parser.add_argument("--update", type=float, default=0.3, help="seconds of a step's updates, at least")
    parser.add_argument("--steps", type=int, default=15, help="steps of each run (default: 15)")
    arguments = parser.parse_args()

    print("| judge | update | sum | longer | in turn | ahead | ahead / in turn | longer / sum |")
    print("|---|---|---|---|---|---|---|---|")
    for judge in arguments.judge:
        plain, ahead = (run(judge, arguments.update, arguments.steps, kind) for kind in (Timed, TimedAhead))
        update = sum(plain.updates[1:]) / (arguments.steps - 1)
        both, longer = judge + update, max(judge, update)
        figures = [judge, update, both, longer, plain.per_step, ahead.per_step]
        shares = [ahead.per_step / plain.per_step, longer / both]
        print("| " + " | ".join([*(f"{value:.3f}" for value in figures), *(f"{value:.2f}" for value in shares)]) + " |")


if __name__ == "__main__":
    main()
