"""What a run says besides its figures: the first line, and warnings, each once."""

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import MemoryHandler

from ialp.experiment.building import CHILD
from ialp.experiment.processes import rank
from ialp.experiment.stages import Stage

LOUD = ("lightning", "lightning.pytorch", "lightning.fabric")
LAUNCHER = "lightning.fabric.strategies.launchers.subprocess_script"
"""Says nothing but that a process of the run has died, before it kills the others."""

KNOWN = (
    r".*does not have many workers",  # rollouts run in the training process, on purpose
    r".*LeafSpec",  # between Lightning and torch
    r".*exists and is not empty",  # a run's folder holds its config before anything else
    r".*number of training batches",  # fewer batches than logging steps
    r".*`IterableDataset` has `__len__` defined",  # which keeps Lightning from fetching a batch ahead
    r".*is_gradient_checkpointing",  # between PEFT and transformers
    r".*configure_optimizers` returned `None`",  # a judge that learns nothing
    r".*your dataloader is not resumable",  # ours is, and of others the epoch's batches are passed over
    r".*The dirpath has changed",  # the same folder, once absolute and once relative
)


def quiet() -> None:
    """Leave out what Lightning says in every run; say our own warnings in one line each."""
    for name in LOUD:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger(LAUNCHER).setLevel(logging.INFO)
    for pattern in KNOWN:
        warnings.filterwarnings("ignore", pattern)
    logger = logging.getLogger("ialp")
    if not any(isinstance(handler, Warnings) for handler in logger.handlers):
        logger.addHandler(Warnings())
        logger.propagate = False


class Warnings(logging.StreamHandler):
    """Prints each message once. That no data root is set, the first line of a run has said."""

    def __init__(self) -> None:
        super().__init__()
        self.said: set[str] = set()
        self.setFormatter(logging.Formatter("ialp: %(levelname)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        """Print what is new, in the first process of a run."""
        text = record.getMessage()
        if rank() == 0 and text not in self.said and not text.startswith("no data root is set"):
            self.said.add(text)
            super().emit(record)


@contextmanager
def held_back() -> Iterator[None]:
    """Warnings wait until the end of the block, after the line that it prints; a stage's process leaves them out."""
    logger = logging.getLogger("ialp")
    before, memory = logger.handlers, MemoryHandler(10_000, flushLevel=logging.CRITICAL + 1)
    logger.handlers = [memory]
    try:
        yield
    finally:
        logger.handlers = before
        for record in memory.buffer if CHILD not in os.environ else ():
            logger.handle(record)


def data_line(stage: Stage) -> str:
    """Which data the run works on."""
    log = stage.log
    if log is None:
        return "data: none"
    sessions = len(log.train) + len(log.test)
    size = f"({log.catalogue.num_items:,} {log.words.item}s, {sessions:,} sessions)"
    described = stage.config["data"]["init_args"]["log"].get("init_args") or {}
    if not log.is_builtin:
        return f"data: {log.name} from {described.get('root') or 'its source'} {size}"
    fallen_back = ", since neither IALP_DATA nor --data_root is set" if "root" in described else ""
    return f"data: built-in catalogue {size}{fallen_back}"
