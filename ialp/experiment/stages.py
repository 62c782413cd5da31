"""What a run is built on, worked out by fingerprint before anything runs."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ialp.errors import UserError
from ialp.experiment.composition import NOTHING, Composed, beside, compose
from ialp.experiment.config_check import check_config
from ialp.runs.fingerprint import fingerprint
from ialp.runs.folder import read_done
from ialp.runs.open import load_log

if TYPE_CHECKING:
    from ialp.data import Log

RUN_FOLDER = re.compile(r"\d+-[0-9a-f]{8}")

Parse = Callable[[list[str]], dict[str, Any]]  # arguments of `ialp fit` -> the parsed config as plain dicts


@dataclass
class Stage:
    """One run: planned, or already finished.

    Attributes:
        name: Stem of its config.
        folder: runs/<name>/<seed>-<first 8 of the fingerprint>.
        seed: Its own seed.
        arguments: What `ialp fit` is called with to build it.
        config: Its parsed config.
        upstream: The runs that it is built on, by the key under which the config refers to them.
        log: Its data, None without.
    """

    name: str
    folder: Path
    fingerprint: str
    seed: int = 0
    arguments: list[str] = field(default_factory=list)
    config: dict[str, Any] = field(default_factory=dict)
    upstream: "dict[str, Stage]" = field(default_factory=dict)
    log: "Log | None" = None

    @property
    def finished(self) -> bool:
        """Whether its folder holds the done.json of this very fingerprint."""
        return (read_done(self.folder) or {}).get("fingerprint") == self.fingerprint

    @property
    def online(self) -> bool:
        """Whether a policy meets users in it: it has a scheme."""
        return "scheme" in ((self.config.get("model") or {}).get("init_args") or {})

    def lineage(self) -> "list[Stage]":
        """All that it is built on, inputs first, each run once, itself last."""
        stages = [each for stage in self.upstream.values() for each in stage.lineage()]
        return list({str(each.folder): each for each in [*stages, self]}.values())


def plan(
    parse: Parse, keys: Sequence[str], arguments: list[str], above: tuple[Path, ...] = (), seed: int | None = None
) -> Stage:
    """Work out a run and all that it is built on, without running anything.

    Args:
        parse: Parses the arguments of one stage.
        keys: Top-level keys of a config.
        arguments: Of `ialp fit`.
        above: The configs that led here.
        seed: Of the run that asks for this stage; a config with `fixed_seed` keeps its own.

    Raises:
        UserError: The config, or one that it builds on, cannot be used.
    """
    composed = compose(arguments)
    check_config(composed, keys)
    plain = parse(arguments)
    if seed is not None and not plain["fixed_seed"]:
        arguments = [*arguments, f"--seed_everything={seed}"]
    if plain["data_root"] == "":  # IALP_DATA= (empty) means the same as no IALP_DATA
        arguments = [*arguments, "--data_root=null"]
    inputs = {key: value for key, value in (plain["upstream"] or {}).items() if value}
    marks = {key: f"upstream {key}" for key in inputs}
    config = parse([*arguments, *(f"--upstream.{key}={mark}" for key, mark in marks.items())])
    used = [key for key, value in inputs.items() if _mentions(config, marks[key]) or _mentions(config, value)]
    upstream = {key: _plan_input(parse, keys, key, inputs[key], config, composed, above) for key in used}
    arguments = [*arguments, *(f"--upstream.{key}={stage.folder}" for key, stage in upstream.items())]
    config = parse(arguments)
    name, own_seed, log = run_name(composed.files, config), _seed(config), load_log(config)
    folders = {str(stage.folder): stage.fingerprint for stage in upstream.values()}
    digest = fingerprint(config, own_seed, log.fingerprint if log else None, folders)
    folder = Path(config["runs_dir"]) / name / f"{own_seed}-{digest[:8]}"
    return Stage(name, folder, digest, own_seed, arguments, config, upstream, log)


def run_name(files: Sequence[Path], config: Mapping[str, Any]) -> str:
    """The first config's stem; a run's own config.yaml keeps the run's name."""
    if not files:
        return str(config["model"]["class_path"]).rpartition(".")[2].lower()
    if files[0].name == "config.yaml" and RUN_FOLDER.fullmatch(files[0].absolute().parent.name):
        return files[0].absolute().parent.parent.name
    return files[0].stem


def _plan_input(
    parse: Parse,
    keys: Sequence[str],
    key: str,
    value: str,
    config: Mapping[str, Any],
    composed: Composed,
    above: tuple[Path, ...],
) -> Stage:
    """The run behind `upstream.<key>`."""
    places = beside(composed.find("upstream", key) or NOTHING, value, composed.files)
    place = next((place for place in places if place.exists()), None)
    if place is None:
        raise UserError(f"upstream.{key}: neither a config nor a run folder: {places[0]}")
    if place.is_dir():
        done = read_done(place)
        if done is None:
            raise UserError(f"upstream.{key}: {place} is no finished run (it has no done.json)")
        return Stage(str(done["stage"]), place, str(done["fingerprint"]), int(done["seed"]))
    if place.resolve() in above:
        raise UserError(f"upstream.{key}: {place} builds on itself")
    arguments = [f"--config={place}", *_handed_down(config)]
    return plan(parse, keys, arguments, (*above, place.resolve()), _seed(config))


def _mentions(config: Mapping[str, Any], text: str) -> bool:
    """Whether a value of model, data or trainer is this text."""
    return f'"{text}"' in json.dumps([config[key] for key in ("model", "data", "trainer")], default=str)


def _handed_down(config: Mapping[str, Any]) -> list[str]:
    """What a stage takes from the run that asks for it, besides the seed."""
    root = "null" if config["data_root"] is None else config["data_root"]
    described = [f"--{key}={json.dumps(config[key], default=str)}" for key in ("log", "judge") if config[key]]
    return [f"--data_root={root}", f"--runs_dir={config['runs_dir']}", *described]


def _seed(config: Mapping[str, Any]) -> int:
    if isinstance(config["seed_everything"], bool):
        raise UserError("seed_everything: a run needs a number, which is part of what the run is")
    return int(config["seed_everything"])
