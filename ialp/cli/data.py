"""`ialp data prepare` and `ialp data check`."""

from argparse import REMAINDER, ArgumentError, RawDescriptionHelpFormatter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from jsonargparse import ArgumentParser
from rich.table import Table

from ialp.classes import find_class, near
from ialp.data.readers import AmazonLog, AtomicLog, FileLog, Intake, LastfmLog, PreparedLog, TableLog
from ialp.data.readers.file_log import ITEM
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

readers (ialp data prepare READER --help shows the options of one):
"""


def run(arguments: list[str]) -> int:
    """Run `ialp data`; 2 where a check has found something."""
    lines = [f"  {name:12}  {(kind.__doc__ or '').splitlines()[0]}" for name, kind in READERS.items()]
    lines.append("  module.Class  a subclass of ialp.data.readers.FileLog of your own")
    style = RawDescriptionHelpFormatter
    parser = Parser(prog="ialp data", description=HELP + "\n".join(lines), formatter_class=style)
    parser.add_argument("command", choices=["prepare", "check"])
    parser.add_argument("reader", metavar="READER|PATH")
    parser.add_argument("options", nargs=REMAINDER)
    given = parser.parse_args(arguments)
    return prepare(given.reader, given.options) if given.command == "prepare" else check(given.reader, given.options)


def prepare(reader: str, arguments: list[str]) -> int:
    """Write a log as a prepared folder, and print its row of Table 2."""
    kind = find_reader(reader)
    parser = reader_parser(kind, f"ialp data prepare {reader}")
    parser.add_argument("--out", type=str, required=True, help="Folder to write.")
    bad_rows = "refuse: the first one ends the reading; drop: leave out and count."
    parser.add_argument("--bad_rows", type=Literal["refuse", "drop"], default="refuse", help=bad_rows)
    options = parse(parser, arguments)
    out, intake = Path(options.pop("out")), Intake(options.pop("bad_rows") == "drop", progress=True)
    manifest = write_prepared(kind(**options), out, intake)
    print_cleaned(intake.cleaned | intake.problems)
    print_row(manifest["name"], manifest["counts"], manifest["attributes"])
    print(f"a config reads it with class_path: ialp.data.readers.PreparedLog, init_args: {{root: {out}}}")
    return 0


def check(name: str, arguments: list[str]) -> int:
    """Read a log as a run would, and print all problems or its row of Table 2."""
    source, intake, broken = find_source(name, arguments), Intake(drop=True, progress=True), []
    counts: dict[str, float] = {}
    try:
        counts = source.read(intake).counts
    except UserError as error:
        broken.append(str(error))
    found = intake.problems.values()
    problems = [each.first + (f" (and {each.count - 1:,} more)" if each.count > 1 else "") for each in found] + broken
    print_cleaned(intake.cleaned)
    if problems:
        print("\n".join([*problems, f"{len(problems)} problem{'s' if len(problems) > 1 else ''}"]))
        return 2
    print_row(source.name, counts, source.attributes)
    print("nothing is wrong")
    return 0


def find_source(name: str, arguments: list[str]) -> FileLog:
    """What `ialp data check` reads: NAME.inter beside NAME.item, a prepared folder, or what a reader's options say."""
    path = Path(name)
    if path.suffix == ".inter":
        atomic = AtomicLog(path.stem, str(path.parent))
        columns = atomic.open(path.with_suffix(".item"), atomic.format, []).columns
        atomic.attributes = [name for name in columns if name != ITEM]
        return atomic
    if (path / MANIFEST).is_file():
        return PreparedLog(name)
    kind = find_reader(name)
    return kind(**parse(reader_parser(kind, f"ialp data check {name}"), arguments))


def find_reader(name: str) -> type[FileLog]:
    """The reader of a short name or dotted path."""
    try:
        kind = READERS.get(name) or find_class(name)
    except LookupError:
        known = ", ".join(READERS)
        raise UserError(
            f'no reader, .inter file or prepared folder "{name}"{near(name, list(READERS))}; readers: {known}'
        ) from None
    if not issubclass(kind, FileLog):
        raise UserError(f"{name} is no subclass of ialp.data.readers.FileLog")
    return kind


def reader_parser(kind: type[FileLog], prog: str) -> ArgumentParser:
    """A parser with the arguments of a reader as options."""
    parser = ArgumentParser(prog=prog, exit_on_error=False)
    parser.add_class_arguments(kind)
    return parser


def parse(parser: ArgumentParser, arguments: list[str]) -> dict[str, Any]:
    """The options by name.

    Raises:
        UserError: One is unknown, missing or of the wrong type.
    """
    try:
        return parser.instantiate(parser.parse_args(arguments)).as_dict()
    except ArgumentError as error:
        raise UserError(f"{' '.join(error.message.split())}; see {parser.prog} --help") from None


def print_cleaned(findings: Mapping[str, Finding]) -> None:
    """Print a line for each kind of what was changed or left out."""
    for what, finding in findings.items():
        print(f"{what}: {finding.count:,} (first: {finding.first})")


def print_row(name: str, counts: Mapping[str, float], attributes: list[str]) -> None:
    """Print the log's row of the paper's Table 2, with mean length and density besides."""
    table = Table("Dataset", "#item", "#seq./user", "#inter.", "mean length", "density", "Item attribute")
    table.box, table.pad_edge = None, False
    whole = (f"{counts[key]:,}" for key in ("items", "sequences", "interactions"))
    table.add_row(name, *whole, f"{counts['mean_length']:.2f}", f"{counts['density']:.3%}", "; ".join(attributes))
    print_table(table)
