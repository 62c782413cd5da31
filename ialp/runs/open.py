"""Opens what a finished run describes: its world, its log, its DataModule."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from ialp.data.log import Log, LogSource
from ialp.envs.world import World
from ialp.errors import UserError, user_error_beneath
from ialp.runs.data import RunData
from ialp.runs.folder import DONE, read_done

Kind = TypeVar("Kind")


def open_world(name: str | None, run: str | None = None, runs_dir: str = "runs") -> tuple[World, Log]:
    """The world of a reward run, and the log it was trained on.

    Args:
        name: Of the data; without `run`, the newest finished run of configs/NAME_reward.yaml is meant.
        run: Folder of a finished reward run.
        runs_dir: Where runs are looked for.

    Raises:
        UserError: No such run, or one without a log.
    """
    place = RunData(newest(name, runs_dir) if run is None else Path(run))
    log = load_log(place.config)
    if log is None:
        raise UserError(f"{place.folder}: no run of a reward model; `ialp runs list` shows what there is")
    return World.load(place.folder, log.catalogue.fingerprint), log


def data_at(config: Mapping[str, Any], data_root: str | None, run: Path) -> Any:
    """The `data` part of a run's config, with its log at another root where one is given.

    Raises:
        UserError: There is no such part, or its log lies at no root.
    """
    described = copy.deepcopy(config.get("data"))
    if not described:
        raise UserError(f"{run}/config.yaml: names no data; make the run again")
    if data_root is not None:
        arguments = ((described.get("init_args") or {}).get("log") or {}).get("init_args") or {}
        if "root" not in arguments:
            raise UserError(f"--data_root: the log of {run} does not come from a folder")
        arguments["root"] = data_root
    return described


def newest(name: str | None, runs_dir: str) -> Path:
    """The folder of the reward run of that name which was finished last.

    Raises:
        UserError: There is none, or no name.
    """
    if name is None:
        raise UserError("no run is named: say run=runs/…_reward/…, the folder of a finished reward run")
    folders = sorted(path.parent for path in Path(runs_dir).glob(f"{name}_reward/*/{DONE}"))
    finished = {folder: str((read_done(folder) or {}).get("finished")) for folder in folders}
    if not finished:
        raise UserError(
            f"no finished run in {runs_dir}/{name}_reward: run `ialp fit --config configs/{name}_reward.yaml`, "
            "or name another with run=…"
        )
    return max(finished, key=lambda folder: finished[folder])


def load_log(config: Mapping[str, Any]) -> Log | None:
    """The log that a stage's data module works on; the same log is read once per process."""
    described = ((config.get("data") or {}).get("init_args") or {}).get("log")
    if not described:
        return None
    key = json.dumps(described, sort_keys=True, default=str)
    if key not in _logs:
        _logs[key] = instantiate(described, LogSource).load()  # type: ignore[type-abstract]
    return _logs[key]


_logs: dict[str, Log] = {}


def data_module(run: RunData, data_root: str | None) -> Any:
    """The DataModule that a reward run learnt from, on the data at `data_root` if that is given."""
    from lightning import LightningDataModule

    return instantiate(data_at(run.config, data_root, run.folder), LightningDataModule)


def instantiate(described: Mapping[str, Any], kind: type[Kind]) -> Kind:
    """The object that class_path and init_args of a config describe; a `UserError` of its constructor is passed on."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False)
    parser.add_subclass_arguments(kind, "part")
    try:
        return parser.instantiate_classes(parser.parse_object({"part": described})).part
    except ValueError as error:
        raise user_error_beneath(error) or error from None
