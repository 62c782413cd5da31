import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ialp.experiment.signals import StopRequest, Terminated


@pytest.fixture
def stop():
    request = StopRequest(patience=0.2)
    request.listen()
    yield request
    request.ignore()


def test_stop_request_notes_the_first_signal(stop: StopRequest) -> None:
    stop.patience = 60
    os.kill(os.getpid(), signal.SIGTERM)
    assert stop.number == signal.SIGTERM
    with pytest.raises(Terminated) as end:
        stop.raise_()
    assert end.value.code == 143


def test_stop_request_ends_the_run_at_a_second_signal(stop: StopRequest) -> None:
    stop.patience = 60
    os.kill(os.getpid(), signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        os.kill(os.getpid(), signal.SIGINT)


def test_stop_request_ends_the_run_after_its_patience(stop: StopRequest) -> None:
    with pytest.raises(Terminated):
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)


def test_stop_request_gives_the_signals_back() -> None:
    before = signal.getsignal(signal.SIGTERM)
    request = StopRequest()
    request.listen()
    assert signal.getsignal(signal.SIGTERM) != before
    request.ignore()
    assert signal.getsignal(signal.SIGTERM) == before


def test_stop_request_knows_an_orphan() -> None:
    """A parent starts a child that looks twice, and dies in between."""
    child = (
        "import sys, time; from ialp.experiment.signals import StopRequest; s = StopRequest(); "
        "print(s.orphaned(), flush=True); time.sleep(1); print(s.orphaned(), flush=True)"
    )
    parent = f"import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', {child!r}]); time.sleep(0.7)"
    said = subprocess.run(
        [sys.executable, "-c", parent], capture_output=True, text=True, timeout=60, cwd=Path(__file__).parents[2]
    )
    assert said.stdout.split() in (["False", "True"], ["False", "False"], ["True", "True"])
