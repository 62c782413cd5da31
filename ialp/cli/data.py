"""`ialp data prepare` and `ialp data check`."""

from argparse import ArgumentError
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from ialp.data.readers.amazon import AmazonLog
from ialp.data.readers.atomic import AtomicLog
from ialp.data.readers.check import check_path, problem_lines
from ialp.data.readers.file_log import FileLog
from ialp.data.readers.intake import Intake
from ialp.data.readers.lastfm import LastfmLog
from ialp.data.readers.prepared import write_prepared
from ialp.data.readers.reading_progress import ReadingProgress
from ialp.data.readers.table_log import TableLog
from ialp.errors import UserError
from ialp.printing import print_table

READERS: dict[str, type[FileLog]] = {
    "atomic": AtomicLog,
    "table": TableLog,
    "amazon": AmazonLog,
    "lastfm": LastfmLog,
}
HELP = """\
usage: ialp data prepare READER [options] --out DIR    read a log, check it, write it as a compact folder
       ialp data check PATH...                         say what is wrong with folders or files
       ialp data check READER [options]                the same of a log as a reader sees it

readers (ialp data prepare READER --help shows the options of one):
{readers}
  module.Class  a subclass of ialp.data.readers.FileLog of your own
"""


def run(arguments: list[str]) -> int:
    """Dispatch; 2 where a check has found something."""
    if arguments[:1] in (["-h"], ["--help"]):
        print(help_text())
        return 0
    if not arguments:
        raise UserError("the following arguments are required: prepare or check; see ialp data --help")
    command, *rest = arguments
    if command not in ("prepare", "check"):
        raise UserError(f'ialp data has no "{command}": it has prepare and check; see ialp data --help')
    if rest[:1] in (["-h"], ["--help"]):
        print(help_text())
        return 0
    if not rest:
        raise UserError(f"the following arguments are required: what to {command}; see ialp data --help")
    return prepare(rest[0], rest[1:]) if command == "prepare" else check(rest)


def help_text() -> str:
    """Both commands and the readers."""
    lines = (f"  {name:12}  {(kind.__doc__ or '').strip().splitlines()[0]}" for name, kind in READERS.items())
    return HELP.format(readers="\n".join(lines)).rstrip()


def prepare(reader: str, arguments: list[str]) -> int:
    """Read, write, and print what came of it."""
    kind = find_reader(reader)
    parser = reader_parser(kind, f"ialp data prepare {reader}")
    parser.add_argument("--out", type=str, required=True, help="Folder to write.")
    parser.add_argument("--bad_rows", default="refuse", help="refuse: the first ends it; drop: leave out and count.")
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace a prepared folder at --out.")
    options = parse(parser, arguments)
    out, bad_rows, overwrite = Path(options.pop("out")), options.pop("bad_rows"), options.pop("overwrite")
    if bad_rows not in ("refuse", "drop"):
        raise UserError(f"bad_rows is {bad_rows}: it is refuse or drop")
    intake = Intake(bad_rows, ReadingProgress())
    manifest = write_prepared(kind(**options), out, intake, overwrite)
    say_cleaned(intake)
    print_row(manifest["name"], manifest["counts"], manifest["attributes"])
    print(
        f"written: {out}; a config reads it with class_path: ialp.data.readers.PreparedLog, init_args: {{root: {out}}}"
    )
    return 0


def check(arguments: list[str]) -> int:
    """Print all problems, or the log's row."""
    intake = Intake("list", ReadingProgress())
    first = arguments[0]
    dotted = "." in first and all(map(str.isidentifier, first.split(".")))
    if first in READERS or (dotted and not Path(first).exists()):
        kind = find_reader(first)
        source = kind(**parse(reader_parser(kind, f"ialp data check {first}"), arguments[1:]))
        name, attributes, counts = source.name, source.attributes, intake.attempt(lambda: source.read(intake).counts)
    else:
        rows = [check_path(Path(path), intake) for path in arguments]
        name, attributes, counts = Path(first).resolve().stem, [], rows[0] if len(rows) == 1 else None
    say_cleaned(intake)
    if lines := problem_lines(intake):
        print("\n".join(lines))
        print(f"{len(lines)} problem{'s' if len(lines) > 1 else ''}")
        return 2
    if counts:
        print_row(name, counts, attributes)
    print("nothing is wrong")
    return 0


def find_reader(name: str) -> type[FileLog]:
    """By short name or dotted path."""
    from ialp.classes import near
    from ialp.experiment.config_check import find_class

    if name in READERS:
        return READERS[name]
    try:
        kind = find_class(name)
    except LookupError:
        raise UserError(f'no reader "{name}"{near(name, list(READERS))}; there are {", ".join(READERS)}') from None
    if not (isinstance(kind, type) and issubclass(kind, FileLog)):
        raise UserError(f"{name} is no subclass of ialp.data.readers.FileLog")
    return kind


def reader_parser(kind: type[FileLog], prog: str) -> Any:
    """The arguments of a reader as options."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(prog=prog, exit_on_error=False)
    parser.add_class_arguments(kind)
    return parser


def parse(parser: Any, arguments: list[str]) -> dict[str, Any]:
    """The options as a plain dict; one line about what is wrong with them."""
    try:
        return parser.instantiate(parser.parse_args(arguments)).as_dict()
    except ArgumentError as error:
        from ialp.experiment.complaints import complaint

        flags = [flag for action in parser._actions for flag in action.option_strings]
        raise UserError(f"{complaint(error, flags)}; see {parser.prog} --help") from None


def say_cleaned(intake: Intake) -> None:
    """One line per kind of what was changed or left out."""
    for what, finding in intake.cleaned.items():
        where = f" (first: {finding.first})" if finding.first else ""
        print(f"{what}: {finding.count:,}{where}")


def print_row(name: str, counts: Mapping[str, float], attributes: list[str]) -> None:
    """The row of the paper's Table 2, and mean length and density besides."""
    table = Table("Dataset", "#item", "#seq./user", "#inter.", "mean length", "density", "Item attribute")
    table.box, table.pad_edge = None, False
    whole = (f"{counts[key]:,}" for key in ("items", "sequences", "interactions"))
    table.add_row(name, *whole, f"{counts['mean_length']:.2f}", f"{counts['density']:.3%}", "; ".join(attributes))
    print_table(table)
