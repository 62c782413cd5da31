import logging
import signal
import warnings
from collections.abc import Iterator

import pytest
import torch

pytest_plugins = ["tests.helpers.finished_runs", "tests.helpers.response_nets", "tests.helpers.toy_project"]

LAUNCHER = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "SLURM_PROCID", "IALP_STAGE", "IALP_DEBUG")


@pytest.fixture(autouse=True)
def as_a_user_would_find_it(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One thread, no launcher, Ctrl-C heard, and loggers as they were: a command of ours sets up its own."""
    torch.set_num_threads(1)
    # Ignored where the tests run in the background; Lightning ignores it after the first one.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in LAUNCHER:
        monkeypatch.delenv(name, raising=False)
    logger = logging.getLogger("ialp")
    handlers, propagate = logger.handlers[:], logger.propagate
    with warnings.catch_warnings():
        yield
    logger.handlers, logger.propagate = handlers, propagate
