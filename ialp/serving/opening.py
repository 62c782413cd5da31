"""Opens what a finished run recommends with: its policy and its log."""

from dataclasses import dataclass
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
class Finished:
    """A finished run, ready to recommend.

    Attributes:
        folder: Of the run.
        done: Its done.json.
        policy: What it ended with.
        log: Items, texts and users.
    """

    folder: Path
    done: dict[str, Any]
    policy: SavedPolicy
    log: Log

    @property
    def num_users(self) -> int:
        """U, users known by features, with whom a history begins; 0 where there are none."""
        return len(self.log.user_features)


def open_finished(ckpt: str, data_root: str | None = None) -> Finished:
    """The policy and the log of a finished run.

    Args:
        ckpt: Folder of the run, or the checkpoint in it with which it ended.
        data_root: Where the data lies, if not where the run says.

    Raises:
        UserError: No finished run there, no policy in it, a checkpoint of another moment, or data of another catalogue.
    """
    folder = run_folder(Path(ckpt))
    done = read_done(folder)
    if done is None:
        raise UserError(f"{folder}: not finished (it has no {DONE}); `ialp fit --config {folder}/config.yaml` goes on")
    config = RunData(folder).config
    log = load_log({"data": data_at(config, data_root, folder)})
    if log is None:
        raise UserError(f"{folder}/config.yaml: names no data.init_args.log; name a pretrain or online run")
    policy = load_policy(folder, log.catalogue.fingerprint).eval()
    if Path(ckpt).is_file():
        check_end(Path(ckpt), folder, policy)
    return Finished(folder, done, policy, log)


def run_folder(path: Path) -> Path:
    """The run that a path names: a run's folder, or a file in it or in a folder of it.

    Raises:
        UserError: There is no run.
    """
    if not path.exists():
        raise UserError(f"{path}: no such run folder or checkpoint; `ialp runs list` shows the runs")
    places = [path] if path.is_dir() else [path.absolute().parent, path.absolute().parent.parent]
    for place in places:
        if (place / "config.yaml").is_file():
            return place
    above = path.absolute().parent
    hint = f"name the run's: {above}" if (above / "config.yaml").is_file() else "`ialp runs list` shows the runs"
    raise UserError(f"{path}: no run folder (it has no config.yaml); {hint}")


def check_end(path: Path, run: Path, policy: SavedPolicy) -> None:
    """Whether a checkpoint holds the weights with which its run ended.

    Raises:
        UserError: It does not, or is no checkpoint.
    """
    try:
        weights = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    except Exception:
        raise UserError(f"{path}: no checkpoint that can be read; name the run's folder: --ckpt {run}") from None
    ended = policy.learner.state_dict()
    held = {name: weights.get(f"scheme.learner.{name}") for name in ended}
    if any(held[name] is None or not torch.equal(held[name], value) for name, value in ended.items()):
        raise UserError(
            f"{path}: not the policy with which its run ended; only that one is served: --ckpt {run}",
        )
