"""`ialp data prepare` and `ialp data check`."""

import re
from argparse import ArgumentError
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentParser
from rich.table import Table

from ialp.classes import argument_names, find_class, near
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
    """Run `ialp data`; 2 where a check has found something."""
    if not arguments:
        raise UserError("the following arguments are required: prepare or check; see ialp data --help")
    command, *rest = arguments
    if command in ("-h", "--help") or rest[:1] in (["-h"], ["--help"]):
        lines = (f"  {name:12}  {(kind.__doc__ or '').strip().splitlines()[0]}" for name, kind in READERS.items())
        print(HELP.format(readers="\n".join(lines)).rstrip())
        return 0
    if command not in ("prepare", "check"):
        raise UserError(f'ialp data has no "{command}": it has prepare and check; see ialp data --help')
    if not rest:
        raise UserError(f"the following arguments are required: what to {command}; see ialp data --help")
    return prepare(rest[0], rest[1:]) if command == "prepare" else check(rest)


def prepare(reader: str, arguments: list[str]) -> int:
    """Write a log as a prepared folder, and print its row of Table 2."""
    kind = find_reader(reader)
    parser = reader_parser(kind, f"ialp data prepare {reader}")
    parser.add_argument("--out", type=str, required=True, help="Folder to write.")
    parser.add_argument("--bad_rows", default="refuse", help="refuse: the first ends it; drop: leave out and count.")
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace a prepared folder at --out.")
    options = parse(parser, kind, arguments)
    out, bad_rows, overwrite = Path(options.pop("out")), options.pop("bad_rows"), options.pop("overwrite")
    if bad_rows not in ("refuse", "drop"):
        raise UserError(f"bad_rows is {bad_rows}: it is refuse or drop")
    intake = Intake(bad_rows, ReadingProgress())
    manifest = write_prepared(kind(**options), out, intake, overwrite)
    print_cleaned(intake)
    print_row(manifest["name"], manifest["counts"], manifest["attributes"])
    reads = f"class_path: ialp.data.readers.PreparedLog, init_args: {{root: {out}}}"
    print(f"written: {out}; a config reads it with {reads}")
    return 0


def check(arguments: list[str]) -> int:
    """Print all problems of folders, files or what a reader reads, or the log's row of Table 2."""
    intake = Intake("list", ReadingProgress())
    first = arguments[0]
    dotted = "." in first and all(map(str.isidentifier, first.split(".")))
    if first in READERS or (dotted and not Path(first).exists()):
        kind = find_reader(first)
        source = kind(**parse(reader_parser(kind, f"ialp data check {first}"), kind, arguments[1:]))
        name, attributes, counts = source.name, source.attributes, intake.attempt(lambda: source.read(intake).counts)
    else:
        rows = [check_path(Path(path), intake) for path in arguments]
        name, attributes, counts = Path(first).resolve().stem, [], rows[0] if len(rows) == 1 else None
    print_cleaned(intake)
    if lines := problem_lines(intake):
        print("\n".join([*lines, f"{len(lines)} problem{'s' if len(lines) > 1 else ''}"]))
        return 2
    if counts:
        print_row(name, counts, attributes)
    print("nothing is wrong")
    return 0


def find_reader(name: str) -> type[FileLog]:
    """The reader of a short name or dotted path."""
    if name in READERS:
        return READERS[name]
    try:
        kind = find_class(name)
    except LookupError:
        raise UserError(f'no reader "{name}"{near(name, list(READERS))}; there are {", ".join(READERS)}') from None
    if not (isinstance(kind, type) and issubclass(kind, FileLog)):
        raise UserError(f"{name} is no subclass of ialp.data.readers.FileLog")
    return kind


def reader_parser(kind: type[FileLog], prog: str) -> ArgumentParser:
    """A parser with the arguments of a reader as options."""
    parser = ArgumentParser(prog=prog, exit_on_error=False)
    parser.add_class_arguments(kind)
    return parser


def parse(parser: ArgumentParser, kind: type[FileLog], arguments: list[str]) -> dict[str, Any]:
    """The options by name.

    Raises:
        UserError: One is unknown, missing or of the wrong type.
    """
    try:
        return parser.instantiate(parser.parse_args(arguments)).as_dict()
    except ArgumentError as error:
        text = " ".join(error.message.split())
        if unknown := re.search(r"unrecognized arguments: ([^\s=]+)", text):
            text = f"no option {unknown[1]}{near(unknown[1], [f'--{name}' for name in argument_names(kind) or ()])}"
        raise UserError(f"{text}; see {parser.prog} --help") from None


def print_cleaned(intake: Intake) -> None:
    """Print a line for each kind of what was changed or left out."""
    for what, finding in intake.cleaned.items():
        where = f" (first: {finding.first})" if finding.first else ""
        print(f"{what}: {finding.count:,}{where}")


def print_row(name: str, counts: Mapping[str, float], attributes: list[str]) -> None:
    """Print the log's row of the paper's Table 2, with mean length and density besides."""
    table = Table("Dataset", "#item", "#seq./user", "#inter.", "mean length", "density", "Item attribute")
    table.box, table.pad_edge = None, False
    whole = (f"{counts[key]:,}" for key in ("items", "sequences", "interactions"))
    table.add_row(name, *whole, f"{counts['mean_length']:.2f}", f"{counts['density']:.3%}", "; ".join(attributes))
    print_table(table)
