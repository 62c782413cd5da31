"""Lists, compares and removes run folders."""

import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from ialp.errors import UserError
from ialp.printing import print_table
from ialp.runs.folder import CONFIG, DONE, LAST, checkpoints, read_done
from ialp.runs.lock import lock_file


def list_runs(runs_dir: str, stage: str | None = None) -> None:
    """Print all runs below runs_dir, or those of one config."""
    folders = sorted(path.parent for path in Path(runs_dir).glob(f"{stage or '*'}/*/{CONFIG}"))
    if not folders:
        print(f"no runs in {runs_dir}")
        return
    table = Table("run", "finished", "seconds", "data", "R e=0", "R end", box=None, pad_edge=False)
    for folder in folders:
        done = read_done(folder)
        table.add_row(str(folder), *([_progress(folder)] if done is None else _figures(done)))
    print_table(table)


def compare_runs(runs: Sequence[str]) -> None:
    """Print where the configs of finished runs differ, and their figures.

    Raises:
        UserError: There are less than two, or one is not finished.
    """
    done = {run: read_done(_run_folder(run)) for run in runs}
    if unfinished := [run for run, each in done.items() if each is None]:
        raise UserError(f"{unfinished[0]}: the run is not finished (it has no {DONE})")
    finished = {run: each for run, each in done.items() if each}
    if len(finished) < 2:
        raise UserError("runs compare takes two run folders or more")
    titles = (f"{each['stage']}/{Path(run).name}" for run, each in finished.items())
    table = Table("", *titles, box=None, pad_edge=False)
    for part in ("config", "metrics", "results"):
        columns = [dict(_flat(each.get(part) or {})) for each in finished.values()]
        for key in dict.fromkeys(key for column in columns for key in column):
            values = [_short(column.get(key)) for column in columns]
            if part != "config" or len(set(values)) > 1:
                table.add_row(key, *values)
        table.add_section()
    print_table(table)


def remove_runs(runs: Sequence[str], yes: bool = False) -> None:
    """Remove run folders; ask first unless `yes`.

    Raises:
        UserError: A run that stays was built on one of them.
    """
    folders = [_run_folder(run) for run in runs]
    for folder in folders:
        if built := _built_on(folder, folders):
            raise UserError(f"{folder}: {built[0]} was built on it; remove that too")
    print("\n".join(map(str, folders)))
    if not yes:
        try:
            answer = input(f"remove {len(folders)} run{'s' if len(folders) > 1 else ''}? [y/N] ")
        except EOFError:
            raise UserError("no terminal to ask on: say --yes") from None
        if answer.strip().lower() not in ("y", "yes"):
            print("nothing removed")
            return
    for folder in folders:
        (folder / DONE).unlink(missing_ok=True)  # first: a half-removed run must not pass for finished
        shutil.rmtree(folder)
        lock_file(folder).unlink(missing_ok=True)


def _run_folder(run: str) -> Path:
    if not (Path(run) / CONFIG).is_file():
        raise UserError(f"{run}: no run folder (it has no {CONFIG}); `ialp runs list` shows them")
    return Path(run)


def _built_on(folder: Path, leaving: Sequence[Path]) -> list[Path]:
    """Runs that name the folder as their input and are not about to go as well."""
    others = {path.parent for path in folder.parent.parent.glob(f"*/*/{DONE}")} - set(leaving)
    inputs = {other: ((read_done(other) or {}).get("upstream") or {}).values() for other in others}
    return [other for other, names in inputs.items() if folder.resolve() in {Path(name).resolve() for name in names}]


def _progress(folder: Path) -> str:
    """How far an unfinished run came."""
    kept = checkpoints(folder / "checkpoints")
    if not kept:
        return "unfinished"
    return "unfinished, trained" if kept[0].name == LAST else f"unfinished, at update {int(kept[0].stem[5:]):,}"


def _figures(done: Mapping[str, Any]) -> list[str]:
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
