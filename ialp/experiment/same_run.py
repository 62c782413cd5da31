"""Several processes of one run must mean the same run."""

from collections.abc import Mapping
from typing import Any

from lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from ialp.distributed import check_share
from ialp.errors import UserError
from ialp.experiment.processes import launched
from ialp.experiment.stages import Stage


class SameRun(Callback):
    """Ends a run with a `UserError` if its processes have planned different ones, before anything is trained.

    Args:
        stage: what this process has planned.
    """

    def __init__(self, stage: Stage) -> None:
        self.stage = stage

    @override
    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        first = trainer.strategy.broadcast(self.stage.fingerprint)
        if first != self.stage.fingerprint:
            raise UserError(
                f"{self.stage.folder} is the run here, another one ({first[:8]}) that of the first process: "
                "data, configs and upstream runs must be the same for all processes"
            )


def check_shares(data: Any, trainer: Mapping[str, Any]) -> None:
    """Whether the processes that a trainer's config asks for can share what a DataModule counts over all of them.

    Raises:
        UserError: They cannot.
    """
    devices = trainer["devices"]
    known = len(devices) if isinstance(devices, list) else int(devices) if str(devices).isdigit() else 1  # 1: "auto"
    for name in getattr(data, "shared", ()):
        check_share(known * int(trainer["num_nodes"]), getattr(data, name), name)


def check_processes(trainer: Trainer) -> None:
    """Whether a launcher has started as many processes as the trainer counts.

    Raises:
        UserError: It has not: each process would train alone, all in one folder.
    """
    if (started := launched()) not in (1, trainer.world_size):
        raise UserError(
            f"{started} processes were started, and the trainer has {trainer.world_size}: give --trainer.strategy ddp, "
            "--trainer.devices with the processes of a node, and --trainer.num_nodes"
        )
