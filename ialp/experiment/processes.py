"""A run in several processes: which one this is, who speaks for all, and how one ends with the others."""

import os
import re
import sys
import threading
import time

# Set in the process of a stage that another run builds: that run has named the data and counts the stages.
CHILD = "IALP_STAGE"
PATIENCE = 20.0  # seconds that a stage has to save what it has learnt when the run that builds it is gone


def rank() -> int:
    """This process's rank, 0 without a launcher."""
    own = int(next((os.environ[key] for key in ("RANK", "LOCAL_RANK", "SLURM_PROCID") if key in os.environ), 0))
    if "RANK" in os.environ or own:
        return own
    return int(os.environ.get("NODE_RANK", 0))  # the first process of another node is not the first of all


def launched() -> int:
    """How many processes the launcher has started for this run, as far as it tells; 1 without one."""
    return int(os.environ.get("WORLD_SIZE") or os.environ.get("SLURM_STEP_NUM_TASKS") or 1)


def complain(text: str) -> None:
    """Print an error, with the process's number unless it is the first."""
    process = f"process {rank()}: " if rank() else ""
    print(f"ialp: error: {process}{text}", file=sys.stderr, flush=True)


def lost_a_peer(error: BaseException) -> bool:
    """Whether an error means no more than that another process of the run is gone."""
    return bool(re.search(r"gloo.*by peer|ncclRemoteError|remote process exited", str(error), re.DOTALL))


def end_with_parent(pause: float = 1.0) -> None:
    """From here on, this process ends within seconds of the one that started it: the first, torchrun, or a run.

    Else a process whose peers were killed may wait for them for half an hour.
    """
    if rank() == 0 and launched() == 1 and CHILD not in os.environ:
        return
    parent, grace = os.getppid(), PATIENCE if CHILD in os.environ else 0.0

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(pause)
        time.sleep(grace)
        os._exit(1)

    threading.Thread(target=watch, name="end-with-parent", daemon=True).start()
