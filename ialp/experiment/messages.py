"""What a run prints besides its figures: which data it works on, and warnings, each once."""

import logging
import warnings

from ialp.experiment.processes import rank
from ialp.experiment.stages import Stage

KNOWN = (
    r".*does not have many workers",  # rollouts run in the training process, on purpose
    r".*LeafSpec",  # between Lightning and torch
    r".*exists and is not empty",  # a run's folder holds its config before anything else
    r".*number of training batches",  # fewer batches than logging steps
    r".*`IterableDataset` has `__len__` defined",  # which keeps Lightning from fetching a batch ahead
    r".*is_gradient_checkpointing",  # between PEFT and transformers
    r".*configure_optimizers` returned `None`",  # a judge that learns nothing
    r".*your dataloader is not resumable",  # ours is, by other methods
    r".*The dirpath has changed",  # the same folder, once absolute and once relative
)


def quiet() -> None:
    """Leave out what Lightning says in every run; print our own warnings in one line each."""
    for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # This one only says that a process of the run has died, before it kills the others.
    logging.getLogger("lightning.fabric.strategies.launchers.subprocess_script").setLevel(logging.INFO)
    for pattern in KNOWN:
        warnings.filterwarnings("ignore", pattern)
    logger = logging.getLogger("ialp")
    if logger.propagate:
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("ialp: %(levelname)s: %(message)s"))
        handler.addFilter(Once())
        logger.addHandler(handler)
        logger.propagate = False


class Once(logging.Filter):
    """Passes each message once, in the first process of a run."""

    def __init__(self) -> None:
        super().__init__()
        self.passed: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether a message is new; that no data root is set, the first line of a run says."""
        text = record.getMessage()
        new = rank() == 0 and text not in self.passed and not text.startswith("no data root is set")
        self.passed.add(text)
        return new


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
