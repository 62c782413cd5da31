"""`ialp grid`: configs x sets of overrides x seeds."""

import json
import re
from argparse import RawDescriptionHelpFormatter
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from ialp.errors import UserError
from ialp.experiment.composition import read_tree
from ialp.experiment.config_check import check_keys
from ialp.experiment.grid import Cell, run_grid
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


class Request(NamedTuple):
    """What the command line and the grid file ask for."""

    cells: list[Cell]  # seed by seed, so that methods can be compared before the last seed is through
    processes: int
    name: str
    dry_run: bool


def run(arguments: Sequence[str]) -> int:
    """Run `ialp grid`."""
    request = read_request(arguments)
    from ialp.experiment.planning import Planner

    return run_grid(request.cells, Planner.make().plan, request.processes, request.name, request.dry_run)


def read_request(arguments: Sequence[str]) -> Request:
    """The cells of a command line; its options win over those of a grid file.

    Raises:
        UserError: A key, option or value cannot be used.
    """
    split = arguments.index("--") if "--" in arguments else len(arguments)
    chosen, unknown = _parser().parse_known_intermixed_args(arguments[:split])
    if unknown:
        raise UserError(f"no option {unknown[0]}: options of `ialp fit` come after --; see ialp grid --help")
    given = _read_file(Path(chosen.file)) if chosen.file else {}
    given |= {key: value for key, value in vars(chosen).items() if key in KEYS and value}
    configs, seeds = list(dict.fromkeys(given.get("configs") or [])), _seeds(given.get("seeds"))
    if not configs:
        raise UserError("no configs: ialp grid configs/a.yaml configs/b.yaml --seeds 0-4; see ialp grid --help")
    common, processes = list(arguments[split + 1 :]), str(given.get("processes", 2))
    sets = {name: [*common, *_options(values)] for name, values in (given.get("overrides") or {"": {}}).items()}
    if any(word.startswith("--seed_everything") for options in sets.values() for word in options):
        raise UserError("seed_everything: seeds of a grid are given by --seeds")
    if not re.fullmatch(r"[1-9]\d*", processes):
        raise UserError(f"processes: a whole number from 1 on is expected, not {processes!r}")
    cells = [
        Cell(config, str(name), seed, [f"--config={config}", *options])
        for seed in seeds
        for config in configs
        for name, options in sets.items()
    ]
    name = str(given.get("name") or (Path(chosen.file).stem if chosen.file else _name(configs, cells)))
    if not re.fullmatch(r"[\w.+-]*\w[\w.+-]*", name):
        raise UserError(f"name: {name!r} is no name for a folder: letters, digits and _.+- only")
    return Request(cells, int(processes), name, chosen.dry_run)


def _parser() -> Parser:
    parser = Parser("ialp grid", description=HELP, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.usage = "ialp grid CONFIG … [--seeds 0-4] [--processes 2] [--file GRID] [-- options of ialp fit]"
    parser.add_argument("configs", nargs="*", metavar="CONFIG", help="configs of `ialp fit`")
    parser.add_argument("--seeds", help="0-4 or 0,1,7 (default: each config's own seed)")
    parser.add_argument("--processes", help="runs at once, each in a process of its own (default: 2)")
    parser.add_argument("--file", metavar="GRID", help="a grid file; options on the command line win")
    parser.add_argument("--name", help="folder below runs/grids for summary and logs (default: of the file or configs)")
    parser.add_argument("--dry_run", action="store_true", help="only say what is finished and what would be run")
    return parser


def _read_file(path: Path) -> dict[str, Any]:
    """The keys of a grid file; its configs are looked for beside it first, then in the working directory."""
    check_keys(read_tree(path), "a grid file", KEYS)
    given = {key: value for key, value in yaml.safe_load(path.read_text(encoding="utf-8")).items() if value is not None}
    configs, overrides = given.get("configs", []), given.get("overrides", {})
    if not isinstance(configs, list):
        raise UserError(f"{path}: configs: a list is expected, not {configs!r}")
    if not isinstance(overrides, dict) or not all(isinstance(value, dict) for value in overrides.values()):
        raise UserError(f"{path}: overrides: sets by name are expected: {{slow: {{model.init_args.lr: 0.0003}}}}")
    beside = [path.parent / str(config) for config in configs]
    found = [str(here if here.is_file() else config) for here, config in zip(beside, configs, strict=True)]
    return given | {"configs": found}


def _seeds(value: Any) -> list[int | None]:
    """Seeds from 3, "0-4", "0,1,7" or a list of these; [None] from None."""
    if value is None:
        return [None]
    found: list[int | None] = []
    for part in ",".join(map(str, value if isinstance(value, list) else [value])).split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part.strip())
        if not match or int(match[2] or match[1]) < int(match[1]):
            raise UserError(f"seeds: {part.strip()!r} is no seed; 0-4 and 0,1,7 are")
        found += range(int(match[1]), int(match[2] or match[1]) + 1)
    return list(dict.fromkeys(found))


def _options(values: dict[str, Any]) -> list[str]:
    """A set of overrides as options of `ialp fit`; words stay bare, so that 1e-4, a word in YAML, is a number again."""
    return [f"--{key}={value if isinstance(value, str) else json.dumps(value)}" for key, value in values.items()]


def _name(configs: Sequence[str], cells: Sequence[Cell]) -> str:
    """The same for the same cells: the first config and, so that others do not share it, a few digits of a digest."""
    more = f"+{len(configs) - 1}" if len(configs) > 1 else ""
    return f"{Path(configs[0]).stem}{more}-{sha256(repr(cells).encode()).hexdigest()[:6]}"
