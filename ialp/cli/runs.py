"""The folders of runs: what is finished, how runs compare, and how to get rid of one."""

import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ialp.errors import UserError
from ialp.parser import Parser
from ialp.runs.folder import DONE, LAST, checkpoints, find_runs, read_done


def run(arguments: list[str]) -> int:
    """`ialp runs list|compare|remove`."""
    parser = Parser(prog="ialp runs", description="Runs that are finished or under way.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="list|compare|remove")
    listing = verbs.add_parser("list", help="all runs with their figures")
    listing.add_argument("stage", nargs="?", help="only runs of this config")
    listing.add_argument("--runs_dir", default="runs", help="folder that holds them (default: runs)")
    compare = verbs.add_parser("compare", help="where the configs of finished runs differ, and their figures")
    compare.add_argument("runs", nargs="+", help="run folders, two or more")
    remove = verbs.add_parser("remove", help="remove run folders")
    remove.add_argument("runs", nargs="+", help="run folders")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    remove.add_argument("--force", action="store_true", help="even where another run was built on them")
    chosen = vars(parser.parse_args(arguments))
    verbs_of: dict[str, Callable[..., None]] = {"list": list_runs, "compare": compare_runs, "remove": remove_runs}
    verbs_of[chosen.pop("verb")](**chosen)
    return 0


def list_runs(runs_dir: str = "runs", stage: str | None = None) -> None:
    """Print all runs below runs_dir, or those of one config."""
    from rich.table import Table

    runs = {folder: done for folder, done in find_runs(runs_dir).items() if stage in (None, folder.parent.name)}
    if not runs:
        print(f"no runs in {runs_dir}")
        return
    table = Table("run", "finished", "seconds", "data", "R e=0", "R end", box=None, pad_edge=False)
    for folder, done in runs.items():
        table.add_row(str(folder), *([_how_far(folder)] if done is None else _row(done)))
    _print(table)


def compare_runs(runs: list[str]) -> None:
    """Print where the configs of finished runs differ, and their figures."""
    from rich.table import Table

    done = {run: _finished(run) for run in runs}
    if len(done) < 2:
        raise UserError("runs compare takes two run folders or more")
    table = Table("", *(f"{each['stage']}/{Path(run).name}" for run, each in done.items()), box=None, pad_edge=False)
    for part, differing in (("config", True), ("metrics", False), ("results", False)):
        columns = [dict(_flat(each.get(part) or {})) for each in done.values()]
        for key in dict.fromkeys(key for column in columns for key in column):
            values = [_short(column.get(key)) for column in columns]
            if not differing or len(set(values)) > 1:
                table.add_row(key, *values)
        table.add_section()
    _print(table)


def remove_runs(runs: list[str], yes: bool = False, force: bool = False) -> None:
    """Remove run folders; ask first unless `yes`.

    Raises:
        UserError: Another run was built on one of them, and not `force`.
    """
    folders = [_run_folder(run) for run in runs]
    for folder in folders:
        builders = _built_on(folder, folders)
        if builders and not force:
            raise UserError(f"{folder}: {builders[0]} was built on it; remove that too, or say --force")
    print("\n".join(map(str, folders)))
    if not yes and not _agreed(f"remove {len(folders)} run{'s' if len(folders) > 1 else ''}?"):
        print("nothing removed")
        return
    for folder in folders:
        (folder / DONE).unlink(missing_ok=True)  # first: a half-removed run must not pass for finished
        shutil.rmtree(folder)
        (folder.parent / f".{folder.name}.lock").unlink(missing_ok=True)


def _agreed(question: str) -> bool:
    try:
        return input(f"{question} [y/N] ").strip().lower() in ("y", "yes")
    except EOFError:
        raise UserError("no terminal to ask on: say --yes") from None


def _run_folder(run: str) -> Path:
    folder = Path(run)
    if not (folder / "config.yaml").is_file():
        raise UserError(f"{run}: no run folder (it has no config.yaml); `ialp runs list` shows them")
    return folder


def _finished(run: str) -> dict[str, Any]:
    done = read_done(_run_folder(run))
    if done is None:
        raise UserError(f"{run}: the run is not finished (it has no {DONE})")
    return done


def _built_on(folder: Path, leaving: list[Path]) -> list[Path]:
    """Runs that name the folder as their input and are not about to go as well."""
    going = {path.resolve() for path in leaving}
    others = {path: done for path, done in find_runs(str(folder.parent.parent)).items() if path.resolve() not in going}
    return [
        path
        for path, done in others.items()
        if any(Path(value).resolve() == folder.resolve() for value in ((done or {}).get("upstream") or {}).values())
    ]


def _how_far(folder: Path) -> str:
    """Of an unfinished run: where it goes on."""
    kept = checkpoints(folder / "checkpoints")
    if not kept:
        return "unfinished"
    return "unfinished, trained" if kept[0].name == LAST else f"unfinished, at update {int(kept[0].stem[5:]):,}"


def _row(done: Mapping[str, Any]) -> list[str]:
    evaluation = (done.get("results") or {}).get("evaluation") or {}
    figures = evaluation.get("adapted") or evaluation.get("frozen") or {}
    returns = [_short((figures.get(epoch) or {}).get("return")) for epoch in ("0", "end")]
    data = (done.get("data") or {}).get("name", "")
    return [str(done.get("finished", "")), f"{done.get('seconds', 0):.0f}", str(data), *returns]


def _flat(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _flat(item, f"{path}.{key}".lstrip("."))
    else:
        yield path, value


def _short(value: Any) -> str:
    return "" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)


def _print(table: Any) -> None:
    from rich.console import Console

    console = Console()
    if not console.is_terminal:
        console.width = 200
    console.print(table)
