"""A judge from its configuration."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ialp.errors import UserError, user_error_beneath
from ialp.oracle.backends.base import JudgeBackend


def load_judge(judge: JudgeBackend | Mapping[str, Any] | None, adapter: str | Path | None = None) -> JudgeBackend:
    """The judge, as an instance or as class_path and init_args, with what OracleTuning left in the folder `adapter`.

    Raises:
        UserError: No such judge, or arguments that it does not take.
    """
    check_judge(judge)
    if judge is None:
        raise UserError("no judge is named: set `judge`, for example {class_path: ialp.oracle.LexicalOracle}")
    backend = judge if isinstance(judge, JudgeBackend) else instantiate(judge)
    return backend if adapter is None else backend.tuned(adapter)


def check_judge(judge: Any) -> None:
    """Refuse what describes no judge, before anything is built for it.

    Raises:
        UserError: Neither null nor an instance nor class_path and init_args: a part was set of what another key holds.
    """
    if judge is not None and not isinstance(judge, JudgeBackend | Mapping):
        raise UserError(
            f"judge is {judge!r}, not class_path and init_args: on the command line --judge.init_args.KEY VALUE "
            "changes that of all stages; for one stage give the whole: {class_path: CLASS, init_args: {KEY: VALUE}}"
        )


def instantiate(judge: Mapping[str, Any]) -> JudgeBackend:
    """The instance that class_path and init_args describe, checked against the constructor's types."""
    from jsonargparse import ArgumentError, ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(JudgeBackend, "judge")
    try:
        config = parser.parse_object({"judge": dict(judge)})
    except ArgumentError as error:
        raise UserError(f"judge: {' '.join(str(error).split())}") from error
    try:
        return parser.instantiate_classes(config).judge
    except ValueError as error:  # the parser's own, around what the constructor said
        raise user_error_beneath(error) or error from None
