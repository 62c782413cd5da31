"""`ialp runs list|compare|remove`."""

from collections.abc import Callable

from ialp.parser import Parser
from ialp.runs.listing import compare_runs, list_runs, remove_runs

COMMANDS: dict[str, Callable[..., None]] = {"list": list_runs, "compare": compare_runs, "remove": remove_runs}


def run(arguments: list[str]) -> int:
    """Run `ialp runs`."""
    parser = Parser(prog="ialp runs", description="Runs that are finished or under way.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="|".join(COMMANDS))
    listing = commands.add_parser("list", help="all runs with their figures")
    listing.add_argument("stage", nargs="?", help="only runs of this config")
    listing.add_argument("--runs_dir", default="runs", help="folder that holds them (default: runs)")
    compare = commands.add_parser("compare", help="where the configs of finished runs differ, and their figures")
    compare.add_argument("runs", nargs="+", help="run folders, two or more")
    remove = commands.add_parser("remove", help="remove run folders")
    remove.add_argument("runs", nargs="+", help="run folders")
    remove.add_argument("--yes", action="store_true", help="do not ask")
    chosen = vars(parser.parse_args(arguments))
    COMMANDS[chosen.pop("command")](**chosen)
    return 0
