"""The report: all tables and figures as files, and one HTML page of them that needs nothing beside it."""

from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from ialp.errors import UserError
from ialp.files import remove_partial, write_atomically
from ialp.report.collect import collect
from ialp.report.comparison import worlds_of
from ialp.report.figures import draw_figures
from ialp.report.inventory import data_table, folders_table, missing_table, provenance_table
from ialp.report.results import TABLES, comparison_table, cost_table, paper_figures, paper_table
from ialp.report.tables import comma_separated, markdown


def report(runs: Sequence[str | Path], out: str | Path, data_root: str | None = None) -> Path:
    """Write the report, and print where it lies and what was left out.

    Args:
        runs: Folders of runs, at any of the levels runs/, runs/<config>/ and runs/<config>/<run>/, or of a grid.
        out: Folder of the report, and of the page `index.html` that is returned; earlier files there are replaced.
        data_root: Where the data lies, if not where the runs say.

    Raises:
        UserError: A folder does not exist, holds no finished online run, or `out` cannot be written.
    """
    from jinja2 import Environment

    folder = Path(out)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"--out {folder}: a file is there; name a folder")
    collection = collect(runs)
    worlds = worlds_of(collection)
    results = [*(paper_table(key, worlds) for key in TABLES), comparison_table(worlds), cost_table(worlds)]
    sources = [missing_table(worlds), folders_table(collection), data_table(worlds, data_root)]
    sources.append(provenance_table(collection))
    remove_partial(folder)  # of a report that was killed
    for table in (*results, *sources):
        write_atomically(folder / "tables" / f"{table.key}.md", markdown(table))
        write_atomically(folder / "tables" / f"{table.key}.csv", comma_separated(table))
    count = len({each.run.folder for each in collection.measured})
    names = ", ".join(f"{world.label} (methods: {len(world.rows)})" for world in worlds)
    summary = f"Finished online runs: {count}, in {names}. The paper's figures: {paper_figures()['source']}."
    warnings = [f"{path} is {reason}" for path, reason in collection.left_out.items()]
    template = (files("ialp.report") / "page.html").read_text(encoding="utf-8")
    page = Environment(autoescape=True).from_string(template)
    figures = draw_figures(worlds, folder / "figures")
    content = {"Results": results, "Figures": figures, "What this is made of": sources}
    write_atomically(folder / "index.html", page.render(summary=summary, warnings=warnings, parts=content))
    print("\n".join([summary, *(f"note: {line}" for line in warnings), f"report: {folder / 'index.html'}"]))
    return folder / "index.html"
