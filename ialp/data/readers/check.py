"""What is wrong with the logs in a folder: prepared, atomic, or Coat's files."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

from ialp.data.readers.atomic import AtomicLog
from ialp.data.readers.coat import FEATURES, read_coat
from ialp.data.readers.file_log import ITEM
from ialp.data.readers.intake import Intake
from ialp.data.readers.prepared import MANIFEST, PreparedLog
from ialp.data.readers.text_table import open_table
from ialp.errors import UserError

Counts = dict[str, float]
TABLES = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".parquet", ".pq")


def check_path(path: Path, intake: Intake) -> Counts | None:
    """Read the logs in a folder, or the rows of a file; what is wrong lands among the intake's problems.

    Returns:
        Table 2's row, where there is one log and it could be read.

    Raises:
        UserError: Nothing of a known kind lies there.
    """
    if not path.exists():
        raise UserError(f"{path}: no such file, folder or reader; see ialp data --help")
    files = [path] if path.is_file() else sorted(path.glob("*"))
    atomic = [file.with_suffix("") for file in [*files, *sorted(path.glob("*/*.inter"))] if file.suffix == ".inter"]
    coats = [folder for folder in (path, path / "coat") if (folder / FEATURES).is_dir()]
    found: list[Callable[[], Counts | None]] = [partial(read_atomic, stem, intake) for stem in atomic]
    found += [partial(read_coats, folder, intake) for folder in coats]
    if (path / MANIFEST).is_file():
        found = [lambda: PreparedLog(str(path)).read(intake).counts]
    elif not found:
        tables = (file for file in files if file.name.removesuffix(".gz").endswith(TABLES))
        found = [partial(read_rows, file, intake) for file in tables]
    if not found:
        raise UserError(f"{path}: no {MANIFEST}, NAME.inter and NAME.item, Coat's {FEATURES} or table lies in it")
    counts = [intake.attempt(read) for read in found]
    return counts[0] if len(counts) == 1 else None


def read_atomic(stem: Path, intake: Intake) -> Counts:
    """STEM.item and STEM.inter; every column of the items but the id is taken as text."""
    columns = open_table(stem.with_name(f"{stem.name}.item")).columns
    attributes = [name for name in dict.fromkeys(columns) if name != ITEM]
    return AtomicLog(stem.name, str(stem.parent), attributes).read(intake).counts


def read_coats(folder: Path, intake: Intake) -> Counts:
    """Coat's files."""
    return read_coat(folder, intake).counts


def read_rows(path: Path, intake: Intake) -> None:
    """Every row of a file, of whatever meaning."""
    table = open_table(path)
    for _ in table.rows(table.columns, intake):
        pass


def problem_lines(intake: Intake) -> list[str]:
    """One line per kind of problem."""
    return [
        finding.first + (f" (and {finding.count - 1:,} more)" if finding.count > 1 else "")
        for finding in intake.problems.values()
    ]
