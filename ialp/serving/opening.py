"""FinishedRun: the policy and the log of a finished run, opened to recommend from or export."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ialp.data import Log
from ialp.errors import UserError
from ialp.rl.schemes import load_policy
from ialp.rl.schemes.saved import SavedPolicy
from ialp.runs.data import RunData
from ialp.runs.folder import DONE, read_done
from ialp.runs.open import data_at, load_log

CKPT_HELP = "folder of a finished pretrain or online run; its last checkpoint, …/checkpoints/last.ckpt, means the same"


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run recommends with.

    Attributes:
        folder: The run's folder.
        policy: Its final policy, in eval mode.
        log: Items, texts and users.
        done: Its done.json; empty for a run made in Python.
    """

    folder: Path
    policy: SavedPolicy
    log: Log
    done: dict[str, Any] = field(default_factory=dict)

    @property
    def num_users(self) -> int:
        """U, users known by features, with whom a history begins; 0 where there are none."""
        return len(self.log.user_features)


def open_finished(ckpt: str | Path, data_root: str | None = None, log: Log | None = None) -> FinishedRun:
    """Opens a finished run.

    Args:
        ckpt: The run's folder, or its last checkpoint.
        data_root: Where the data lies, if not where the run's config.yaml says.
        log: The log of a run made in Python, without config.yaml and done.json: `ckpt` is then the trainer's
            `default_root_dir`.

    Raises:
        UserError: No finished run there, no policy in it, a checkpoint of another moment, or data of another catalogue.
    """
    if log is not None:
        return FinishedRun(Path(ckpt), load_policy(ckpt, log.catalogue.fingerprint).eval(), log)
    folder = run_folder(Path(ckpt))
    done = read_done(folder)
    if done is None:
        raise UserError(f"{folder}: not finished (it has no {DONE}); `ialp fit --config {folder}/config.yaml` goes on")
    log = load_log({"data": data_at(RunData(folder).config, data_root, folder)})
    if log is None:
        raise UserError(f"{folder}/config.yaml: names no data.init_args.log; name a pretrain or online run")
    policy = load_policy(folder, log.catalogue.fingerprint).eval()
    if Path(ckpt).is_file():
        check_final(Path(ckpt), folder, policy)
    return FinishedRun(folder, policy, log, done)


def run_folder(path: Path) -> Path:
    """The run of a path: a run's folder, or a file in it or in one of its folders.

    Raises:
        UserError: There is no run.
    """
    if not path.exists():
        raise UserError(f"{path}: no such run folder or checkpoint; `ialp runs list` shows the runs")
    above = path.absolute().parent
    for place in [path] if path.is_dir() else [above, above.parent]:
        if (place / "config.yaml").is_file():
            return place
    hint = f"name the run's: {above}" if (above / "config.yaml").is_file() else "`ialp runs list` shows the runs"
    raise UserError(f"{path}: no run folder (it has no config.yaml); {hint}")


def check_final(path: Path, run: Path, policy: SavedPolicy) -> None:
    """Checks that a checkpoint holds the final policy of its run.

    Raises:
        UserError: It does not, or is no checkpoint.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception:
        raise UserError(f"{path}: no checkpoint that can be read; name the run's folder: --ckpt {run}") from None
    for name, value in policy.learner.state_dict().items():
        held = weights.get(f"scheme.learner.{name}")
        if held is None or not torch.equal(held, value):
            raise UserError(f"{path}: not the run's final policy, the only one that is served: --ckpt {run}")
