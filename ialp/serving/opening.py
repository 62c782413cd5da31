"""FinishedRun: the policy and the log of a finished run, opened to recommend from or export."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ialp.data import Log
from ialp.errors import UserError
from ialp.rl.schemes import load_policy
from ialp.rl.schemes.saved import SavedPolicy
from ialp.runs.data import RunData
from ialp.runs.folder import DONE, read_done
from ialp.runs.open import data_at, load_log


@dataclass(frozen=True)
class FinishedRun:
    """What a finished run recommends with: its final policy in eval mode, and the log of its items and users."""

    folder: Path
    policy: SavedPolicy
    log: Log
    done: dict[str, Any]

    @property
    def num_users(self) -> int:
        """U, users known by features, with whom a history begins; 0 where there are none."""
        return len(self.log.user_features)


def open_finished(ckpt: str | Path, data_root: str | None = None) -> FinishedRun:
    """Opens the finished run in a folder, with its data at `data_root`, if not where its config.yaml says.

    Raises:
        UserError: No finished run there, no policy in it, or data of another catalogue.
    """
    folder = Path(ckpt)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{folder}: no run folder (it has no config.yaml); `ialp runs list` shows the runs")
    done = read_done(folder)
    if done is None:
        raise UserError(f"{folder}: not finished (it has no {DONE}); `ialp fit --config {folder}/config.yaml` goes on")
    log = load_log({"data": data_at(RunData(folder).config, data_root, folder)})
    if log is None:
        raise UserError(f"{folder}/config.yaml: names no data.init_args.log; name a pretrain or online run")
    return FinishedRun(folder, load_policy(folder, log.catalogue.fingerprint).eval(), log, done)
