"""What is wrong with a log: prepared, atomic, Coat, or a table."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import polars as pl

from ialp.data.readers.amazon import read_objects
from ialp.data.readers.atomic import AtomicLog, atomic_table, read_inter
from ialp.data.readers.coat import FEATURES, read_features, read_ratings
from ialp.data.readers.file_log import ITEM, read_items
from ialp.data.readers.intake import Intake
from ialp.data.readers.prepared import MANIFEST, PreparedLog
from ialp.data.readers.table import open_table
from ialp.errors import UserError

Counts = dict[str, float]
ENDINGS = (".item", ".inter")
FILES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".json.gz", ".json", ".jsonl", ".parquet")
Result = TypeVar("Result")


def check_path(path: Path, intake: Intake) -> Counts | None:
    """Look through a folder or file; what is wrong lands among the intake's problems.

    Returns:
        Table 2's row, where the log could be read and has one.

    Raises:
        UserError: Nothing of a known kind lies there.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file, folder or reader; see ialp data --help")
    if path.is_file():
        return _check_file(path, intake)
    if (path / MANIFEST).is_file():
        return attempt(intake, lambda: PreparedLog(str(path)).read(intake).counts)
    stems = {file.stem: file.parent for ending in ENDINGS for file in path.glob(f"*{ending}")}
    stems |= {file.stem: file.parent for file in path.glob("*/*.inter") if file.parent.name == file.stem}
    coats = [folder for folder in (path, path / "coat") if (folder / FEATURES).is_dir()]
    counts = [check_atomic(folder, name, intake) for name, folder in sorted(stems.items())]
    counts += [check_coat(folder, intake) for folder in coats]
    files = sorted(file for file in path.iterdir() if file.name.endswith(FILES)) if not counts else []
    for file in files:
        _check_file(file, intake)
    if not counts and not files:
        raise UserError(f"{path}: no {MANIFEST}, NAME.inter and NAME.item, Coat's {FEATURES} or table lies in it")
    return counts[0] if len(counts) == 1 else None


def check_atomic(root: Path, name: str, intake: Intake) -> Counts | None:
    """NAME.item and NAME.inter; every column of the items but the id is taken as text."""
    log = AtomicLog(name, str(root))

    def items() -> pl.DataFrame:
        table = atomic_table(log.find(".item"))
        attributes = [column for column in dict.fromkeys(table.columns) if column != ITEM]
        return read_items(table, ITEM, attributes, intake)

    found = attempt(intake, items)
    if found is None:  # without items none can be missing among the interactions
        attempt(intake, lambda: _read_all(log.find(".inter"), intake))
        return None
    return attempt(intake, lambda: read_inter(log.find(".inter"), found, log.find(".item"), intake).counts)


def check_coat(folder: Path, intake: Intake) -> Counts | None:
    """Every one of Coat's files."""
    users = attempt(intake, lambda: read_features(folder, "user", intake))
    coats = attempt(intake, lambda: read_features(folder, "item", intake))
    if users is None or coats is None:
        return None
    shape = len(users[1]), len(coats[1])
    parts = [
        attempt(intake, lambda name=name: read_ratings(folder / name, *shape, intake))  # type: ignore[misc]
        for name in ("train.ascii", "test.ascii")
    ]
    if parts[0] is None or parts[1] is None:
        return None
    ratings = len(parts[0]) + len(parts[1])
    return {
        "items": shape[1],
        "sequences": shape[0],
        "interactions": ratings,
        "mean_length": ratings / shape[0],
        "density": ratings / (shape[0] * shape[1]),
    }


def _check_file(path: Path, intake: Intake) -> Counts | None:
    if path.suffix in (".item", ".inter"):
        return check_atomic(path.parent, path.stem, intake)
    attempt(intake, lambda: _read_all(path, intake))
    return None


def _read_all(path: Path, intake: Intake) -> None:
    """Every row of a file, of whatever meaning."""
    if path.name.removesuffix(".gz").endswith((".json", ".jsonl")):
        for _ in read_objects(path, intake):
            pass
        return
    table = atomic_table(path) if path.suffix == ".inter" else open_table(path)
    for _ in table.rows(table.columns, intake):
        pass


def attempt(intake: Intake, read: Callable[[], Result]) -> Result | None:
    """What is read, or None and a problem more."""
    try:
        return read()
    except UserError as error:
        intake.fail(error)
        return None


def problem_lines(intake: Intake) -> Sequence[str]:
    """One line per kind of problem."""
    return [
        finding.first + (f" (and {finding.count - 1:,} more)" if finding.count > 1 else "")
        for finding in intake.problems.values()
    ]
