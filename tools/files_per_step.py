"""Counts the files whose code runs in one step of each algorithm: acting, storing and updating.

python -m tools.files_per_step

Prints, for Algorithm 1 with `LocalLM` and Algorithm 2 with A2C and `PolicySet`, the files of `ialp/` in the order in
which their functions are first called between two minibatches, evaluation and start-up left out.
"""

import sys
import tempfile
from pathlib import Path
from types import FrameType
from typing import Any

from lightning import LightningDataModule, LightningModule, Trainer, seed_everything

from ialp.data import BuiltinLog
from ialp.datamodules import OracleDataModule, ReplayDataModule, SessionDataModule
from ialp.oracle import LocalLM, OracleConfig
from ialp.phases import IALPPretrain, OnlineAdapt, RewardModel
from ialp.rl.schemes import PolicySet

QUIET: dict[str, Any] = {"max_epochs": 1, "logger": False, "enable_progress_bar": False, "enable_model_summary": False}
QUIET |= {"num_sanity_val_steps": 0, "limit_val_batches": 0, "accelerator": "cpu"}
ROOT = Path(__file__).parents[1]


class Trace:
    """Files of `ialp/` whose functions are called while it is on."""

    def __init__(self) -> None:
        self.files: list[str] = []

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        """A profile function of `sys.setprofile`."""
        path = Path(frame.f_code.co_filename)
        if event == "call" and (ROOT / "ialp") in path.parents:
            name = str(path.relative_to(ROOT))
            if name not in self.files:
                self.files.append(name)


def traced(module: LightningModule, data: LightningDataModule, folder: Path) -> list[str]:
    """Files that run in the second step of a training."""
    trace, collect = Trace(), module.collect
    steps = 0

    def begin() -> None:
        nonlocal steps
        steps += 1
        sys.setprofile(trace if steps == 2 else None)
        collect()

    module.collect = begin  # type: ignore[assignment]
    Trainer(default_root_dir=folder, **QUIET).fit(module, data)
    sys.setprofile(None)
    return trace.files


def main() -> None:
    """Print both lists."""
    folder = Path(tempfile.mkdtemp())
    seed_everything(0, verbose=False)
    log, small = BuiltinLog(num_tracks=60, num_sessions=80), {"users": 4, "steps_per_epoch": 3, "batch_size": 8}
    oracle = OracleConfig(LocalLM(), cache=str(folder / "judgements.sqlite"))
    Trainer(default_root_dir=folder / "w", **QUIET | {"limit_val_batches": 1}).fit(
        RewardModel(), SessionDataModule(log)
    )
    first = traced(IALPPretrain(), OracleDataModule(log, oracle, **small), folder / "p")
    adapt = OnlineAdapt(PolicySet(), pretrained=str(folder / "p"))
    second = traced(adapt, ReplayDataModule(log, str(folder / "w"), test_users=4, **small), folder / "o")
    for title, files in (("Algorithm 1 with LocalLM", first), ("Algorithm 2 with A2C and PolicySet", second)):
        print(f"{title}: {len(files)} files", *files, sep="\n  ")


if __name__ == "__main__":
    main()
