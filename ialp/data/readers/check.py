"""What is wrong with a log: prepared, atomic, Coat, or a table."""

from pathlib import Path

from ialp.data.readers.atomic import AtomicLog
from ialp.data.readers.coat import FEATURES, read_coat
from ialp.data.readers.file_log import ITEM
from ialp.data.readers.intake import Intake
from ialp.data.readers.prepared import MANIFEST, PreparedLog
from ialp.data.readers.text_table import open_table
from ialp.errors import UserError

Counts = dict[str, float]
FILES = (".csv", ".tsv", ".csv.gz", ".tsv.gz", ".json.gz", ".json", ".jsonl", ".parquet")


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
        return intake.attempt(lambda: PreparedLog(str(path)).read(intake).counts)
    atomic = {file.stem: file.parent for ending in (".item", ".inter") for file in path.glob(f"*{ending}")}
    atomic |= {file.stem: file.parent for file in path.glob("*/*.inter") if file.parent.name == file.stem}
    coats = [folder for folder in (path, path / "coat") if (folder / FEATURES).is_dir()]
    counts = [check_atomic(folder, name, intake) for name, folder in sorted(atomic.items())]
    counts += [check_coat(folder, intake) for folder in coats]
    files = sorted(file for file in path.iterdir() if file.name.endswith(FILES)) if not counts else []
    for file in files:
        _check_file(file, intake)
    if not counts and not files:
        raise UserError(f"{path}: no {MANIFEST}, NAME.inter and NAME.item, Coat's {FEATURES} or table lies in it")
    return counts[0] if len(counts) == 1 else None


def check_atomic(root: Path, name: str, intake: Intake) -> Counts | None:
    """NAME.item and NAME.inter; every column of the items but the id is taken as text."""

    def read() -> Counts:
        columns = open_table(AtomicLog(name, str(root)).find(".item")).columns
        return AtomicLog(name, str(root), [each for each in dict.fromkeys(columns) if each != ITEM]).read(intake).counts

    return intake.attempt(read)


def check_coat(folder: Path, intake: Intake) -> Counts | None:
    """Every one of Coat's files."""
    return intake.attempt(lambda: read_coat(folder, intake).counts)


def _check_file(path: Path, intake: Intake) -> Counts | None:
    """Every row of a file, of whatever meaning."""
    if path.suffix in (".item", ".inter"):
        return check_atomic(path.parent, path.stem, intake)

    def read() -> None:
        table = open_table(path)
        for _ in table.rows(table.columns, intake):
            pass

    return intake.attempt(read)


def problem_lines(intake: Intake) -> list[str]:
    """One line per kind of problem."""
    return [
        finding.first + (f" (and {finding.count - 1:,} more)" if finding.count > 1 else "")
        for finding in intake.problems.values()
    ]
