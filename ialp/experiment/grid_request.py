"""What a grid is asked for: configs × seeds × sets of overrides, from the command line or a file."""

import json
import re
from argparse import SUPPRESS, RawDescriptionHelpFormatter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import yaml

from ialp.classes import near
from ialp.errors import UserError
from ialp.experiment.config_check import read_tree
from ialp.parser import Parser

KEYS = ("configs", "seeds", "overrides", "processes", "name")
"""What a grid file may hold."""

HELP = """\
Runs configs x seeds x sets of overrides, several at once; what is finished is reused, so that the same command goes on
where it stopped. Stages that several runs build on are built once, before them.

  ialp grid configs/lfm_policyset.yaml configs/lfm_scratch_a2c.yaml --seeds 0-4
  ialp grid configs/lfm_frozen.yaml --seeds 0,1,7 --processes 4 -- --data.init_args.test_users 200
  ialp grid --file configs/grids/learning_rates.yaml

Options of `ialp fit` for all runs come after --. A grid file has the options as keys, and sets of overrides by name:

  configs: [configs/lfm_policyset.yaml, configs/lfm_finetune.yaml]
  seeds: 0-4
  processes: 2
  overrides:
    as_it_comes: {}
    slow: {model.init_args.lr: 0.0003}
    greedy: {model.init_args.exploration: ialp.rl.Greedy}
"""


@dataclass(frozen=True)
class Cell:
    """One run that is asked for.

    Attributes:
        config: As it was given.
        seed: None: the config's own.
        overrides: Name of its set of overrides, "" without.
        arguments: Of `ialp fit`, without the seed.
    """

    config: str
    seed: int | None
    overrides: str
    arguments: tuple[str, ...]


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    Attributes:
        configs: Of the runs.
        seeds: Of the runs; [None]: each config's own.
        overrides: Options of `ialp fit` by the name of their set.
        common: Options of `ialp fit` for all runs.
        processes: How many runs at once.
        name: Of the folder with summary and logs.
        dry_run: Only say what would be run.
    """

    configs: Sequence[str]
    seeds: Sequence[int | None] = (None,)
    overrides: Mapping[str, Sequence[str]] = field(default_factory=lambda: {"": ()})
    common: Sequence[str] = ()
    processes: int = 2
    name: str = ""
    dry_run: bool = False

    def cells(self) -> list[Cell]:
        """All runs; seed by seed, so that methods can be compared before the last seed is through."""
        return [
            Cell(config, seed, name, (f"--config={config}", *self.common, *options))
            for seed in self.seeds
            for config in self.configs
            for name, options in self.overrides.items()
        ]


def read_request(arguments: Sequence[str]) -> Request:
    """The request of a command line; its options win over those of a grid file.

    Raises:
        UserError: What the user can mend.
    """
    split = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, unknown = _parser().parse_known_intermixed_args(arguments[:split])
    if unknown:
        raise UserError(f"no option {unknown[0]}{_hint(unknown[0])}; see ialp grid --help")
    given = _read_file(Path(chosen.file)) if chosen.file else {}
    options = {**vars(chosen), "configs": [*chosen.configs, *(chosen.more or ())]}
    given |= {key: options[key] for key in KEYS if options.get(key)}
    common = list(arguments[split + 1 :])
    _check_options(common, "after --")
    configs = given.get("configs") or []
    if numbers := [config for config in configs if config.isdigit()]:
        raise UserError(f"{numbers[0]}: no config; several seeds are written as 0-4 or 0,1,7")
    if not configs:
        raise UserError("no configs: ialp grid configs/a.yaml configs/b.yaml --seeds 0-4; see ialp grid --help")
    overrides = {str(name): _options(name, values) for name, values in (given.get("overrides") or {"": {}}).items()}
    request = Request(
        configs=list(dict.fromkeys(configs)),
        seeds=_seeds(given["seeds"]) if "seeds" in given else [None],
        overrides=overrides,
        common=common,
        processes=_processes(given.get("processes", 2)),
        dry_run=chosen.dry_run,
    )
    name = str(given.get("name") or (Path(chosen.file).stem if chosen.file else _name(request)))
    if not re.fullmatch(r"[\w.+-]*\w[\w.+-]*", name):
        raise UserError(f"name: {name!r} is no name for a folder: letters, digits and _.+- only")
    return replace(request, name=name)


def _parser() -> Parser:
    parser = Parser("ialp grid", description=HELP, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.usage = "ialp grid CONFIG … [--seeds 0-4] [--processes 2] [--file GRID] [-- options of ialp fit]"
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="configs of `ialp fit`")
    parser.add_argument("--configs", nargs="+", dest="more", metavar="CONFIG", help=SUPPRESS)
    parser.add_argument("--seeds", help="0-4 or 0,1,7 (default: each config's own seed)")
    parser.add_argument("--processes", help="runs at once, each in a process of its own (default: 2)")
    parser.add_argument("--file", metavar="GRID", help="a grid file; options on the command line win")
    parser.add_argument("--name", help="folder below runs/grids for summary and logs (default: of the file or configs)")
    parser.add_argument("--dry_run", action="store_true", help="only say what is finished and what would be run")
    return parser


def _hint(option: str) -> str:
    if option.partition("=")[0] in ("--config", "-c"):
        return ": configs of runs are listed without it, one to lay over all of them comes after --"
    return ": options of `ialp fit` come after --"


def _read_file(path: Path) -> dict[str, Any]:
    """The keys of a grid file; its configs are looked for beside it first, then in the working directory."""
    for key, _ in read_tree(path).value:
        if key.value not in KEYS:
            hint = near(key.value, KEYS) or f": a grid file has {', '.join(KEYS)}"
            raise UserError(f'{path}:{key.start_mark.line + 1}: no key "{key.value}"{hint}')
    given = {key: value for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items() if value is not None}
    configs = given.get("configs", [])
    if isinstance(configs, str) or not isinstance(configs, list):
        raise UserError(f"{path}: configs: a list is expected, not {configs!r}")
    overrides = given.get("overrides", {})
    if not isinstance(overrides, dict) or not all(isinstance(value, dict) for value in overrides.values()):
        raise UserError(
            f"{path}: overrides: sets by name are expected, such as {{slow: {{model.init_args.lr: 0.0003}}}}"
        )
    return given | {"configs": [_beside(path, str(config)) for config in configs]}


def _beside(path: Path, config: str) -> str:
    return str(path.parent / config) if (path.parent / config).is_file() else config


def _seeds(value: Any) -> list[int]:
    """Seeds from 3, "0-4", "0,1,7" or a list of these."""
    parts = value if isinstance(value, list) else [value]
    found: list[int] = []
    for part in ",".join(map(str, parts)).split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise UserError(f"seeds: {part.strip()!r} is no seed; 0-4 and 0,1,7 are")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(found))


def _processes(value: Any) -> int:
    if not re.fullmatch(r"[1-9]\d*", str(value)):
        raise UserError(f"processes: a whole number from 1 on is expected, not {value!r}")
    return int(value)


def _options(name: Any, values: Mapping[str, Any]) -> list[str]:
    """A set of overrides as options of `ialp fit`."""
    options = [f"--{key}={_text(value)}" for key, value in values.items()]
    _check_options(options, f"overrides {name}")
    return options


def _check_options(options: Sequence[str], place: str) -> None:
    if any(option.partition("=")[0] == "--seed_everything" for option in options):
        raise UserError(f"{place}: seed_everything: seeds of a grid are given by --seeds")


def _text(value: Any) -> str:
    """A value of YAML as an option's; words stay bare, so that 1e-4, which YAML takes for a word, is a number again."""
    return value if isinstance(value, str) else json.dumps(value)


def _name(request: Request) -> str:
    """The same for the same request: the first config and, so that others do not share it, a few digits of a digest."""
    stems = [Path(config).stem for config in request.configs]
    digest = sha256(repr(request.cells()).encode()).hexdigest()
    return f"{stems[0]}{f'+{len(stems) - 1}' if len(stems) > 1 else ''}-{digest[:6]}"
