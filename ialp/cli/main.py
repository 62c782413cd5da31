"""The command line. Nothing heavy is imported before the verb is known, so that `ialp --help` answers at once."""

import errno
import os
import sys
from collections.abc import Callable, Sequence
from difflib import get_close_matches
from traceback import extract_tb
from typing import Any

from ialp import __version__
from ialp.errors import UserError
from ialp.experiment.processes import complain, end_with_parent, lost_a_peer

TRAINER_VERBS = {
    "fit": "run the stage that a config describes, and first whatever it builds on",
    "validate": "evaluate a run's checkpoint on its validation data",
    "test": "evaluate a run's checkpoint on its test data",
    "predict": "predict with a run's checkpoint",
}
OTHER_VERBS = {
    "grid": "run configs over seeds and settings, several at once, and go on where it stopped",
    "data": "prepare or check a log: ialp data prepare READER, ialp data check PATH",
    "evaluate": "play a finished policy in any world, episode by episode",
    "recommend": "what a finished policy would show next, after a history of item ids",
    "export": "a finished policy as one file for torch.export or ONNX, checked",
    "oracle": "show, exchange or prune the judgements that are kept",
    "world": "describe simulated users: references, exits, calibration",
    "runs": "list, compare or remove runs",
    "report": "the paper's tables and figures from finished runs, and what is missing",
    "init": "lay down configs, a callback to copy and a data folder",
}
INTERRUPTED = 130
NO_SPACE = (errno.ENOSPC, errno.EDQUOT)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0, 2 for what the user can mend, 130 for Ctrl-C."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        return run(arguments)
    except UserError as error:
        if os.environ.get("IALP_DEBUG"):
            raise
        complain(str(error))
        return 2
    except KeyboardInterrupt:
        if "IALP_STAGE" not in os.environ:  # the run that builds this stage says so
            print("ialp: interrupted; nothing half-finished is marked done", file=sys.stderr)
        return INTERRUPTED
    except Exception as error:
        if os.environ.get("IALP_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno in NO_SPACE:
            print(
                f"ialp: error: no space left on the disk of {error.filename or os.getcwd()}: make room and call again;"
                " a run goes on from its last checkpoint",
                file=sys.stderr,
            )
            return 2
        place = extract_tb(error.__traceback__)[-1]
        where = f"{place.filename}:{place.lineno}; IALP_DEBUG=1 shows the way there"
        lost = "another process of this run has ended before its time"
        complain(lost if lost_a_peer(error) else f"{type(error).__name__}: {error} ({where})")
        return 1
    except SystemExit as end:  # argument parsers and stages that failed have said why
        return end.code if isinstance(end.code, int) else int(end.code is not None)


def run(arguments: list[str]) -> int:
    """Dispatch on the verb."""
    if "" not in sys.path:
        sys.path.insert(0, "")  # callbacks/ of the working directory
    if not arguments or arguments[0] in ("-h", "--help", "help"):
        print(help_text())
        return 0
    verb, *rest = arguments
    if verb == "--version":
        print(f"ialp {__version__}")
        return 0
    if verb in TRAINER_VERBS:
        end_with_parent()
        from ialp.experiment.training import run_trainer_verb

        return run_trainer_verb(verb, rest)
    if verb == "grid":
        from ialp.cli.grid import run_grid_verb

        return run_grid_verb(rest)
    if verb == "runs":
        from ialp.cli.runs import run_runs_verb

        return run_runs_verb(rest)
    if verb == "world":
        from ialp.diagnostics.world import run_world_verb

        return run_world_verb(rest)
    if verb == "oracle":
        from ialp.cli.oracle import run_oracle_verb

        return run_oracle_verb(rest)
    if verb == "report":
        from ialp.cli.report import run_report_verb

        return run_report_verb(rest)
    if verb == "recommend":
        from ialp.serving.recommend import run_recommend_verb

        return run_recommend_verb(rest)
    if verb == "export":
        from ialp.serving.export import run_export_verb

        return run_export_verb(rest)
    if verb == "data":
        from ialp.cli.data import run_data_verb

        return run_data_verb(rest)
    if verb in OTHER_VERBS:
        return run_function(verb, rest)
    near = get_close_matches(verb, [*TRAINER_VERBS, *OTHER_VERBS], n=1)
    raise UserError(f'no verb "{verb}"' + (f"; did you mean {near[0]}?" if near else ": see ialp --help"))


def run_function(verb: str, arguments: list[str]) -> int:
    """A verb that is a plain function: its signature is its command line."""
    from argparse import ArgumentError

    from jsonargparse import auto_cli

    try:
        auto_cli(function_of(verb), args=arguments, prog=f"ialp {verb}", exit_on_error=False)  # type: ignore[arg-type]
    except ArgumentError as error:
        raise UserError(f"{' '.join(str(error).split())}; see ialp {verb} --help") from None
    return 0


def function_of(verb: str) -> Callable[..., Any]:
    """What a verb calls."""
    if verb == "evaluate":
        from ialp.experiment.evaluate import evaluate

        return evaluate
    from ialp.cli.init import init

    return init


def help_text() -> str:
    """All verbs on one screen."""
    lines = [f"  ialp {verb:9} {text}" for verb, text in (TRAINER_VERBS | OTHER_VERBS).items()]
    return "\n".join(
        [
            "usage: ialp VERB [options]",
            "",
            "Recommendation policies that start good, on a language model's preferences, and get better from feedback.",
            "",
            *lines,
            "",
            "  ialp fit --config configs/lfm_policyset.yaml          the main job",
            "  ialp fit --help                                       every key of a config",
            "  ialp fit --model.help OnlineAdapt                     the arguments of a class",
            "  ialp VERB --help, ialp --version",
        ]
    )
