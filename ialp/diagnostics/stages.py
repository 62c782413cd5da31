"""The stage that a description is of: built from a config, or found in a folder."""

from pathlib import Path

from ialp.classes import find_class
from ialp.errors import UserError
from ialp.experiment.building import build, build_missing
from ialp.experiment.planning import Planner
from ialp.runs.data import RunData


def built_stage(arguments: list[str], key: str, kind: type, refusal: str) -> RunData:
    """The stage of a LightningModule class that `ialp fit` with these arguments makes or builds on, built if missing.

    Args:
        arguments: Of `ialp fit`.
        key: Of the stage in a config that is built on it, such as "reward_model".
        kind: The stage's class.
        refusal: The rest of the message where the config has nothing to do with such a stage.

    Raises:
        UserError: The config cannot be used, or has nothing to do with such a stage.
    """
    asked = Planner.make().plan(arguments)
    stage = asked.upstream.get(key, asked)
    if stage.config and not issubclass(find_class(stage.config["model"]["class_path"]), kind):
        raise UserError(f"{stage.name}: {refusal}")
    build_missing(stage, asked.config["missing"])
    if not stage.finished:
        build(stage)
    return RunData(stage.folder)


def finished_run(run: str) -> RunData:
    """The finished run in a folder.

    Raises:
        UserError: There is none.
    """
    if not (Path(run) / "done.json").is_file():
        raise UserError(f"{run}: no finished run (it has no done.json); `ialp runs list` shows what there is")
    return RunData(Path(run))
