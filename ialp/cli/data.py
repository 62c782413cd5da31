"""`ialp data prepare` and `ialp data check`."""

from argparse import REMAINDER, ArgumentError, RawDescriptionHelpFormatter
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from jsonargparse import ArgumentParser
from rich.table import Table

from ialp.classes import find_class, near
from ialp.data.readers import AmazonLog, AtomicLog, FileLog, Intake, LastfmLog, PreparedLog, TableLog
from ialp.data.readers.intake import Finding
from ialp.data.readers.prepared import MANIFEST, write_prepared
from ialp.errors import UserError
from ialp.parser import Parser
from ialp.printing import print_table

READERS: dict[str, type[FileLog]] = {"atomic": AtomicLog, "table": TableLog, "amazon": AmazonLog, "lastfm": LastfmLog}
HELP = """\
ialp data prepare READER [options] --out DIR    read a log, check it, write it as a compact folder
ialp data check READER [options]                say what is wrong with the log that a reader reads
ialp data check PATH                            the same of NAME.inter with NAME.item, or of a prepared folder

readers (ialp data prepare READER --help shows the options of one): atomic, table, amazon, lastfm (docs/data.md), or
module.Class, a subclass of ialp.data.readers.FileLog of your own
"""


def run(arguments: list[str]) -> int:
    """Run `ialp data`; 2 where a check has found something."""
    parser = Parser(prog="ialp data", description=HELP, formatter_class=RawDescriptionHelpFormatter)
    parser.add_argument("command", choices=["prepare", "check"])
    parser.add_argument("reader", metavar="READER|PATH")
    parser.add_argument("options", nargs=REMAINDER)
    given = parser.parse_args(arguments)
    return prepare(given.reader, given.options) if given.command == "prepare" else check(given.reader, given.options)


def prepare(reader: str, arguments: list[str]) -> int:
    """Write a log as a prepared folder, and print its row of Table 2."""
    source, out, bad_rows = read_options(reader, arguments, prepares=True)
    intake = Intake(drop=bad_rows == "drop", progress=True)
    manifest = write_prepared(source, Path(out), intake)
    print_findings(intake.cleaned | intake.problems)
    print_row(manifest["name"], manifest["counts"], manifest["attributes"])
    print(f"a config reads it with class_path: ialp.data.readers.PreparedLog, init_args: {{root: {out}}}")
    return 0


def check(reader: str, arguments: list[str]) -> int:
    """Read a log as a run would, and print all problems or its row of Table 2."""
    path, intake = Path(reader), Intake(drop=True, progress=True)
    if path.suffix == ".inter":
        source: FileLog = AtomicLog.with_all_texts(path)
    elif (path / MANIFEST).is_file():
        source = PreparedLog(reader)
    else:
        source, *_ = read_options(reader, arguments)
    try:
        raw = source.read(intake)
    except UserError as error:
        intake.problems[str(error)] = Finding(1, str(error))
    print_findings(intake.cleaned)
    for each in intake.problems.values():
        print(each.first + (f" (and {each.count - 1:,} more)" if each.count > 1 else ""))
    if intake.problems:
        print(f"problems: {len(intake.problems)}")
        return 2
    print_row(source.name, raw.counts, source.attributes)
    print("nothing is wrong")
    return 0


def read_options(reader: str, arguments: list[str], prepares: bool = False) -> tuple[FileLog, str, str]:
    """The reader of a short name or dotted path with its options, --out and --bad_rows.

    Raises:
        UserError: There is no such reader; an option is unknown, missing or of the wrong type.
    """
    try:
        kind = READERS.get(reader) or find_class(reader)
    except LookupError:
        what = f'no reader, .inter file or prepared folder "{reader}"{near(reader, list(READERS))}'
        raise UserError(f"{what}; readers: {', '.join(READERS)}") from None
    if not issubclass(kind, FileLog):
        raise UserError(f"{reader} is no subclass of ialp.data.readers.FileLog")
    parser = ArgumentParser(prog=f"ialp data {'prepare' if prepares else 'check'} {reader}", exit_on_error=False)
    parser.add_class_arguments(kind)
    if prepares:
        parser.add_argument("--out", type=str, required=True, help="Folder to write.")
        bad_rows = "refuse: the first one ends the reading; drop: leave out and count."
        parser.add_argument("--bad_rows", type=Literal["refuse", "drop"], default="refuse", help=bad_rows)
    try:
        options = parser.instantiate(parser.parse_args(arguments)).as_dict()
    except ArgumentError as error:
        raise UserError(f"{' '.join(error.message.split())}; see {parser.prog} --help") from None
    out, bad_rows = options.pop("out", ""), options.pop("bad_rows", "")
    return kind(**options), out, bad_rows


def print_findings(findings: Mapping[str, Finding]) -> None:
    """Print a line for each kind of what was changed or left out."""
    for what, finding in findings.items():
        print(f"{what}: {finding.count:,} (first: {finding.first})")


def print_row(name: str, counts: Mapping[str, int], attributes: list[str]) -> None:
    """Print the log's row of the paper's Table 2."""
    table = Table("Dataset", "#item", "#seq./user", "#inter.", "Item attribute", box=None, pad_edge=False)
    table.add_row(name, *(f"{count:,}" for count in counts.values()), "; ".join(attributes))
    print_table(table)
