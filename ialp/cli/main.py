"""The command line. Each command's module is imported when it is called, so that `ialp --help` answers at once."""

import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module
from traceback import extract_tb

from ialp import __version__
from ialp.classes import near
from ialp.errors import UserError
from ialp.experiment.processes import complain, lost_a_peer

COMMANDS = {
    "fit": "run the stage that a config describes, and first whatever it builds on",
    "validate": "Lightning's validate, of a finished run",
    "test": "Lightning's test, of a finished run",
    "grid": "run configs over seeds and settings, several at once, and go on where it stopped",
    "data": "prepare or check a log: ialp data prepare READER, ialp data check READER|PATH",
    "evaluate": "play a finished policy in any world, episode by episode",
    "recommend": "what a finished policy would show next, after a history of item ids",
    "export": "a finished policy as one file for torch.export or ONNX, checked",
    "oracle": "count or prune the judgements that are kept",
    "world": "describe simulated users: references, exits, calibration",
    "runs": "list, compare or remove runs",
    "report": "the paper's tables and figures from finished runs, and what is missing",
    "init": "lay down configs and callbacks to copy",
}
"""Name -> a line of help. `run` of the module of that name, beside this one, takes the arguments."""
INTERRUPTED = 130
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for what the user can mend, 130 for Ctrl-C."""
    try:
        return run(list(sys.argv[1:] if argv is None else argv))
    except KeyboardInterrupt:
        if "IALP_STAGE" not in os.environ:  # the run that builds this stage says so
            print("ialp: interrupted; nothing half-finished is marked done", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("IALP_DEBUG"):
            raise
        return explain(error)
    except SystemExit as end:  # argument parsers and stages that failed have printed why
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def run(arguments: list[str]) -> int:
    """Call what a command names.

    Raises:
        UserError: There is no such command.
    """
    if "" not in sys.path:
        sys.path.insert(0, "")  # callbacks/ of the working directory
    command, *rest = arguments or ["--help"]
    if command in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if command == "--version":
        print(f"ialp {__version__}")
        return 0
    if command in COMMANDS:
        return import_module(f"ialp.cli.{command}").run(rest)
    hint = near(command, [*COMMANDS]) or ": see ialp --help"
    raise UserError(f'no command "{command}"{hint}')


def explain(error: Exception) -> int:
    """Say in one line what is wrong, and return the exit code."""
    if isinstance(error, UserError):
        complain(str(error))
        return 2
    if isinstance(error, OSError) and error.errno in NO_SPACE:
        disk = error.filename or os.getcwd()
        complain(f"no space left on the disk of {disk}: make room; the same command goes on from the last checkpoint")
        return 2
    place = extract_tb(error.__traceback__)[-1]
    where = f"{place.filename}:{place.lineno}; IALP_DEBUG=1 shows the way there"
    lost = "another process of this run has ended before its time"
    complain(lost if lost_a_peer(error) else f"{type(error).__name__}: {error} ({where})")
    return 1


def help_text() -> str:
    """All commands on one screen."""
    lines = "\n".join(f"  ialp {name:9} {text}" for name, text in COMMANDS.items())
    return f"""\
usage: ialp COMMAND [options]

Recommendation policies that start good, on a language model's preferences, and get better from feedback.

{lines}

  ialp fit --config configs/lfm_policyset.yaml          the main job
  ialp fit --help                                       every key of a config
  ialp fit --model.help OnlineAdapt                     the arguments of a class
  ialp COMMAND --help, ialp --version"""
