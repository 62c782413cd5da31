"""Building what is missing: each stage in a process of its own, one process per run folder."""

import os
import re
import signal
import subprocess
import sys
import time

from ialp.errors import UserError
from ialp.experiment.processes import CHILD, rank
from ialp.experiment.signals import TERMINATED, Terminated, sigterm_as_exit
from ialp.experiment.stages import Stage

# Variables by which torchrun and SLURM would make a stage's process believe that it is one of many.
LAUNCHER = re.compile(
    r"(GROUP_|ROLE_|LOCAL_|NODE_)?RANK$|(GROUP_|ROLE_|LOCAL_)?WORLD_SIZE$|MASTER_|SLURM_|TORCHELASTIC_"
)


class StageFailed(SystemExit):
    """A stage's process has printed what is wrong; this run ends with the same exit code."""


def build_missing(stage: Stage, missing: str) -> None:
    """Build what the run needs, and print which stage of how many is at work.

    Raises:
        UserError: Something is missing and `missing` is "fail".
        StageFailed: A stage's process ended with an error.
    """
    check_missing(stage, missing)
    stages = stage.lineage()
    for number, each in enumerate(stages, 1):
        line = f"stage {number} of {len(stages)}: {each.name}"
        if each.finished:
            announce(f"{line} (reused {each.folder})")
            continue
        announce(f"{line} -> {each.folder}")
        if each is not stage:
            build(each) if rank() == 0 else wait_for(each)


def check_missing(stage: Stage, missing: str) -> None:
    """Refuse a run that needs what is not there, if `missing` is "fail"."""
    absent = [each.name for each in stage.lineage()[:-1] if not each.finished]
    if absent and missing == "fail":
        raise UserError(f"missing stages: {', '.join(absent)}; without --missing fail they are built first")


def announce(line: str) -> None:
    """Print for the user who called, once."""
    if rank() == 0 and CHILD not in os.environ:
        print(line, flush=True)


def build(stage: Stage) -> None:
    """Run a stage in a process of its own, which ends with this one.

    Raises:
        StageFailed: It ended with an error, or without its done.json.
    """
    command = [sys.executable, "-m", "ialp", "fit", *stage.arguments]
    process = subprocess.Popen(command, env=child_environment(stage))
    try:
        with sigterm_as_exit():
            while (code := process.poll()) is None:
                time.sleep(0.1)  # not wait(): where another thread takes the signal, it would go on waiting
    except BaseException:
        stop(process)
        raise
    if code == 130:
        raise KeyboardInterrupt
    if code == TERMINATED:
        raise Terminated
    if code or not stage.finished:
        if code != 2:  # with 2 the stage has said in one line what to mend
            print(f"ialp: error: stage {stage.name} ended with exit code {code}", file=sys.stderr)
        raise StageFailed(code or 1)


def wait_for(stage: Stage) -> None:
    """Ranks other than the first poll: a barrier would run into the process group's timeout."""
    while not stage.finished:
        time.sleep(1)


def stop(process: subprocess.Popen[bytes], patience: float = 20.0) -> None:
    """Ask a stage's process to end, which a terminal's Ctrl-C has done already, and insist after `patience` seconds."""
    process.send_signal(signal.SIGINT)
    try:
        process.wait(patience)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def child_environment(stage: Stage) -> dict[str, str]:
    """The environment without the launcher's variables."""
    return {key: value for key, value in os.environ.items() if not LAUNCHER.match(key)} | {CHILD: stage.name}
