"""`ialp report RUNS… --out DIR`: the paper's tables and figures from finished runs, and what is missing from them."""

from collections.abc import Sequence
from pathlib import Path

from ialp.errors import UserError
from ialp.files import write_atomically
from ialp.parser import Parser
from ialp.report import cost_tables, inventory, result_tables
from ialp.report.collect import CRASHED, DAMAGED, FOREIGN, HALF, RUNNING, Collection, collect
from ialp.report.comparison import World, worlds_of
from ialp.report.figures import draw, drawings
from ialp.report.page import Part, Picture, inline, page
from ialp.report.tables import Table, comma_separated, latex, markdown

TOLD = (CRASHED, HALF, RUNNING, DAMAGED, FOREIGN)
"""States of folders that are named to the user; what was set aside or superseded is in the table of folders."""


def run_report_verb(arguments: list[str]) -> int:
    """`ialp report`."""
    parser = Parser(prog="ialp report", description="Tables and figures of finished runs.", allow_abbrev=False)
    add = parser.add_argument
    add(
        "runs",
        nargs="+",
        help="folders: of all runs (runs), of a config's runs, of a grid (runs/grids/NAME), single runs",
    )
    add("--out", required=True, help="folder of the report: index.html, tables/, figures/")
    add("--data_root", help="folder that holds the data, for Table 2 (default: as the runs say)")
    report(**vars(parser.parse_args(arguments)))
    return 0


def report(runs: Sequence[str | Path], out: str | Path, data_root: str | None = None) -> Path:
    """Write the report, and print where it lies and what is missing.

    Args:
        runs: Folders of runs, at any of the levels runs/, runs/<config>/ and runs/<config>/<run>/, or of a grid.
        out: Folder of the report; files of an earlier report there are replaced.
        data_root: Where the data lies, if not where the runs say.

    Returns:
        The path of the page.

    Raises:
        UserError: A folder does not exist, holds no finished online run, or `out` cannot be written.
    """
    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: a file is there; name a folder")
    collection = collect(runs)
    worlds = worlds_of(collection)
    parts = _parts(collection, worlds, data_root, folder / "figures")
    for table in (item for _, part in parts for item in part if isinstance(item, Table)):
        for suffix, write in (("md", markdown), ("tex", latex), ("csv", comma_separated)):
            write_atomically(folder / "tables" / f"{table.key}.{suffix}", write(table))
    path = folder / "index.html"
    write_atomically(path, page("Report of runs", _summary(collection, worlds), _warnings(collection, parts), parts))
    print(_summary(collection, worlds))
    for line in _warnings(collection, parts):
        print(f"note: {line}")
    print(f"report: {path}")
    return path


def _parts(collection: Collection, worlds: Sequence[World], data_root: str | None, figures: Path) -> list[Part]:
    pictures = [
        Picture(each.key, each.title, each.caption, inline(draw(each, figures), each.key)) for each in drawings(worlds)
    ]
    missing, folders = inventory.coverage_table(worlds), inventory.folders_table(collection)
    results = [result_tables.paper_table(key, worlds) for key in result_tables.TABLES]
    compared = [make(worlds) for make in (result_tables.comparison_table, cost_tables.regret_table)]
    further = [make(worlds) for make in (result_tables.exploration_table, cost_tables.cost_table)]
    return [
        ("Results", [*results, *compared]),
        ("Figures", pictures),
        ("Exploration and cost", further),
        ("What is missing", [missing, folders]),
        ("Data and provenance", [inventory.data_table(worlds, data_root), inventory.provenance_table(collection)]),
    ]


def _summary(collection: Collection, worlds: Sequence[World]) -> str:
    runs = {each.run.folder.resolve() for each in collection.measured}
    names = ", ".join(f"{world.label} (methods: {len(world.rows)})" for world in worlds)
    source = result_tables.paper_figures()["source"]
    return f"Finished online runs: {len(runs)}, in {names}. The paper's figures: {source}."


def _warnings(collection: Collection, parts: Sequence[Part]) -> list[str]:
    """What is not there, in lines: folders that had to be left out, and how much the tables want."""
    lines = [f"{each.path} is {each.state}: {each.said}" for each in collection.of_state(*TOLD)]
    missing = next(item for _, part in parts for item in part if isinstance(item, Table) and item.key == "missing")
    if missing.records:
        lines.append(f"{len(missing.records)} places of the tables want more seeds than there are: see What is missing")
    return lines
