"""The report: all tables and figures as files, and one HTML page of them that needs nothing beside it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

from ialp.errors import UserError
from ialp.files import remove_partial, write_atomically
from ialp.report import inventory, results
from ialp.report.collect import Collection, collect
from ialp.report.comparison import World, worlds_of
from ialp.report.figures import draw, drawings
from ialp.report.tables import Table, comma_separated, latex, markdown


@dataclass(frozen=True)
class Picture:
    """A figure on the page, as SVG."""

    key: str
    title: str
    caption: str
    svg: str


Part = tuple[str, Sequence[Table | Picture]]
"""A heading and what stands below it."""


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
    missing = inventory.coverage_table(worlds)
    parts = _parts(collection, worlds, missing, data_root, folder / "figures")
    remove_partial(folder)  # of a report that was killed
    for table in (item for _, part in parts for item in part if isinstance(item, Table)):
        for suffix, write in (("md", markdown), ("tex", latex), ("csv", comma_separated)):
            write_atomically(folder / "tables" / f"{table.key}.{suffix}", write(table))
    summary, warnings = _summary(collection, worlds), _warnings(collection, missing)
    write_atomically(folder / "index.html", page("Report of runs", summary, warnings, parts))
    print("\n".join([summary, *(f"note: {line}" for line in warnings), f"report: {folder / 'index.html'}"]))
    return folder / "index.html"


def page(title: str, summary: str, warnings: Sequence[str], parts: Sequence[Part]) -> str:
    """The HTML. Texts are escaped, pictures are put in as they are."""
    from jinja2 import Environment

    template = (files("ialp.report") / "page.html").read_text(encoding="utf-8")
    environment = Environment(autoescape=True)
    return environment.from_string(template).render(title=title, summary=summary, warnings=warnings, parts=parts)


def inline(svg: str, key: str) -> str:
    """An SVG file as part of an HTML document: without its prologue, its ids distinct from other pictures'."""
    body = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    head, rest = body.split(">", 1)
    rest = re.sub(r'(\sid="|href="#|url\(#)', rf"\g<1>{key}-", rest)
    return re.sub(r'\s(?:width|height)="[^"]*"', "", head) + ">" + rest


def _parts(
    collection: Collection, worlds: Sequence[World], missing: Table, data_root: str | None, figures: Path
) -> list[Part]:
    compared = [make(worlds) for make in (results.comparison_table, results.regret_table)]
    pictures = [Picture(d.key, d.title, d.caption, inline(draw(d, figures), d.key)) for d in drawings(worlds)]
    return [
        ("Results", [*(results.paper_table(key, worlds) for key in results.TABLES), *compared]),
        ("Figures", pictures),
        ("Exploration and cost", [results.exploration_table(worlds), results.cost_table(worlds)]),
        ("What is missing", [missing, inventory.folders_table(collection)]),
        ("Data and provenance", [inventory.data_table(worlds, data_root), inventory.provenance_table(collection)]),
    ]


def _summary(collection: Collection, worlds: Sequence[World]) -> str:
    runs = {each.run.folder.resolve() for each in collection.measured}
    names = ", ".join(f"{world.label} (methods: {len(world.rows)})" for world in worlds)
    source = results.paper_figures()["source"]
    return f"Finished online runs: {len(runs)}, in {names}. The paper's figures: {source}."


def _warnings(collection: Collection, missing: Table) -> list[str]:
    """Folders that cannot be used, and how many places of the tables want more seeds."""
    lines = [f"{each.run.folder} is {each.reason}" for each in collection.folders if not each.finished]
    if count := inventory.missing_places(missing):
        lines.append(f"{count} places of the tables want more seeds than there are: see What is missing")
    return lines
