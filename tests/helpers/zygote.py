"""Runs `ialp` again and again, each time in a fork of this process, which has imported everything; some it kills.

Reads one JSON object per line: {"arguments": […], "kill": {"how": …, "at": …} or null}; answers with the exit code.
"""

import json
import os
import signal
import sys
import threading
from typing import Any

from ialp.cli.main import main
from ialp.experiment import checkpoint_file
from ialp.experiment.resume import ResumeCheckpoint
from ialp.rl.replay import ReplayBuffer


def die(*_: Any) -> None:
    """As by `kill -9`."""
    os.kill(os.getpid(), signal.SIGKILL)


def at_call(owner: Any, name: str, number: int, last_act: Any = die) -> None:
    """Die at the `number`th call of a function, before it does anything."""
    original, calls = getattr(owner, name), [0]

    def counted(*arguments: Any, **named: Any) -> Any:
        calls[0] += 1
        if calls[0] == number:
            last_act(*arguments)
            die()
        return original(*arguments, **named)

    setattr(owner, name, counted)


def plan(how: str, at: float) -> None:
    """Arrange this process's death."""
    if how == "seconds of training":
        original = ResumeCheckpoint.on_train_start

        def start(self: ResumeCheckpoint, *arguments: Any) -> None:
            threading.Timer(at, die).start()
            original(self, *arguments)

        ResumeCheckpoint.on_train_start = start  # type: ignore[method-assign]
    elif how == "seconds":
        threading.Timer(at, die).start()
    elif how == "rollout":
        at_call(ReplayBuffer, "add", int(at))
    elif how == "checkpoint":
        at_call(checkpoint_file.torch, "save", int(at), lambda checkpoint, file: os.write(file.fileno(), b"PK" * 99))
    elif how == "after training":
        at_call(ResumeCheckpoint, "on_fit_end", 1)
    else:
        raise ValueError(how)


def serve() -> None:
    """Fork for every line."""
    for line in sys.stdin:
        order = json.loads(line)
        child = os.fork()
        if child == 0:
            os.setsid()
            log = os.open("log.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.dup2(log, 1)
            os.dup2(log, 2)
            if order["kill"]:
                plan(**order["kill"])
            code = main(order["arguments"])
            sys.stdout.flush()
            os._exit(code)
        _, status = os.waitpid(child, 0)
        print(json.dumps(os.waitstatus_to_exitcode(status)), flush=True)


if __name__ == "__main__":
    serve()
