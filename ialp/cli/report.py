"""`ialp report RUNS… --out DIR`: the paper's tables and figures from finished runs."""

from ialp.parser import Parser
from ialp.report.publish import report


def run(arguments: list[str]) -> int:
    """Run `ialp report`."""
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
